//! Clients that come, read as they please, are cut, and come back.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    dice::Dice,
    frames::{Frame, Pipe},
    model::{Listener, Model, Sitting, place},
    world::{World, token},
};

/// One client over all its sockets.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) who: Listener,
    pub(super) dice: Dice,
    pub(super) sittings: Vec<Sitting>,
    token: String,
}

/// What a client shares with the rest of the run.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) world: World,
    pub(super) model: Arc<Mutex<Model>>,
    /// All was said: read on, as fast as it goes.
    pub(super) ending: watch::Receiver<bool>,
}

/// How a client leaves a socket.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Stay,
    /// The connection breaks.
    Cut,
    /// A close frame, and the answer is read.
    Close,
    /// The socket stays open, and nobody is there.
    HalfOpen,
}

/// How a client reads.
#[derive(Clone, Copy, Debug)]
struct Pace {
    bite: usize,
    pauses: u64,
    pause: u64,
}

impl Client {
    pub(super) fn new(who: Listener, dice: Dice) -> Self {
        let token = token(who.user);
        let sittings = Vec::new();
        Self {
            who,
            dice,
            sittings,
            token,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Lives through a life of the process; ends when the last word is heard.
pub(super) async fn live(client: Arc<Mutex<Client>>, here: Here) {
    let mut left_open = Vec::new();
    loop {
        match sit(&client, &here).await {
            Some(Seen::TheEnd) => return,
            Some(Seen::LeftOpen(pipe)) => left_open.push(pipe),
            Some(Seen::Gone) | None => {}
        }
        let away = lock(&client).dice.millis(0..400);
        if !*here.ending.borrow() {
            sleep(away).await;
        } else {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How a sitting ended.
enum Seen {
    TheEnd,
    LeftOpen(Pipe),
    Gone,
}

/// One socket, from the handshake to its end; `None` if there was no 101.
async fn sit(client: &Mutex<Client>, here: &Here) -> Option<Seen> {
    let (mut dice, head) = {
        let mut client = lock(client);
        let target = format!("/ws/{}?token={}", client.who.room, client.token);
        (client.dice.another(), handshake(&target))
    };
    let holds = [64, 256, 1024, 16_384][dice.index(4)];
    let mut sitting = Sitting {
        low: place(here.world.feed.head()),
        ..Sitting::default()
    };
    let mut pipe = Pipe::new(here.world.connect(holds));
    match pipe.shake_hands(&head).await? {
        101 => {}
        503 => return None,
        status => panic!("the handshake was answered with {status}"),
    }
    sitting.high = place(here.world.feed.head());
    lock(client).sittings.push(sitting);
    Some(read(client, here, pipe, dice).await)
}

async fn read(client: &Mutex<Client>, here: &Here, mut pipe: Pipe, mut dice: Dice) -> Seen {
    let pace = Pace::rolled(&mut dice);
    let leave = [Leave::Stay, Leave::Cut, Leave::Close, Leave::HalfOpen][dice.index(4)];
    let leaves_at = Instant::now() + dice.millis(20..1500);
    let mut ending = here.ending.clone();
    loop {
        let hurry = *ending.borrow();
        let pause = dice
            .percent(pace.pauses)
            .then(|| dice.millis(0..pace.pause));
        let pause = pause.filter(|_| !hurry).unwrap_or_default();
        let bite = if hurry { 512 } else { pace.bite };
        tokio::select! {
            biased;
            _ = ending.changed() => {}
            () = sleep_until(leaves_at), if !hurry && !matches!(leave, Leave::Stay) => {
                return go(leave, pipe).await;
            }
            taken = async { sleep(pause).await; pipe.take_in(bite).await } => {
                if taken.is_none() {
                    return Seen::Gone;
                }
                if let Some(seen) = hear(client, here, &mut pipe).await {
                    return seen;
                }
            }
        }
    }
}

/// Takes up all frames that are there.
async fn hear(client: &Mutex<Client>, here: &Here, pipe: &mut Pipe) -> Option<Seen> {
    while let Some(frame) = pipe.frame() {
        match frame {
            Frame::Text(text) => {
                let frame: Value = serde_json::from_slice(&text).unwrap();
                let n = usize::try_from(frame["n"].as_u64().unwrap()).unwrap();
                let version = frame["v"].as_u64().unwrap();
                let mut client = lock(client);
                client.sittings.last_mut().unwrap().heard.push((n, version));
                if lock(&here.model).said[n].last {
                    return Some(Seen::TheEnd);
                }
            }
            Frame::Ping(payload) => pipe.pong(&payload).await,
            Frame::Close(text) => {
                lock(client).sittings.last_mut().unwrap().closed = Some(text);
                pipe.close().await;
                return Some(Seen::Gone);
            }
        }
    }
    None
}

async fn go(leave: Leave, mut pipe: Pipe) -> Seen {
    match leave {
        Leave::Stay | Leave::Cut => Seen::Gone,
        Leave::HalfOpen => Seen::LeftOpen(pipe),
        Leave::Close => {
            pipe.close().await;
            Seen::Gone
        }
    }
}

impl Pace {
    fn rolled(dice: &mut Dice) -> Self {
        let bite = [512, 512, 128, 16][dice.index(4)];
        let pauses = [0, 0, 20, 80][dice.index(4)];
        let pause = [2, 20, 200, 1500][dice.index(4)];
        Self {
            bite,
            pauses,
            pause,
        }
    }
}

fn handshake(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: outrigger.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
