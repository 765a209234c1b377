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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const BUFFER: usize = 64 * 1024;

/// One direction: what was read and not yet written, and whether there is more.
#[derive(Debug, Default)]
struct Way {
    left: Bytes,
    ended: bool,
    shut: bool,
}

/// Carries bytes until both sides have said their last, or one breaks. The end
/// of one side is passed on as such, so that half-closed streams work.
pub(super) async fn pump<A, B>(a: (A, Bytes), b: (B, Bytes)) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut a, mut b, mut there, mut back) = (a.0, b.0, Way::from(a.1), Way::from(b.1));
    poll_fn(|cx| {
        let there = there.poll(cx, &mut a, &mut b)?;
        let back = back.poll(cx, &mut b, &mut a)?;
        if there.is_ready() && back.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

impl From<Bytes> for Way {
    fn from(left: Bytes) -> Self {
        Self {
            left,
            ..Self::default()
        }
    }
}

impl Way {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn both_ways_flow_and_each_end_is_passed_on() {
        let (mut client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let early = Bytes::from_static(b"early ");
        let pumped = pump((near, early), (far, Bytes::new()));
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
}
