//! A body that is written while it is sent: a bounded buffer between who has something
//! to say and the connection that takes it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use crate::upstream::BodyError;

/// So many bytes wait at most before the writer has to; a piece may go beyond that.
const ROOM: usize = 16 * 1024;

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the body any more")]
pub struct Gone;

/// The end that is written to. The body ends when it is dropped.
pub struct Writer(Arc<Pipe>);

/// The end that is sent.
pub struct Piped(Arc<Pipe>);

#[derive(Default)]
struct Pipe(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BytesMut,
    ended: bool,
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Both ends of a body with nothing in it yet.
pub fn pipe() -> (Writer, Piped) {
    let pipe = Arc::<Pipe>::default();
    (Writer(pipe.clone()), Piped(pipe))
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Waits until so much at most is waiting.
    fn poll_below(&mut self, most: usize, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        if self.gone {
            return Poll::Ready(Err(Gone));
        }
        if self.waiting.len() <= most {
            return Poll::Ready(Ok(()));
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Writer {
    /// Waits until there is room.
    pub fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        self.0.lock().poll_below(ROOM, cx)
    }

    /// Puts a piece behind what is there.
    pub fn write(&self, piece: &[u8]) {
        let mut state = self.0.lock();
        if !state.gone {
            state.waiting.extend_from_slice(piece);
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Waits until the connection has taken everything.
    pub fn poll_flush(&self, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        self.0.lock().poll_below(0, cx)
    }

    /// Waits until nobody reads any more.
    pub fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.gone {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

impl Piped {
    /// Whether all of it has been read.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.0.lock();
        state.ended && state.waiting.is_empty()
    }
}

impl Body for Piped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.0.lock();
        if state.waiting.is_empty() {
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // Taken whole: an idle body holds no room.
        let piece = std::mem::take(&mut state.waiting).freeze();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        state.waiting = BytesMut::new();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Piped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    async fn piece(body: &mut Piped) -> Option<Bytes> {
        let frame = body.frame().await?;
        frame.unwrap().into_data().ok()
    }

    #[tokio::test]
    async fn what_waits_is_taken_at_once_and_the_end_comes_behind_it() {
        let (writer, mut body) = pipe();
        assert_eq!(piece(&mut body).now_or_never(), None);
        writer.write(b"one ");
        writer.write(b"two");
        assert!(poll_fn(|cx| writer.poll_flush(cx)).now_or_never().is_none());
        drop(writer);
        assert!(!body.has_ended());
        assert_eq!(piece(&mut body).await.as_deref(), Some(&b"one two"[..]));
        assert!(body.has_ended());
        assert_eq!(piece(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_full_buffer_makes_the_writer_wait() {
        let (writer, mut body) = pipe();
        writer.write(&[b'x'; ROOM]);
        let ready = || poll_fn(|cx| writer.poll_ready(cx)).now_or_never();
        assert_eq!(ready(), Some(Ok(())), "a piece may go beyond the room");
        writer.write(b"x");
        assert_eq!(ready(), None);
        let waits = poll_fn(|cx| writer.poll_ready(cx));
        let (waited, taken) = tokio::join!(waits, piece(&mut body));
        assert_eq!((waited, taken.unwrap().len()), (Ok(()), ROOM + 1));
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_noticed() {
        let (writer, body) = pipe();
        let gone = poll_fn(|cx| writer.poll_gone(cx));
        let ((), ()) = tokio::join!(gone, async { drop(body) });
        writer.write(b"x");
        assert_eq!(poll_fn(|cx| writer.poll_ready(cx)).await, Err(Gone));
    }
}
