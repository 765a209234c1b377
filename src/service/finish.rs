//! How a request ended: counted, measured and logged once, when the last byte of
//! its response is out or nobody wants it any more.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tracing::info;

use crate::{
    metrics::{Answered, Metrics},
    reply::Body,
    upstream::BodyError,
    wire::{Peer, Phase},
};

/// Numbers for requests that have none: random for each process, then counting.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).unwrap_or_default();
        Self {
            process: u64::from_be_bytes(bytes),
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{number:016x}", self.process);
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Finish {
    metrics: Arc<Metrics>,
    peer: Arc<Peer>,
    began: Instant,
    status: StatusCode,
    fault: &'static str,
    bytes: u64,
    line: Option<Box<Line>>,
}

/// What the access log says about it. The query is left out: it may hold a token.
#[derive(Debug)]
struct Line {
    method: Method,
    path: String,
    id: HeaderValue,
}

impl Finish {
    pub(super) fn begin(metrics: Arc<Metrics>, peer: &Arc<Peer>) -> Self {
        metrics.requests_in_flight.inc();
        Self {
            metrics,
            peer: peer.clone(),
            began: Instant::now(),
            // Until there is a response the client can only have gone away.
            status: CLIENT_GONE,
            fault: "client",
            bytes: 0,
            line: None,
        }
    }

    pub(super) fn log<B>(&mut self, request: &Request<B>, id: HeaderValue) {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        self.line = Some(Box::new(Line { method, path, id }));
    }

    /// The head of the response is there.
    pub(super) fn head(&mut self, status: StatusCode, fault: &'static str) {
        self.metrics
            .response_seconds
            .observe(self.began.elapsed().as_secs_f64());
        self.status = status;
        self.fault = fault;
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.peer.activity.enter(Phase::Idle);
        self.metrics.requests_in_flight.dec();
        let (status, fault) = (self.status.as_u16(), self.fault);
        self.metrics
            .requests
            .get_or_create(&Answered { status, fault })
            .inc();
        if let Some(line) = &self.line {
            let Line { method, path, id } = &**line;
            let (address, seconds, bytes) = (
                self.peer.address,
                self.began.elapsed().as_secs_f64(),
                self.bytes,
            );
            info!(target: "access", %method, path, status, fault, bytes, seconds, %address, request_id = %String::from_utf8_lossy(id.as_bytes()), "Request");
        }
    }
}

/// nginx's number for a client that did not wait for its answer.
const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// A response's body, with the request's end tied to it.
#[derive(Debug)]
pub struct Tracked {
    body: Body,
    finish: Finish,
    ended: bool,
}

impl Tracked {
    pub(super) fn new(body: Body, finish: Finish) -> Self {
        let ended = body.has_ended();
        Self {
            body,
            finish,
            ended,
        }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.finish.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Some(Err(error)) => {
                self.finish.fault = "app";
                tracing::warn!(%error, "A response broke off");
            }
            None => {}
        }
        self.ended = !matches!(frame, Some(Ok(_))) || self.body.has_ended();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.ended && self.finish.fault == "none" {
            self.finish.fault = "client";
        }
    }
}
