//! The second port: live, ready, metrics, routes, sessions. Loopback unless said
//! otherwise, because it shows who is connected.

mod readiness;
mod views;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::watch};
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
}

impl Admin {
    /// Gathers what is shown.
    pub fn new(
        metrics: Arc<Metrics>,
        (tables, status): (Tables, watch::Receiver<FileStatus>),
        (sessions, stream): (Arc<Sessions>, sse::Current),
        readiness: Arc<Readiness>,
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            tables,
            status,
            sessions,
            stream,
            readiness,
        })
    }

    /// Answers until `stop`.
    pub async fn run(
        self: Arc<Self>,
        listener: Listener,
        stop: CancellationToken,
        tracker: TaskTracker,
    ) {
        while let Some((tcp, _)) = stop.run_until_cancelled(listener.accept()).await {
            let connection = self.clone().serve(tcp);
            let stop = stop.clone();
            tracker.spawn(async move { stop.run_until_cancelled(connection).await });
        }
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream) {
        let answer = service_fn(move |request: Request<Incoming>| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(tcp), answer);
        if let Err(error) = connection.await {
            debug!(%error, "Admin connection ended badly");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is served here.\n");
        }
        match request.uri().path() {
            "/" => views::index(),
            "/live" => reply::text(StatusCode::OK, "live\n"),
            "/ready" => self.readiness.answer(),
            "/metrics" => views::metrics(&self.metrics),
            "/routes" => views::routes(&self.tables.borrow(), &self.status.borrow(), &self.metrics),
            "/presence" => views::presence(&self.sessions),
            "/channel_layer" => views::channel_layer(self.sessions.channel_layer().as_deref()),
            "/sources" => views::sources(self.stream.borrow().as_deref()),
            "/sessions" => views::sessions(self.sessions.registry()),
            _ => reply::text(StatusCode::NOT_FOUND, "See / for what is here.\n"),
        }
    }
}
