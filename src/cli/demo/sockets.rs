//! The demo app's own WebSockets, as it had them before Outrigger: three paths,
//! one topic each, a token in the query, 403 for whoever has none.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    app::DemoApp,
    people::{User, parameter, sender},
    python::dumps,
    world::{CHAT, Held},
};

/// A ping each so often, as daphne and uvicorn send them.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// For one write to a reader who does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a socket is for.
struct Place {
    topic: String,
    welcome: Option<Utf8Bytes>,
}

/// Answers a handshake; the socket then lives in a task of its own.
pub(super) fn upgrade(
    app: Arc<DemoApp>,
    mut request: Request<Incoming>,
    place: &[&str],
) -> Result<Response<Full<Bytes>>, StatusCode> {
    let query = request.uri().query();
    let user = sender(request.headers(), query, &app.secret);
    let held = parameter(query, "socket").unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let switching = create_response_with_body(&request, Full::default)
        .map_err(|_| StatusCode::UPGRADE_REQUIRED)?;
    let user = user.ok_or(StatusCode::FORBIDDEN)?;
    let place = Place::of(user, place).ok_or(StatusCode::NOT_FOUND)?;
    let upgrading = hyper::upgrade::on(&mut request);
    let held = Held {
        socket: held,
        user: user.id,
        path,
    };
    // Before the answer: what happens from then on reaches the socket.
    let (hears, number) = {
        let mut world = app.world();
        (world.join(place.topic), world.opened(held))
    };
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        if let Ok(stream) = upgrading.await {
            let socket = open(stream).await;
            live(&app, socket, user, (place.welcome, hears)).await;
        }
        app.world().closed(number);
    });
    Ok(switching)
}

async fn open(stream: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .max_message_size(Some(64 * 1024));
    WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await
}

impl Place {
    fn of(user: User, path: &[&str]) -> Option<Self> {
        let (topic, welcome) = match path {
            ["notifications"] => (format!("notifications_{}", user.id), None),
            ["friend-requests"] => (format!("friend_requests_{}", user.id), None),
            ["messages", chat] if *chat == CHAT.to_string() => {
                (format!("messages_{CHAT}"), Some(welcome(user)))
            }
            _ => return None,
        };
        Some(Self { topic, welcome })
    }
}

/// The first frame of a conversation's socket.
fn welcome(user: User) -> Utf8Bytes {
    let message = format!("Connected as {}", user.name);
    let frame = json!({
        "type": "connection_established", "message": message, "user_id": user.id,
    });
    dumps(&frame).into()
}

/// One socket from its first frame to its end.
async fn live(
    app: &DemoApp,
    mut socket: Socket,
    user: User,
    (welcome, mut hears): (Option<Utf8Bytes>, broadcast::Receiver<Utf8Bytes>),
) {
    let greeted = match welcome {
        Some(frame) => send(&mut socket, Message::Text(frame)).await,
        None => true,
    };
    if greeted {
        talk(app, &mut socket, user, &mut hears).await;
    }
    // The peer may be gone already, or never answer.
    let goodbye = async {
        socket.close(away(app)).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok::<_, Error>(())
    };
    timeout(WRITE_TIMEOUT, goodbye).await.ok();
}

/// Why a socket is closed: the app stops, or the client wished it.
fn away(app: &DemoApp) -> Option<CloseFrame> {
    app.stop.is_cancelled().then(|| CloseFrame {
        code: CloseCode::Away,
        reason: Utf8Bytes::default(),
    })
}

/// Sends what the app says and reads what the client says, until either ends.
async fn talk(
    app: &DemoApp,
    socket: &mut Socket,
    user: User,
    hears: &mut broadcast::Receiver<Utf8Bytes>,
) {
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let mut answered = true;
    loop {
        let frame = tokio::select! {
            frame = hears.recv() => match frame {
                Ok(frame) => Message::Text(frame),
                // What such apps do when a reader is slow: frames are lost.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            message = socket.next() => match message {
                Some(Ok(message)) => {
                    answered = true;
                    heard(app, user, &message);
                    continue;
                }
                _ => return,
            },
            _ = beat.tick() => {
                if !std::mem::replace(&mut answered, false) {
                    return;
                }
                Message::Ping(Bytes::new())
            }
            () = app.stop.cancelled() => return,
        };
        if !send(socket, frame).await {
            return;
        }
    }
}

/// `{"action": "mark_as_read", "notification_id": ...}`; all else is ignored.
fn heard(app: &DemoApp, user: User, message: &Message) {
    let Ok(text) = message.to_text() else { return };
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    let id = message["notification_id"].as_u64();
    if let (Some("mark_as_read"), Some(id)) = (message["action"].as_str(), id) {
        app.world().mark_as_read(user, id);
    }
}

async fn send(socket: &mut Socket, message: Message) -> bool {
    matches!(
        timeout(WRITE_TIMEOUT, socket.send(message)).await,
        Ok(Ok(()))
    )
}
