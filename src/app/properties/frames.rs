//! A client's WebSocket as bytes in a pipe: it reads as little at a time, and as
//! late, as it is told.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What came over the wire.
#[derive(Debug)]
pub(super) enum Frame {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Close(String),
}

/// The client's end of a socket.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: DuplexStream,
    unread: Vec<u8>,
}

impl Pipe {
    pub(super) fn new(stream: DuplexStream) -> Self {
        let unread = Vec::new();
        Self { stream, unread }
    }

    /// The status of the answer to a handshake; none if the server is gone.
    pub(super) async fn shake_hands(&mut self, head: &str) -> Option<u16> {
        self.stream.write_all(head.as_bytes()).await.ok()?;
        let end = loop {
            let mut ends = self.unread.windows(4);
            if let Some(at) = ends.position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.take_in(512).await?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        std::str::from_utf8(&head[9..12]).ok()?.parse().ok()
    }

    /// Takes in at most so many bytes; `None` at the end.
    pub(super) async fn take_in(&mut self, most: usize) -> Option<()> {
        let mut bytes = [0; 512];
        let most = most.min(bytes.len());
        let length = self.stream.read(&mut bytes[..most]).await.ok()?;
        self.unread.extend_from_slice(&bytes[..length]);
        (length > 0).then_some(())
    }

    /// The next frame that is there as a whole.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        let unread = &self.unread;
        let (start, length) = match *unread.get(1)? {
            126 => (
                4,
                usize::from(u16::from_be_bytes([*unread.get(2)?, *unread.get(3)?])),
            ),
            short => (2, usize::from(short)),
        };
        let payload = unread.get(start..start + length)?.to_vec();
        let first = unread[0];
        self.unread.drain(..start + length);
        Some(match first {
            0x81 => Frame::Text(payload),
            0x89 => Frame::Ping(payload),
            0x88 => Frame::Close(String::from_utf8_lossy(&payload[2..]).into_owned()),
            other => panic!("no frame begins with {other:#x}"),
        })
    }

    pub(super) async fn pong(&mut self, payload: &[u8]) {
        self.say(0x8A, payload).await;
    }

    pub(super) async fn close(&mut self) {
        self.say(0x88, &1000_u16.to_be_bytes()).await;
    }

    /// A short frame, masked by zeros. A server that is gone does not hear it.
    async fn say(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [first, 0x80 | length, 0, 0, 0, 0];
        let bytes = [&head[..], payload].concat();
        self.stream.write_all(&bytes).await.ok();
    }
}
