//! A server with its idle connections, and the sending of requests to it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    AppBody, RequestBody, SendError, Settings, Stream, dial,
    exchange::{Connection, Unsent},
};
use crate::metrics::Metrics;

/// A server and its idle connections.
#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "connections are large and move in and out all the time"
)]
pub struct Upstream {
    settings: Settings,
    idle: Mutex<Vec<Box<Connection>>>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
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
        let permits = Arc::new(Semaphore::new(settings.max_connections));
        Arc::new(Self {
            settings,
            idle: Mutex::default(),
            permits,
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
                let fresh = Box::pin(self.connect()).await?;
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
        let stream = self.dial().await?;
        let mut connection = Connection::handshake(stream, None)
            .await
            .map_err(SendError::Broken)?;
        let sent = self.within_time(&mut connection, request).await?;
        let response = sent.map_err(|unsent| SendError::Broken(unsent.error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response =
                response.map(|body| AppBody::new(body, Box::new(connection), self.clone()));
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
            .retain(|connection| now.duration_since(connection.idle_since) < keep);
    }

    pub(super) fn give_back(&self, mut connection: Box<Connection>) {
        connection.idle_since = Instant::now();
        connection.reused = true;
        self.lock().push(connection);
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
        let now = Instant::now();
        let keep = self.settings.keep_alive;
        loop {
            let Some(mut connection) = self.lock().pop() else {
                // Boxed, as most requests never come here.
                return Box::pin(self.connect()).await;
            };
            if now.duration_since(connection.idle_since) < keep && connection.is_usable() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, SendError> {
        let permit = timeout(
            self.settings.connect_timeout,
            self.permits.clone().acquire_owned(),
        )
        .await;
        let Ok(Ok(permit)) = permit else {
            return Err(SendError::Busy(self.settings.max_connections));
        };
        let stream = self.dial().await?;
        let connection = Connection::handshake(stream, Some(permit))
            .await
            .map_err(SendError::Broken)?;
        Ok(Box::new(connection))
    }

    async fn dial(&self) -> Result<Stream, SendError> {
        let address = &self.settings.address;
        let limit = self.settings.connect_timeout;
        let failed = |reason: String| SendError::Connect {
            address: address.to_string(),
            reason,
        };
        match timeout(limit, dial::dial(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("not connected within {limit:?}"))),
        }
    }

    #[expect(clippy::vec_box, reason = "as in the field")]
    fn lock(&self) -> MutexGuard<'_, Vec<Box<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit of a connection attempt to a server that is not the app.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
