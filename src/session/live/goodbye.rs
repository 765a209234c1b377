//! The goodbye: the last frames and why it ends are written, and meanwhile it is heard
//! what has reached the client.

use std::{future::poll_fn, task::Poll};

use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{CloseReason, Outgoing, Socket, Turn};
use crate::event::Offset;

/// How long a client may take to read the last frames and to answer the close frame.
const GOODBYE: Duration = Duration::from_secs(5);

/// Sends the last frames and why it ends, and reads on until the client has answered:
/// how far each pong says that it has come, and with which number. Says whether it has
/// answered.
pub(in crate::session) async fn say_goodbye(
    mut socket: Socket,
    last: &mut Outgoing,
    reason: &CloseReason,
    on_pong: impl FnMut(Offset, u64),
) -> bool {
    if *reason == CloseReason::ClientGone || *reason == CloseReason::TooSlow {
        return false;
    }
    if *reason != CloseReason::ClientClosed {
        say_why(&mut socket, last, reason);
    }
    // Whoever does not answer is gone; there is nobody left to tell.
    let part = timeout(GOODBYE, part(&mut socket, last, on_pong));
    part.await.unwrap_or(false)
}

fn say_why(socket: &mut Socket, last: &mut Outgoing, reason: &CloseReason) {
    let frame = reason.frame();
    if socket.hears() || !last.is_empty() {
        last.close(frame);
    } else {
        // An event stream takes it although its reader has not come so far.
        socket.send(Message::Close(Some(frame))).unwrap_or_default();
        last.flush();
    }
}

/// Writes and reads at a time: a slow client has no room for the close frame before it has
/// read, and what it has read it says by pongs.
async fn part(
    socket: &mut Socket,
    last: &mut Outgoing,
    mut on_pong: impl FnMut(Offset, u64),
) -> bool {
    let (mut reads, mut is_faulty, mut answered) = (socket.hears(), socket.has_ended(), false);
    while reads || !last.is_empty() {
        match turn(socket, last, reads).await {
            Turn::Read(Some(Ok(Message::Pong(payload)))) => {
                let number = last.confirm(&payload);
                on_pong(last.confirmed(), number);
            }
            Turn::Read(Some(Ok(message))) => answered |= message.is_close(),
            Turn::Read(end) => {
                reads = false;
                is_faulty |= end.is_some();
            }
            Turn::Written(Ok(())) => {}
            // What it said before can still be read.
            Turn::Written(Err(_)) => {
                last.let_go();
            }
        }
    }
    if is_faulty {
        // It is over, whatever comes of that.
        socket.drain().await.ok();
    }
    answered
}

/// Waits for what happens next. Unlike in a session writing comes first: it has an end, and
/// who floods us shall be told why, too.
async fn turn(socket: &mut Socket, last: &mut Outgoing, reads: bool) -> Turn {
    poll_fn(|cx| {
        if !last.is_empty()
            && let Poll::Ready(result) = last.poll_write(socket, cx)
        {
            return Poll::Ready(Turn::Written(result));
        }
        match reads {
            true => socket.poll_next(cx).map(Turn::Read),
            false => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

    use super::*;
    use crate::upstream::Stream;

    #[tokio::test(start_paused = true)]
    async fn who_has_no_room_for_the_close_frame_is_heard() {
        let (mut client, server) = duplex(8);
        let server = Stream::Memory(server);
        let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let mut last = Outgoing::new(Offset(0, 3));
        last.ping(7);
        let mut heard = Vec::new();
        let reads_the_ping = async {
            let mut ping = [0; 7];
            client.read_exact(&mut ping).await.unwrap();
            assert_eq!(&ping, b"\x89\x050-3.7");
            let pong = b"\x8a\x85\0\0\0\x000-3.7";
            client.write_all(pong).await.unwrap();
            // It is not gone when the goodbye is over.
            client
        };
        let on_pong = |at, number| heard.push((at, number));
        let socket = Socket::WebSocket(socket);
        let goodbye = say_goodbye(socket, &mut last, &CloseReason::NoPong, on_pong);
        let (answered, _client) = tokio::join!(goodbye, reads_the_ping);
        assert!(!answered);
        assert_eq!(heard, [(Offset(0, 3), 7)]);
    }
}
