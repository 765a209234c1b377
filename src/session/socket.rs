//! A client's socket: made of an upgraded connection with the endpoint's limits,
//! and left with a goodbye that arrives.

use std::io;

use futures_util::{StreamExt, stream::FusedStream};
use hyper::upgrade::OnUpgrade;
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{CloseReason, outgoing::Outgoing};
use crate::{routes::Endpoint, upstream::Stream, wire::Wire};

/// What is read at a time: zeroed at each read and kept by each idle session. A
/// frame that is longer gets the room it needs.
const READ: usize = 512;
/// What several small frames are put together to before they are written.
const WRITE: usize = 4 * 1024;
/// How long a client may take to read the last frames and to answer the close frame.
const GOODBYE: Duration = Duration::from_secs(5);

/// A client's socket.
pub(super) type Socket = WebSocketStream<Stream>;

/// Makes a WebSocket of an upgraded connection, with the endpoint's limits.
pub(super) async fn socket(client: OnUpgrade, endpoint: &Endpoint) -> io::Result<Socket> {
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

/// Sends the last frames and the close frame, and reads on until the client has
/// answered, so that what it still sends does not reset the connection before it
/// has read why.
pub(super) async fn say_goodbye(mut socket: Socket, mut last: Outgoing, reason: &CloseReason) {
    if *reason == CloseReason::ClientGone || *reason == CloseReason::TooSlow {
        return;
    }
    let goodbye = async {
        if *reason != CloseReason::ClientClosed {
            last.write(&mut socket).await?;
            socket.close(Some(reason.frame())).await?;
        }
        if socket.is_terminated() {
            // After a fault tungstenite reads no more.
            let stream = socket.get_mut();
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        Ok::<_, Error>(())
    };
    // Whoever does not answer is gone; there is nobody left to tell.
    drop(timeout(GOODBYE, goodbye).await);
}
