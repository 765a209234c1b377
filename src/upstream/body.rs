//! The bodies that are sent to the app.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Any error of a body that comes from elsewhere.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way to the app.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// A piece that is there already.
    Whole(Option<Bytes>),
    /// A client's body as it comes.
    Streamed(
        Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
        Progress,
    ),
}

/// Counts the pieces of a body that have left, so that a slow upload is not
/// taken for a slow app.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// How many pieces have left.
    pub fn seen(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// A body that comes from elsewhere.
    pub fn streamed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self::Streamed(Box::pin(body), Progress::default())
    }

    /// The counter of a streamed body.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Streamed(_, progress) => Some(progress.clone()),
            Self::Empty | Self::Whole(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(body, progress) => {
                let frame = body.as_mut().poll_frame(cx);
                if frame.is_ready() {
                    progress.0.fetch_add(1, Ordering::Relaxed);
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Streamed(body, _) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}
