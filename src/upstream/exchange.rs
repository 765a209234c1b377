//! One connection to the app and one exchange on it.
//!
//! The connection is driven by whoever waits for it, inside the same task: no
//! task of its own, no wake-up across threads, and when the waiting ends because
//! the client is gone, the connection ends with it and the app knows.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};

use super::{RequestBody, Stream, Upstream};
use crate::metrics::Metrics;

/// An open HTTP/1.1 connection to the app.
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<Stream>, RequestBody>,
    pub(super) idle_since: Instant,
    pub(super) reused: bool,
    /// Whether it may wait in the pool for another request.
    pooled: bool,
    /// Counts against `max_connections` as long as an exchange is on it.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    _open: Open,
}

/// An open connection in the count.
struct Open(Arc<Metrics>);

impl Open {
    fn begin(metrics: &Arc<Metrics>) -> Self {
        metrics.app_connections.inc();
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.app_connections.dec();
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// All connections the app may have are taken.
    #[error("all {0} connections to the app are busy")]
    Busy(usize),
    /// The app did not begin to answer in time.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The connection broke, or what came was no HTTP.
    #[error("the connection to the app broke: {0}")]
    Broken(#[source] hyper::Error),
    /// What the app answered would mean something else to the client.
    #[error("the app's response cannot be passed on: {0}")]
    Improper(&'static str),
}

/// A request that failed, and itself if not a byte of it left.
pub(super) struct Unsent {
    pub(super) error: hyper::Error,
    pub(super) request: Option<Request<RequestBody>>,
}

impl Connection {
    pub(super) async fn handshake(
        stream: Stream,
        pooled: bool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, hyper::Error> {
        let open = Open::begin(metrics);
        let (sender, driver) = http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver,
            idle_since: Instant::now(),
            reused: false,
            pooled,
            permit: None,
            _open: open,
        })
    }

    /// Whether another request can be sent: notices a connection that the app
    /// has closed meanwhile.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.driver).poll(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unsent> {
        let mut response = std::pin::pin!(self.sender.try_send_request(request));
        let mut driver = Some(&mut self.driver);
        poll_fn(|cx| {
            if driver
                .as_mut()
                .is_some_and(|driver| Pin::new(driver).poll(cx).is_ready())
            {
                // The end of the connection; the response says how it ended.
                driver = None;
            }
            response.as_mut().poll(cx)
        })
        .await
        .map_err(|mut failed| Unsent {
            request: failed.take_message(),
            error: failed.into_error(),
        })
    }

    /// Gives back the stream and what was read beyond the 101, copied so that the
    /// read buffer does not live as long as the stream.
    pub(super) async fn switch(self) -> Result<(Stream, Bytes), hyper::Error> {
        let parts = self.driver.without_shutdown().await?;
        let early = Bytes::copy_from_slice(&parts.read_buf);
        Ok((parts.io.into_inner(), early))
    }
}

/// The body of a response, which drives its connection while it is read and
/// gives it back to the pool at its end.
pub struct AppBody {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    home: Arc<Upstream>,
    idle: Option<Pin<Box<Sleep>>>,
}

/// What goes wrong while a body is read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It broke off.
    #[error("the app's response broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// It stood still.
    #[error("the app sent nothing for {0:?} in the middle of a response")]
    Idle(Duration),
}

impl AppBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Box<Connection>,
        home: Arc<Upstream>,
    ) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            home,
            idle: None,
        }
    }

    /// Whether all of it has been read.
    pub fn has_ended(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// Both halves move: the body asks, the connection reads.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(connection) = &mut self.connection
            && Pin::new(&mut connection.driver).poll(cx).is_ready()
        {
            self.connection = None;
        }
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let limit = self.home.settings().idle_timeout;
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
        idle.as_mut().poll(cx).map(|()| limit)
    }

    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.pooled
            && connection.is_usable()
        {
            self.home.give_back(connection);
        }
    }
}

impl Body for AppBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.poll_both(cx) {
            Poll::Ready(Some(frame)) => {
                self.idle = None;
                Poll::Ready(Some(frame.map_err(BodyError::Broken)))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => self
                .poll_idle(cx)
                .map(|limit| Some(Err(BodyError::Idle(limit)))),
        }
    }

    /// Never, so that hyper's server takes a `Content-Length` as it stands: told
    /// that there is no body, it drops that of a 304 and moves that of an empty 200.
    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        match self.incoming.is_end_stream() {
            true => SizeHint::default(),
            false => self.incoming.size_hint(),
        }
    }
}

impl Drop for AppBody {
    /// A reader that knows the length stops before it is told the end.
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

impl std::fmt::Debug for AppBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppBody").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
