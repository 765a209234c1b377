//! The client's body on its way to the app: as it comes, not before the app
//! wants it (`Expect: 100-continue`), and not for ever.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::{
    Copied,
    headers::{self, Upgrades},
};
use crate::{
    upstream::{BoxError, RequestBody, Settings},
    wire::Peer,
};

/// How long a client that expects 100 is kept waiting by an app that says
/// nothing, as long as curl waits by itself.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// Puts head and body together for the app, with its 1xx heads going to the client.
pub(super) fn prepare(
    (mut head, incoming): (Parts, Incoming),
    peer: &Peer,
    app: &Settings,
    copy: Option<Copied>,
) -> Request<RequestBody> {
    // RFC 9110, section 15.2: nothing interim for HTTP/1.0 clients.
    let is_old = head.version < Version::HTTP_11;
    head.version = Version::HTTP_11;
    name_host(&mut head.headers, app);
    name_framing(&mut head.headers, &incoming);
    let expects = head.headers.get(EXPECT);
    let waits = expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let gate = Arc::new(Gate {
        open: AtomicBool::new(!waits),
        waker: Mutex::default(),
    });
    let body = if incoming.is_end_stream() {
        note(copy.as_ref(), None, true);
        RequestBody::Empty
    } else {
        RequestBody::streamed(ClientBody {
            incoming,
            gate: gate.clone(),
            copy,
            limit: app.idle_timeout,
            timer: None,
        })
    };
    let mut request = Request::from_parts(head, body);
    let interim = peer.interim.clone();
    hyper::ext::on_informational(&mut request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            // The server writes its own 100 when the body is first read.
            gate.open();
        } else if !is_old {
            let mut headers = response.headers().clone();
            headers::to_client(&mut headers, Upgrades::Drop);
            // RFC 9110, section 8.6: no length in a 1xx.
            headers.remove(CONTENT_LENGTH);
            interim.send(response.status(), &headers);
        }
    });
    request
}

/// RFC 9112, section 3.2: HTTP/1.1 needs a `Host`, which an HTTP/1.0 client may
/// leave out.
fn name_host(headers: &mut HeaderMap, app: &Settings) {
    if !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::try_from(app.address.authority())
    {
        headers.insert(HOST, host);
    }
}

/// hyper's client takes a body of unknown length for none if the method is one that
/// seldom has one.
fn name_framing(headers: &mut HeaderMap, incoming: &Incoming) {
    if !incoming.is_end_stream() && incoming.size_hint().exact().is_none() {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Keeps a body back until the app asks for it.
#[derive(Debug)]
struct Gate {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_open(&self, cx: &Context<'_>) -> bool {
        let open = self.open.load(Ordering::Acquire);
        if !open {
            let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            *waker = Some(cx.waker().clone());
        }
        open
    }
}

struct ClientBody {
    incoming: Incoming,
    gate: Arc<Gate>,
    copy: Option<Copied>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Keeps up a copy.
fn note(copy: Option<&Copied>, data: Option<&Bytes>, ended: bool) {
    if let Some(copy) = copy {
        let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(data) = data {
            copy.pass(data);
        }
        if ended {
            copy.end();
        }
    }
}

impl ClientBody {
    fn note(&self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        if self.copy.is_some() {
            let data = frame.and_then(|frame| frame.as_ref().ok()?.data_ref());
            let broke = matches!(frame, Some(Err(_)));
            let ended = !broke && (frame.is_none() || self.incoming.is_end_stream());
            note(self.copy.as_ref(), data, ended);
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.gate.is_open(cx) {
            if self.poll_timer(cx, CONTINUE_AFTER).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            self.gate.open();
        }
        let limit = self.limit;
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.timer = None;
                self.note(frame.as_ref());
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => self
                .poll_timer(cx, limit)
                .map(|()| Some(Err(format!("the client sent nothing for {limit:?}").into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
