//! A client's connection as bytes: what is read and written, the 1xx heads that
//! go out between, how long it has been quiet, and whether its lines end properly.

mod activity;
mod heads;
mod interim;

use std::{
    any::Any,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::Stream;

use heads::Heads;

pub use activity::{Activity, Phase, Timeouts, Watchdog};
pub use interim::Interim;

/// Who is at the other end of a connection, and the handles that its requests
/// need. Shared by all requests of the connection and by what it is upgraded to.
pub struct Peer {
    /// The neighbour's address.
    pub address: SocketAddr,
    /// Whether the connection came in by TLS.
    pub secure: bool,
    /// Where 1xx heads are put.
    pub interim: Arc<Interim>,
    /// What the connection is doing.
    pub activity: Arc<Activity>,
    /// Counts the connection against the limits until the last holder is gone.
    pub slot: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The stream of a client, as the HTTP server sees it.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    interim: Arc<Interim>,
    activity: Arc<Activity>,
    heads: Heads,
    /// Everything the server wanted to write has been written: the only moments
    /// at which a 1xx head may go out. That this is not within a response, is up to
    /// [`Interim::drained`].
    between: bool,
}

impl Wire {
    /// Wraps a stream.
    pub fn new(stream: Stream, interim: Arc<Interim>, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            interim,
            activity,
            heads: Heads::new(),
            between: true,
        }
    }

    /// The stream itself, once the server has switched protocols, and what was read
    /// beyond the request. That is copied: a slice of the server's read buffer,
    /// even an empty one, would keep all of it for as long as the stream lives.
    ///
    /// # Errors
    /// The connection broke before.
    pub async fn upgraded(client: OnUpgrade) -> io::Result<(Stream, Bytes)> {
        let upgraded = client.await.map_err(io::Error::other)?;
        let parts = upgraded
            .downcast::<TokioIo<Self>>()
            .map_err(|_| io::Error::other("the connection is of a foreign kind"))?;
        let early = Bytes::copy_from_slice(&parts.read_buf);
        Ok((parts.io.into_inner().stream, early))
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.between && self.interim.is_waiting() {
            let (stream, activity) = (&mut self.stream, &self.activity);
            return self.interim.poll_drain(|bytes| {
                let result = Pin::new(&mut *stream).poll_write(cx, bytes);
                activity.wrote(result.is_ready());
                result
            });
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.between = false;
        self.activity.wrote(result.is_ready());
        if self.activity.take_session() {
            // A session does without where that cannot be had.
            self.stream.keep_little_unsent().ok();
        }
        result
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(new @ [_, ..]) = buffer.filled().get(before..) {
            self.activity.read();
            if let Some(number) = self.heads.look(new) {
                self.activity.improper_from(number);
            }
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes when its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.between = true;
        ready!(self.poll_interim(cx))?;
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.activity.flushed(result.is_ready());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use http::{HeaderMap, Request, Response, StatusCode};
    use http_body_util::{BodyExt, Full};
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        time::timeout,
    };

    use super::*;

    /// Writes until the kernel takes no more.
    fn fill(stream: &UnixStream) -> usize {
        let mut filled = 0;
        while let Ok(count) = stream.try_write(&[b'#'; 4096]) {
            filled += count;
        }
        filled
    }

    #[tokio::test]
    async fn an_interim_head_never_comes_within_a_response() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let before = fill(&server);
        let interim = Arc::new(Interim::default());
        let wire = Wire::new(Stream::Unix(server), interim.clone(), Arc::default());
        let queued = Arc::new(tokio::sync::Notify::new());
        let waiting = queued.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let (interim, queued) = (interim.clone(), queued.clone());
            async move {
                // The body is asked for, so the server has a 100 of its own to write.
                let mut body = request.into_body();
                let first = timeout(Duration::from_millis(1), body.frame()).await;
                assert!(first.is_err(), "the client waits for the 100");
                interim.send(StatusCode::EARLY_HINTS, &HeaderMap::new());
                queued.notify_one();
                interim.drained().await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"whole"))))
            }
        });
        let connection = http1::Builder::new()
            .auto_date_header(false)
            .serve_connection(TokioIo::new(wire), answer);
        let head =
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        let talk = async {
            client.write_all(head.as_bytes()).await.unwrap();
            waiting.notified().await;
            client.read_exact(&mut vec![0; before]).await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            String::from_utf8(received).unwrap()
        };
        let both = async { tokio::join!(connection, talk).1 };
        let received = timeout(Duration::from_secs(20), both).await.unwrap();
        assert_eq!(
            received,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole"
        );
    }

    #[tokio::test]
    async fn an_interim_head_that_does_not_move_is_cut() {
        let (_client, server) = UnixStream::pair().unwrap();
        fill(&server);
        let (interim, limit) = (Arc::new(Interim::default()), Duration::from_millis(100));
        let watchdog = Watchdog::new(Timeouts {
            idle: Duration::MAX,
            header: Duration::MAX,
            write: limit,
        });
        let activity = watchdog.watch();
        let mut wire = Wire::new(Stream::Unix(server), interim.clone(), activity.clone());
        activity.enter(Phase::Busy);
        interim.send(StatusCode::EARLY_HINTS, &HeaderMap::new());
        let stop = tokio_util::sync::CancellationToken::new();
        let reason = tokio::select! {
            _ = wire.flush() => "flushed",
            () = watchdog.run(stop) => "stopped",
            reason = activity.overstayed() => reason,
        };
        assert_eq!(reason, "write_timeout");
    }
}
