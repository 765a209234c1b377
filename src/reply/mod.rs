//! What a client is answered: a body of the app's, a short one of our own, or one that
//! is written while it is sent.

mod piped;
mod watched;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::upstream::{AppBody, BodyError};

pub use piped::{Gone, Piped, Writer, pipe};
pub use watched::{Passed, Watched};

/// The body of a response.
#[derive(Debug)]
pub enum Body {
    /// Our own, whole.
    Own(Option<Bytes>),
    /// The app's, as it comes.
    App(AppBody),
    /// The same, with a copy made on the way.
    Watched(Box<Watched>),
    /// Our own, written while it is sent.
    Piped(Piped),
}

impl Body {
    /// No body.
    pub const EMPTY: Self = Self::Own(None);

    /// Whether all of it has been read.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::App(body) => body.has_ended(),
            Self::Watched(watched) => watched.body().is_none_or(AppBody::has_ended),
            Self::Piped(piped) => piped.has_ended(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::App(body) => Pin::new(body).poll_frame(cx),
            Self::Watched(watched) => watched.poll_frame(cx),
            Self::Piped(piped) => Pin::new(piped).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::App(body) => body.is_end_stream(),
            Self::Watched(watched) => watched.body().is_none_or(AppBody::is_end_stream),
            Self::Piped(piped) => piped.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::App(body) => body.size_hint(),
            Self::Watched(watched) => {
                (watched.body()).map_or_else(SizeHint::default, AppBody::size_hint)
            }
            Self::Piped(_) => SizeHint::default(),
        }
    }
}

/// A short plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", text)
}

/// A JSON text.
pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    typed(status, "application/json", json)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
