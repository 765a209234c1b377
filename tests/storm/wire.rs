//! A client's socket as bytes: so cheap that thousands of them leave the machine to
//! the server.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// For a connection and the answer to a handshake.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes over a socket.
pub(crate) enum Frame {
    Text(String),
    Ping(Vec<u8>),
    Close(u16),
}

/// An open WebSocket.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    /// Opens one; no status if the server went away.
    pub(crate) async fn open(to: SocketAddr, head: &str) -> Result<Self, Option<u16>> {
        let opened = timeout(PATIENCE, Self::try_open(to, head)).await;
        opened.unwrap_or(Ok(Err(None))).unwrap_or(Err(None))
    }

    async fn try_open(to: SocketAddr, head: &str) -> io::Result<Result<Self, Option<u16>>> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(head.as_bytes()).await?;
        let unread = Vec::with_capacity(512);
        let mut wire = Self { stream, unread };
        let end = loop {
            let mut ends = wire.unread.windows(4);
            if let Some(at) = ends.position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            wire.take_in().await?;
        };
        let status = std::str::from_utf8(&wire.unread[9..12]).unwrap().parse();
        wire.unread.drain(..end);
        Ok(match status {
            Ok(101) => Ok(wire),
            other => Err(other.ok()),
        })
    }

    async fn take_in(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next frame; `None` at the end. Whoever stops waiting loses nothing.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.whole() {
                return Some(frame);
            }
            self.take_in().await.ok()?;
        }
    }

    fn whole(&mut self) -> Option<Frame> {
        let unread = &self.unread;
        let (start, length) = match *unread.get(1)? {
            126 => {
                let length = [*unread.get(2)?, *unread.get(3)?];
                (4, usize::from(u16::from_be_bytes(length)))
            }
            short => (2, usize::from(short)),
        };
        let payload = unread.get(start..start + length)?.to_vec();
        let first = unread[0];
        self.unread.drain(..start + length);
        Some(match first {
            0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
            0x89 => Frame::Ping(payload),
            0x88 => Frame::Close(u16::from_be_bytes([payload[0], payload[1]])),
            other => panic!("a frame begins with {other:#x}"),
        })
    }

    /// Answers a ping as browsers do; a server that is gone does not hear it.
    pub(crate) async fn pong(&mut self, payload: &[u8]) {
        self.say(0x8A, payload).await;
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        self.say(0x88, &1000_u16.to_be_bytes()).await;
        let rest = async { while self.frame().await.is_some() {} };
        timeout(Duration::from_secs(1), rest).await.ok();
    }

    /// Breaks the connection: what was not read is lost, and the server is told so.
    pub(crate) fn reset(self) {
        let linger = Some(Duration::ZERO);
        SockRef::from(&self.stream).set_linger(linger).unwrap();
    }

    async fn say(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [first, 0x80 | length, 0, 0, 0, 0];
        let bytes = [&head[..], payload].concat();
        let write = self.stream.write_all(&bytes);
        timeout(PATIENCE, write).await.ok();
    }
}
