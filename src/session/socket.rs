//! A client's socket: made of an upgraded connection with the endpoint's limits, or an
//! event stream, which only speaks.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use futures_util::{SinkExt, StreamExt, stream::FusedStream};
use hyper::upgrade::OnUpgrade;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::events::EventStream;
use crate::{routes::Endpoint, upstream::Stream, wire::Wire};

/// What is read at a time: zeroed at each read and kept by each idle session. A
/// frame that is longer gets the room it needs.
const READ: usize = 512;
/// What several small frames are put together to before they are written.
const WRITE: usize = 4 * 1024;

/// What a socket is made of.
#[derive(Debug)]
pub(super) enum Line {
    /// A connection, as soon as the 101 is written.
    WebSocket(OnUpgrade),
    /// The body of a response.
    Events(EventStream),
}

/// A client's socket.
#[expect(
    clippy::large_enum_variant,
    reason = "it stands in the session's task, where most are the large ones"
)]
pub(super) enum Socket {
    WebSocket(WebSocketStream<Stream>),
    Events(EventStream),
}

impl Socket {
    /// Opens a line, with the endpoint's limits.
    pub(super) async fn open(line: Line, endpoint: &Endpoint) -> io::Result<Self> {
        match line {
            Line::WebSocket(client) => Ok(Self::WebSocket(web_socket(client, endpoint).await?)),
            Line::Events(stream) => Ok(Self::Events(stream)),
        }
    }

    /// Whether the client can say anything, and so answer a ping.
    pub(super) fn hears(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    /// What the client says next; nothing, once it is gone.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        match self {
            Self::WebSocket(socket) => socket.poll_next_unpin(cx),
            Self::Events(stream) => stream.poll_gone(cx).map(|()| None),
        }
    }

    /// As [`Self::poll_next`].
    pub(super) async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits until a message can be sent.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Self::WebSocket(socket) => socket.poll_ready_unpin(cx),
            Self::Events(stream) => stream.poll_ready(cx),
        }
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        match self {
            Self::WebSocket(socket) => socket.start_send_unpin(message),
            Self::Events(stream) => {
                stream.send(&message);
                Ok(())
            }
        }
    }

    /// Waits until the client's connection has taken all that was sent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Self::WebSocket(socket) => socket.poll_flush_unpin(cx),
            Self::Events(stream) => stream.poll_flush(cx),
        }
    }

    /// Whether no more can be understood of what the client says, or it is gone.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.is_terminated(),
            Self::Events(_) => false,
        }
    }

    /// Says that nothing more comes, and reads what is not understood until the client
    /// ends, so that it does not reset the connection before the client has read why.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        if let Self::WebSocket(socket) = self {
            let stream = socket.get_mut();
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        Ok(())
    }
}

/// Makes a WebSocket of an upgraded connection.
async fn web_socket(client: OnUpgrade, endpoint: &Endpoint) -> io::Result<WebSocketStream<Stream>> {
    let (stream, early) = Wire::upgraded(client).await?;
    let limits = &endpoint.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .max_write_buffer_size(MAX_WRITE_BUFFER.max(2 * limits.outbox_bytes))
        .max_message_size(Some(limits.max_message))
        .max_frame_size(Some(limits.max_message));
    Ok(
        WebSocketStream::from_partially_read(stream, early.into(), Role::Server, Some(config))
            .await,
    )
}

/// Tungstenite refuses to queue more than this; a single frame of an event must fit.
const MAX_WRITE_BUFFER: usize = 16 * 1024 * 1024;
