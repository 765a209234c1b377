//! The second port: live, ready, metrics, routes, sessions, and what became of events.
//! Loopback unless said otherwise, because it shows who is connected.

mod clock;
mod feed;
mod query;
mod readiness;
mod tail;
mod trace;
mod views;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    listen::Listener,
    metrics::Metrics,
    reply::{self, Body},
    routes::{FileStatus, Tables},
    session::Sessions,
    source::sse,
};

pub use readiness::{Phase, Readiness};

/// How long an operator's client may take for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last line of an answer may take when the process stops.
const GOODBYE: Duration = Duration::from_millis(500);

/// Where operators look in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address, loopback unless said otherwise.
    pub address: SocketAddr,
}

/// What operators see.
#[derive(Debug)]
pub struct Admin {
    metrics: Arc<Metrics>,
    tables: Tables,
    status: watch::Receiver<FileStatus>,
    sessions: Arc<Sessions>,
    stream: sse::Current,
    readiness: Arc<Readiness>,
    /// Tails that may still begin.
    tails: Arc<Semaphore>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Admin {
    /// Gathers what is shown, until `stop`; tasks run on `tracker`.
    pub fn new(
        metrics: Arc<Metrics>,
        (tables, status): (Tables, watch::Receiver<FileStatus>),
        (sessions, stream): (Arc<Sessions>, sse::Current),
        readiness: Arc<Readiness>,
        (stop, tracker): (CancellationToken, TaskTracker),
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            tables,
            status,
            sessions,
            stream,
            readiness,
            tails: Arc::new(Semaphore::new(tail::MAX_TAILS)),
            stop,
            tracker,
        })
    }

    /// Answers until it is stopped.
    pub async fn run(self: Arc<Self>, listener: Listener) {
        while let Some((tcp, _)) = self.stop.run_until_cancelled(listener.accept()).await {
            self.tracker.spawn(self.clone().serve(tcp));
        }
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream) {
        let stop = self.stop.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(&request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(tcp), answer);
        let mut connection = pin!(connection);
        let ended = match stop.run_until_cancelled(connection.as_mut()).await {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(GOODBYE, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%error, "Admin connection ended badly");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is served here.\n");
        }
        let (sessions, uri) = (&self.sessions, request.uri());
        match uri.path() {
            "/" => views::index(),
            "/live" => reply::text(StatusCode::OK, "live\n"),
            "/ready" => self.readiness.answer(),
            "/metrics" => views::metrics(&self.metrics),
            "/routes" => views::routes(&self.tables.borrow(), &self.status.borrow(), &self.metrics),
            "/presence" => views::presence(sessions, uri.query()),
            "/nodes" => views::nodes(sessions),
            "/channel_layer" => views::channel_layer(sessions.channel_layer().as_deref()),
            "/sessions" => views::sessions(sessions),
            "/feed" => feed::answer(sessions.feed(), &self.metrics),
            "/trace" => {
                let table = self.tables.borrow().clone();
                trace::answer(uri, sessions, &table).await
            }
            "/tail" if request.method() == Method::GET => self.tail(uri),
            "/sources" => views::sources(self.stream.borrow().as_deref()),
            _ => reply::text(StatusCode::NOT_FOUND, "See / for what is here.\n"),
        }
    }

    fn tail(&self, uri: &Uri) -> Response<Body> {
        let source = tail::Source {
            feed: self.sessions.feed().clone(),
            hub: self.sessions.hub().clone(),
            tables: self.tables.clone(),
            metrics: self.metrics.clone(),
        };
        let (response, tail) = tail::answer(uri, source, &self.tails, self.stop.clone());
        if let Some(tail) = tail {
            self.tracker.spawn(tail);
        }
        response
    }
}
