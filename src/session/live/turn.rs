//! What happens next on a socket: it is read and written at a time.

use std::{future::poll_fn, task::Poll};

use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Outgoing, Socket};

/// What happens on a socket.
pub(super) enum Turn {
    /// A message came, a fault, or the end.
    Read(Option<Result<Message, Error>>),
    /// Everything is written, or cannot be.
    Written(Result<(), Error>),
}

/// Waits for what happens next on a socket.
pub(super) async fn turn(socket: &mut Socket, outgoing: &mut Outgoing, reading: bool) -> Turn {
    poll_fn(|cx| {
        if reading && let Poll::Ready(message) = socket.poll_next(cx) {
            return Poll::Ready(Turn::Read(message));
        }
        if outgoing.is_empty() {
            return Poll::Pending;
        }
        outgoing.poll_write(socket, cx).map(Turn::Written)
    })
    .await
}
