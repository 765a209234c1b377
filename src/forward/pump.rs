//! Bytes both ways between two streams until both have ended.
//!
//! A buffer is borrowed from the thread while bytes move and nothing is kept
//! while they do not, so that an idle tunnel costs two sockets and a task.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::boundary::Boundary;

const BUFFER: usize = 64 * 1024;

/// One direction: what was read and not yet written, and whether there is more.
#[derive(Debug, Default)]
struct Way {
    left: Bytes,
    frames: Boundary,
    ended: bool,
    shut: bool,
}

/// Two streams and what is on its way between them.
#[derive(Debug)]
pub(super) struct Pump<A, B> {
    a: A,
    b: B,
    there: Way,
    back: Way,
}

impl<A, B> Pump<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Each stream comes with what was read from it already.
    pub(super) fn new((a, from_a): (A, Bytes), (b, from_b): (B, Bytes)) -> Self {
        let (there, back) = (Way::from(from_a), Way::from(from_b));
        Self { a, b, there, back }
    }

    /// Carries bytes until both sides have said their last, or one breaks. The end
    /// of one side is passed on as such, so that half-closed streams work. Can be
    /// left and taken up again: no byte is in between.
    pub(super) async fn run(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Carries bytes until the app is between two WebSocket frames, and ends what
    /// the client hears there with these bytes.
    pub(super) async fn end_with(&mut self, farewell: &[u8]) -> io::Result<()> {
        poll_fn(|cx| match self.poll(cx)? {
            Poll::Pending if !self.back.is_between_frames() => Poll::Pending,
            _ => Poll::Ready(Ok::<_, io::Error>(())),
        })
        .await?;
        self.a.write_all(farewell).await?;
        self.a.shutdown().await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let there = self.there.poll(cx, &mut self.a, &mut self.b)?;
        let back = self.back.poll(cx, &mut self.b, &mut self.a)?;
        let done = there.is_ready() && back.is_ready();
        if done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl From<Bytes> for Way {
    fn from(left: Bytes) -> Self {
        let mut frames = Boundary::default();
        frames.pass(&left);
        Self {
            left,
            frames,
            ..Self::default()
        }
    }
}

impl Way {
    fn is_between_frames(&self) -> bool {
        self.left.is_empty() && self.frames.is_between()
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while self.left.has_remaining() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.left))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.left.advance(written);
            }
            if self.ended {
                return self.poll_shut(cx, to);
            }
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            ready!(self.poll_read(cx, from))?;
        }
    }

    fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<io::Result<()>> {
        thread_local! {
            static SPACE: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into());
        }
        SPACE.with_borrow_mut(|space| {
            let mut buffer = ReadBuf::new(space);
            ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
            self.ended = buffer.filled().is_empty();
            self.frames.pass(buffer.filled());
            self.left = Bytes::copy_from_slice(buffer.filled());
            Poll::Ready(Ok(()))
        })
    }

    fn poll_shut<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        if !self.shut {
            // The other side may be gone already; its own direction tells.
            self.shut = ready!(Pin::new(to).poll_shutdown(cx)).map_or(true, |()| true);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    #[tokio::test]
    async fn both_ways_flow_and_each_end_is_passed_on() {
        let (mut client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let early = Bytes::from_static(b"early ");
        let mut pump = Pump::new((near, early), (far, Bytes::new()));
        let pumped = pump.run();
        let talk = async {
            client.write_all(b"hello over a narrow pipe").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            app.read_to_string(&mut heard).await.unwrap();
            app.write_all(b"still answering after that").await.unwrap();
            drop(app);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            (heard, answer)
        };
        let (done, (heard, answer)) = tokio::join!(pumped, async {
            tokio::time::timeout(std::time::Duration::from_secs(5), talk)
                .await
                .unwrap()
        });
        done.unwrap();
        assert_eq!(heard, "early hello over a narrow pipe");
        assert_eq!(answer, "still answering after that");
    }

    #[tokio::test]
    async fn the_farewell_comes_between_two_frames() {
        let (mut client, near) = duplex(1024);
        let (far, mut app) = duplex(1024);
        let mut pump = Pump::new(
            (near, Bytes::new()),
            (far, Bytes::from_static(b"\x81\x05he")),
        );
        let ending = pump.end_with(b"\x88\x00");
        let talk = async {
            let mut heard = [0; 4];
            client.read_exact(&mut heard).await.unwrap();
            app.write_all(b"llo").await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            [heard.to_vec(), rest].concat()
        };
        let (ended, heard) = tokio::join!(ending, talk);
        ended.unwrap();
        assert_eq!(heard, b"\x81\x05hello\x88\x00");
    }
}
