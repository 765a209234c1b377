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
    model::{Exactly, Fate, Heard, How, Listener, Model, Place, Sitting, place},
    world::{World, token},
};
use crate::event::Position;

/// One client over all its sockets.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) who: Listener,
    pub(super) kind: Kind,
    /// Where it is, if it knows that.
    position: Option<Place>,
    pub(super) dice: Dice,
    pub(super) sittings: Vec<Sitting>,
    token: String,
}

/// What a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It speaks `outrigger.v1`.
    Envelope,
    /// It gets frames as they are, and says where it was all the same.
    Since,
    /// It knows nothing of positions.
    Legacy,
}

/// What a client shares with the rest of the run.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) life: u64,
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
    pub(super) fn new(who: Listener, kind: Kind, dice: Dice) -> Self {
        Self {
            who,
            kind,
            position: None,
            dice,
            sittings: Vec::new(),
            token: token(who.user),
        }
    }

    fn handshake(&self) -> String {
        let mut target = format!("/ws/{}?token={}", self.who.room, self.token);
        if let Some((epoch, offset)) = self.position {
            target += &format!("&since={}", Position { epoch, offset });
        }
        let protocol = match self.kind {
            Kind::Envelope => "Sec-WebSocket-Protocol: outrigger.v1\r\n",
            Kind::Since | Kind::Legacy => "",
        };
        format!(
            "GET {target} HTTP/1.1\r\nHost: outrigger.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        )
    }

    fn sitting(&mut self) -> &mut Sitting {
        self.sittings.last_mut().unwrap()
    }

    /// Takes up a text; tells the number of the event that it is of.
    fn take(&mut self, text: &[u8], here: &Here) -> Option<usize> {
        let text: Value = serde_json::from_slice(text).unwrap();
        let (frame, told) = match self.kind {
            Kind::Envelope => (&text["frame"], text["position"].as_str()),
            Kind::Since | Kind::Legacy => (&text, None),
        };
        let told = told.map(|told| place(told.parse().unwrap()));
        if let Some(told) = told {
            self.arrive(told, text["history_lost"] == true);
        }
        if frame["lost"] == true {
            let head = self.begin_anew(here);
            self.sitting()
                .heard
                .push(Heard::Lost(head, Exactly::AtMost));
        }
        let n = usize::try_from(frame["n"].as_u64()?).unwrap();
        let version = frame["v"].as_u64().unwrap();
        if self.kind != Kind::Envelope && self.sitting().since.is_none() {
            let head = place(here.world.feed.head());
            self.sitting().decided.get_or_insert(head);
        }
        self.sitting().heard.push(Heard::Event(n, version));
        let mut model = lock(&here.model);
        let fate = &mut model.said[n].fate;
        if let (Fate::Unknown, Some(told)) = (*fate, told) {
            // The process had ended before it could answer.
            *fate = Fate::At(told);
        }
        if let (Kind::Since, Fate::At(place)) = (self.kind, *fate) {
            self.position = Some(place);
        }
        Some(n)
    }

    /// The server says where the client is.
    fn arrive(&mut self, told: Place, lost: bool) {
        self.position = Some(told);
        let sitting = self.sitting();
        sitting.reached = Some(told);
        match lost {
            true => sitting.heard.push(Heard::Lost(told, Exactly::Here)),
            // The first word on a socket.
            false if sitting.since.is_none() && sitting.heard.is_empty() => {
                sitting.since = Some(told);
            }
            false => {}
        }
    }

    /// History is lost for it: it asks the app for everything, and where that stands.
    fn begin_anew(&mut self, here: &Here) -> Place {
        let head = place(here.world.feed.head());
        if self.kind != Kind::Legacy {
            self.position = Some(head);
        }
        head
    }

    /// The server says goodbye, and why.
    fn sent_off(&mut self, why: &str, here: &Here) {
        if why == "history lost" {
            self.begin_anew(here);
            return self.left(How::SentLost);
        }
        self.left(How::Sent);
    }

    /// The socket is left, or has ended.
    fn left(&mut self, how: How) {
        let now = Instant::now();
        self.sitting().ended.get_or_insert((now, how));
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
    let (mut dice, head, since) = {
        let mut client = lock(client);
        (client.dice.another(), client.handshake(), client.position)
    };
    let holds = [64, 256, 1024, 16_384][dice.index(4)];
    let mut sitting = Sitting {
        life: here.life,
        begun: Some(Instant::now()),
        low: place(here.world.feed.head()),
        since,
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
                return go(client, leave, pipe).await;
            }
            taken = async { sleep(pause).await; pipe.take_in(bite).await } => {
                if taken.is_none() {
                    lock(client).left(How::Cut);
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
                let n = lock(client).take(&text, here);
                if n.is_some_and(|n| lock(&here.model).said[n].last) {
                    return Some(Seen::TheEnd);
                }
            }
            Frame::Ping(payload) => {
                pipe.pong(&payload).await;
                let mut client = lock(client);
                let pong = (client.sitting().heard.len(), Instant::now());
                client.sitting().pongs.push(pong);
            }
            Frame::Close(text) => {
                lock(client).sent_off(&text, here);
                pipe.close().await;
                return Some(Seen::Gone);
            }
        }
    }
    None
}

async fn go(client: &Mutex<Client>, leave: Leave, mut pipe: Pipe) -> Seen {
    let closes = matches!(leave, Leave::Close);
    lock(client).left(if closes { How::Closed } else { How::Cut });
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
