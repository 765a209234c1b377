//! A WebSocket client whose handshake is bytes, so that a test sees the refusal
//! too, and whose frames are tungstenite's.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message as Frame, protocol::Role},
};

use super::{Client, Message, within};

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The answer to the handshake.
    pub response: Message,
}

/// How a WebSocket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code; 1005 if the frame had none, 1006 if there was no frame.
    pub code: u16,
    /// The close reason.
    pub reason: String,
}

impl Socket {
    /// Opens a WebSocket.
    ///
    /// # Panics
    /// It is refused.
    pub async fn open(addr: SocketAddr, target: &str) -> Self {
        Self::open_with(addr, target, &[]).await
    }

    /// Opens a WebSocket with more headers.
    ///
    /// # Panics
    /// It is refused.
    pub async fn open_with(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let opened = Self::connect(addr, target, headers).await;
        opened.unwrap_or_else(|refusal| panic!("{target}: {} {}", refusal.line, refusal.text()))
    }

    /// Asks for a WebSocket.
    ///
    /// # Errors
    /// The refusal.
    pub async fn connect(
        addr: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Message> {
        let mut client = Client::connect(addr).await;
        client.send(handshake(target, headers)).await;
        let response = client.response("GET").await;
        if response.status() != 101 {
            return Err(response);
        }
        let (stream, unread) = client.into_tcp();
        let stream = WebSocketStream::from_partially_read(stream, unread, Role::Client, None).await;
        Ok(Self { stream, response })
    }

    /// Sends a text.
    pub async fn send(&mut self, text: &str) {
        self.send_frame(Frame::text(text)).await;
    }

    /// Sends a message or control frame.
    pub async fn send_frame(&mut self, frame: Frame) {
        within("the server to read", self.stream.send(frame))
            .await
            .unwrap();
    }

    /// The next message or control frame; `None` when the socket has ended.
    /// Pings are answered as they are read.
    pub async fn frame(&mut self) -> Option<Frame> {
        self.frame_in_time(super::DEADLINE).await
    }

    /// As [`Self::frame`], for what may take longer.
    pub async fn frame_in_time(&mut self, limit: std::time::Duration) -> Option<Frame> {
        let next = tokio::time::timeout(limit, self.stream.next()).await;
        match next.unwrap_or_else(|_| panic!("waited {limit:?} in vain for a frame")) {
            Some(Ok(frame)) => Some(frame),
            Some(Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))) | None => None,
            Some(Err(error)) => panic!("{error}"),
        }
    }

    /// The next text, as it came; pings and pongs are passed over.
    ///
    /// # Panics
    /// The socket closes, or nothing comes in time.
    pub async fn text(&mut self) -> String {
        loop {
            match self.frame().await {
                Some(Frame::Text(text)) => return text.to_string(),
                Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                other => panic!("a text was expected, {other:?} came"),
            }
        }
    }

    /// The next text as JSON.
    pub async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits until the server closes.
    ///
    /// # Panics
    /// A text or a binary message comes first.
    pub async fn closed(&mut self) -> Closed {
        let mut closed = Closed {
            code: 1006,
            reason: String::new(),
        };
        loop {
            match self.frame().await {
                Some(Frame::Close(None)) => closed.code = 1005,
                Some(Frame::Close(Some(frame))) => {
                    let reason = frame.reason.to_string();
                    closed = Closed {
                        code: frame.code.into(),
                        reason,
                    };
                }
                Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                Some(other) => panic!("a close was expected, {other:?} came"),
                None => return closed,
            }
        }
    }

    /// Closes with 1000 and waits for the answer.
    pub async fn close(mut self) {
        within("the closing", self.stream.close(None))
            .await
            .unwrap();
        self.closed().await;
    }

    /// Whether no message comes within a short time; pings do not count.
    pub async fn is_silent(&mut self) -> bool {
        let soon = tokio::time::Instant::now() + std::time::Duration::from_millis(200);
        loop {
            match tokio::time::timeout_at(soon, self.stream.next()).await {
                Err(_) => return true,
                Ok(Some(Ok(Frame::Ping(_) | Frame::Pong(_)))) => {}
                Ok(_) => return false,
            }
        }
    }

    /// The stream, for frames that tungstenite would not send.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}

/// The bytes of a handshake (RFC 6455 section 4.1, with the key of its example).
pub fn handshake(target: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!(
        "GET {target} HTTP/1.1\r\nHost: outrigger.test\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}
