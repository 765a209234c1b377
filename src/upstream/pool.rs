//! A server with its idle connections, and the sending of requests to it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    AppBody, RequestBody, SendError, Settings, Stream, dial,
    exchange::{Connection, Unsent},
};
use crate::metrics::Metrics;

/// A server and its idle connections.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    pool: Mutex<Pool>,
    /// Exchanges: idle connections are within the limit, because no other is dialled
    /// while there is one.
    permits: Arc<Semaphore>,
    /// Requests for another protocol that the app has not answered to the end.
    handshakes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "connections are large and move in and out all the time"
)]
struct Pool {
    idle: Vec<Box<Connection>>,
    retired: bool,
}

/// What an upgrade came to.
#[derive(Debug)]
pub enum Upgrade {
    /// The app switched protocols.
    Switched {
        /// The head of its 101.
        head: Box<http::response::Parts>,
        /// The connection, which is bytes from here on.
        stream: Stream,
        /// What came right behind the head.
        early: Bytes,
    },
    /// It answered something else.
    Refused(Box<Response<AppBody>>),
}

impl Upstream {
    /// Makes it; nothing is dialled yet.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let permits = || Arc::new(Semaphore::new(settings.max_connections));
        Arc::new(Self {
            pool: Mutex::default(),
            permits: permits(),
            handshakes: permits(),
            settings,
            metrics,
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a request as it is and waits for the head of the response. A
    /// request that never left on a reused connection is sent once more on a new
    /// one; that excludes any whose body has begun.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<RequestBody>,
    ) -> Result<Response<AppBody>, SendError> {
        let connection = self.checkout().await?;
        let reused = connection.reused;
        match self.send_on(connection, request).await? {
            Ok(response) => Ok(response),
            Err(Unsent {
                request: Some(request),
                ..
            }) if reused => {
                self.metrics.requests_retried.inc();
                let permit = self.permit(&self.permits).await?;
                let fresh = Box::pin(self.connect(permit)).await?;
                Box::pin(self.send_on(fresh, request))
                    .await?
                    .map_err(|unsent| SendError::Broken(unsent.error))
            }
            Err(unsent) => Err(SendError::Broken(unsent.error)),
        }
    }

    /// Sends a request that asks for another protocol, on a connection of its own
    /// that does not count as one of the pool.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn upgrade(
        self: &Arc<Self>,
        request: Request<RequestBody>,
    ) -> Result<Upgrade, SendError> {
        let permit = self.permit(&self.handshakes).await?;
        let mut connection = self.dial(false).await?;
        connection.permit = Some(permit);
        let sent = self.within_time(&mut connection, request).await?;
        let response = sent.map_err(|unsent| SendError::Broken(unsent.error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = response.map(|body| AppBody::new(body, connection, self.clone()));
            return Ok(Upgrade::Refused(Box::new(response)));
        }
        let (head, _) = response.into_parts();
        let (stream, early) = connection.switch().await.map_err(SendError::Broken)?;
        Ok(Upgrade::Switched {
            head: Box::new(head),
            stream,
            early,
        })
    }

    /// Closes connections that were idle for longer than they are kept.
    pub fn close_idle(&self) {
        let now = Instant::now();
        let keep = self.settings.keep_alive;
        self.lock()
            .idle
            .retain(|connection| now.duration_since(connection.idle_since) < keep);
    }

    /// Another one has taken its place: no connection is kept any more. What is
    /// being answered still is.
    pub fn retire(&self) {
        let mut pool = self.lock();
        pool.retired = true;
        pool.idle.clear();
    }

    /// The permit goes last: whoever waits for it finds the connection.
    pub(super) fn give_back(&self, mut connection: Box<Connection>) {
        connection.idle_since = Instant::now();
        connection.reused = true;
        let permit = connection.permit.take();
        let mut pool = self.lock();
        if !pool.retired && pool.idle.len() < self.settings.max_connections {
            pool.idle.push(connection);
        }
        drop(pool);
        drop(permit);
    }

    async fn send_on(
        self: &Arc<Self>,
        mut connection: Box<Connection>,
        request: Request<RequestBody>,
    ) -> Result<Result<Response<AppBody>, Unsent>, SendError> {
        let sent = self.within_time(&mut connection, request).await?;
        Ok(sent.map(|response| response.map(|body| AppBody::new(body, connection, self.clone()))))
    }

    /// The time limit starts anew whenever a piece of the request's body has left.
    async fn within_time(
        &self,
        connection: &mut Connection,
        request: Request<RequestBody>,
    ) -> Result<Result<Response<Incoming>, Unsent>, SendError> {
        let progress = request.body().progress();
        let limit = self.settings.response_timeout;
        let mut sent = std::pin::pin!(connection.send(request));
        loop {
            let before = progress.as_ref().map(super::Progress::seen);
            match timeout(limit, &mut sent).await {
                Ok(result) => return Ok(result),
                Err(_) if progress.as_ref().map(super::Progress::seen) != before => {}
                Err(_) => return Err(SendError::Timeout(limit)),
            }
        }
    }

    /// An idle connection if one is usable, the last used first; else a new one.
    async fn checkout(&self) -> Result<Box<Connection>, SendError> {
        let permit = self.permit(&self.permits).await?;
        let now = Instant::now();
        let keep = self.settings.keep_alive;
        loop {
            let Some(mut connection) = self.lock().idle.pop() else {
                // Boxed, as most requests never come here.
                return Box::pin(self.connect(permit)).await;
            };
            if now.duration_since(connection.idle_since) < keep && connection.is_usable() {
                connection.permit = Some(permit);
                return Ok(connection);
            }
        }
    }

    async fn permit(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, SendError> {
        let acquired = permits.clone().acquire_owned();
        match timeout(self.settings.connect_timeout, acquired).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(SendError::Busy(self.settings.max_connections)),
        }
    }

    async fn connect(&self, permit: OwnedSemaphorePermit) -> Result<Box<Connection>, SendError> {
        let mut connection = self.dial(true).await?;
        connection.permit = Some(permit);
        Ok(connection)
    }

    async fn dial(&self, pooled: bool) -> Result<Box<Connection>, SendError> {
        let address = &self.settings.address;
        let limit = self.settings.connect_timeout;
        let patience = self.settings.response_timeout;
        let failed = |reason: String| SendError::Connect {
            address: address.to_string(),
            reason,
        };
        let stream = match timeout(limit, dial::dial(address, patience)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("not connected within {limit:?}"))),
        };
        let connection = Connection::handshake(stream, pooled, &self.metrics).await;
        connection.map(Box::new).map_err(SendError::Broken)
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit of a connection attempt to a server that is not the app.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use http::Method;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::upstream::{Address, CallRequest};

    const SECOND: Duration = Duration::from_secs(1);

    /// A pool, and the listener of its server.
    async fn pool() -> (Arc<Upstream>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            address: Address::Tcp {
                host: "127.0.0.1".into(),
                port: listener.local_addr().unwrap().port(),
            },
            connect_timeout: 20 * SECOND,
            response_timeout: 20 * SECOND,
            idle_timeout: 20 * SECOND,
            keep_alive: 20 * SECOND,
            max_connections: 4,
        };
        (Upstream::new(settings, Metrics::new()), listener)
    }

    async fn exchange(pool: &Arc<Upstream>, listener: &TcpListener, retire: bool) {
        let call = pool.call(CallRequest {
            method: Method::GET,
            path: "/".into(),
            headers: http::HeaderMap::new(),
            body: Bytes::new(),
            timeout: 20 * SECOND,
            max_body: 100,
        });
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 16];
            stream.read_exact(&mut head).await.unwrap();
            if retire {
                pool.retire();
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(call, serve);
        assert_eq!(answer.unwrap().body, "ok");
    }

    #[tokio::test]
    async fn a_retired_pool_answers_and_keeps_nothing() {
        let (pool, listener) = pool().await;
        exchange(&pool, &listener, false).await;
        assert_eq!(pool.lock().idle.len(), 1);
        pool.retire();
        assert!(pool.lock().idle.is_empty());
        exchange(&pool, &listener, false).await;
        assert!(pool.lock().idle.is_empty());
        assert_eq!(pool.metrics.app_connections.get(), 0);
    }

    #[tokio::test]
    async fn what_is_being_answered_is_not_kept_by_a_retired_pool() {
        let (pool, listener) = pool().await;
        exchange(&pool, &listener, true).await;
        assert!(pool.lock().idle.is_empty());
    }
}
