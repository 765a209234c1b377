//! Bytes both ways between two streams until both have ended. An open tunnel may be
//! silent for ever; one that is half closed, or whose reader does not read, may not.
//!
//! A buffer is borrowed from the thread while bytes move and nothing is kept
//! while they do not, so that an idle tunnel costs two sockets and a task.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};

use super::boundary::Boundary;

const BUFFER: usize = 64 * 1024;

/// How long a tunnel of which one side has ended goes on without a byte.
const HALF_CLOSED: Duration = Duration::from_secs(30);
/// How long a side may take nothing of what is there for it.
const STUCK: Duration = Duration::from_secs(60);
/// How long a client may take to answer its farewell.
const LINGER: Duration = Duration::from_secs(5);

/// One direction: what was read and not yet written, and whether there is more.
#[derive(Debug, Default)]
struct Way {
    left: Bytes,
    frames: Boundary,
    /// Bytes read and written, to see whether anything moves.
    moved: u64,
    flushing: bool,
    ended: bool,
    shut: bool,
}

/// A time in which something has to move. It is looked at when it is over and not
/// with every byte, so that it lasts up to twice as long.
#[derive(Debug)]
struct Quiet {
    limit: Duration,
    moved: u64,
    over: Pin<Box<Sleep>>,
}

/// Two streams and what is on its way between them.
#[derive(Debug)]
pub(super) struct Pump<A, B> {
    a: A,
    b: B,
    there: Way,
    back: Way,
    quiet: Option<Quiet>,
}

impl<A, B> Pump<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Each stream comes with what was read from it already.
    pub(super) fn new((a, from_a): (A, Bytes), (b, from_b): (B, Bytes)) -> Self {
        let (there, back) = (Way::from(from_a), Way::from(from_b));
        Self {
            a,
            b,
            there,
            back,
            quiet: None,
        }
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

    /// Hears what the client still says after its farewell, until it ends: to close
    /// with bytes unread would be a reset, which may overtake the farewell. The app
    /// gets it; what the app says is for nobody any more.
    pub(super) async fn linger(&mut self) {
        let last = poll_fn(|cx| {
            self.back.waste(cx, &mut self.b);
            match self.there.poll(cx, &mut self.a, &mut self.b) {
                Poll::Ready(Err(_)) => self.there.waste(cx, &mut self.a),
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if self.there.ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        // A client that does not end by itself is ended.
        timeout(LINGER, last).await.unwrap_or_default();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let there = self.there.poll(cx, &mut self.a, &mut self.b)?;
        let back = self.back.poll(cx, &mut self.b, &mut self.a)?;
        if there.is_ready() && back.is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_quiet(cx).map(Err)
    }

    /// An error once nothing has moved for longer than the state of the two ways
    /// allows.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let limit = if self.there.is_stuck() || self.back.is_stuck() {
            STUCK
        } else if self.there.ended || self.back.ended {
            HALF_CLOSED
        } else {
            self.quiet = None;
            return Poll::Pending;
        };
        let moved = self.there.moved + self.back.moved;
        let begin = || Quiet {
            limit,
            moved,
            over: Box::pin(sleep(limit)),
        };
        let quiet = self.quiet.get_or_insert_with(begin);
        if quiet.limit != limit {
            *quiet = begin();
        }
        while quiet.over.as_mut().poll(cx).is_ready() {
            if quiet.moved == moved {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            quiet.moved = moved;
            quiet.over.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
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

    /// Whether its reader does not take what is there.
    fn is_stuck(&self) -> bool {
        self.flushing || self.left.has_remaining()
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
                self.moved += written as u64;
            }
            if self.ended {
                return self.poll_shut(cx, to);
            }
            let flushed = Pin::new(&mut *to).poll_flush(cx);
            self.flushing = flushed.is_pending();
            ready!(flushed)?;
            ready!(self.poll_read(cx, from))?;
        }
    }

    /// Reads what there is, for nobody. What breaks has ended.
    fn waste<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) {
        while !self.ended {
            match self.poll_read(cx, from) {
                Poll::Ready(read) => self.ended |= read.is_err(),
                Poll::Pending => break,
            }
        }
        self.left = Bytes::new();
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
            self.moved += buffer.filled().len() as u64;
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

    #[tokio::test(start_paused = true)]
    async fn a_silent_tunnel_lives_until_one_side_has_ended() {
        let (client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let mut pump = Pump::new((near, Bytes::new()), (far, Bytes::new()));
        let day = Duration::from_secs(24 * 3600);
        assert!(timeout(day, pump.run()).await.is_err(), "it lives");
        app.shutdown().await.unwrap();
        let began = Instant::now();
        let ended = timeout(day, pump.run()).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= HALF_CLOSED * 2);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_closed_tunnel_lives_as_long_as_bytes_move() {
        let (mut client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let mut pump = Pump::new((near, Bytes::new()), (far, Bytes::new()));
        app.shutdown().await.unwrap();
        let talk = async {
            for _ in 0..20 {
                tokio::time::sleep(HALF_CLOSED / 2).await;
                client.write_all(b"x").await.unwrap();
                assert_eq!(app.read_u8().await.unwrap(), b'x');
            }
        };
        tokio::select! {
            ended = pump.run() => panic!("{ended:?}"),
            () = talk => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_ends_the_tunnel() {
        let (_client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let mut pump = Pump::new((near, Bytes::new()), (far, Bytes::new()));
        app.write_all(b"more").await.unwrap();
        let writing = async {
            let _gone = app.write_all(&[0; 100]).await;
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        tokio::select! {
            ended = pump.run() => assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut),
            () = writing => {}
        }
        assert!((STUCK..=STUCK * 2).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_farewell_the_client_is_heard_to_its_end() {
        let (mut client, near) = duplex(1024);
        let (far, mut app) = duplex(1024);
        let mut pump = Pump::new((near, Bytes::new()), (far, Bytes::new()));
        pump.end_with(b"\x88\x00").await.unwrap();
        let talk = async {
            // More than fits, for nobody.
            app.write_all(&[0; 4096]).await.unwrap();
            client.write_all(b"last words").await.unwrap();
            let mut farewell = Vec::new();
            client.read_to_end(&mut farewell).await.unwrap();
            assert_eq!(farewell, b"\x88\x00");
            drop(client);
            let mut heard = String::new();
            app.read_to_string(&mut heard).await.unwrap();
            heard
        };
        let began = Instant::now();
        let ((), heard) = tokio::join!(pump.linger(), talk);
        assert_eq!(heard, "last words");
        assert!(began.elapsed() < LINGER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_end_after_its_farewell_is_ended() {
        let (_client, near) = duplex(1024);
        let (far, app) = duplex(1024);
        let mut pump = Pump::new((near, Bytes::new()), (far, Bytes::new()));
        pump.end_with(b"\x88\x00").await.unwrap();
        drop(app);
        let began = Instant::now();
        pump.linger().await;
        assert!(began.elapsed() >= LINGER);
    }
}
