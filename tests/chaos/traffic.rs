//! Somebody who is told one thing after the other by the app, and hears it through
//! Outrigger; both try again until they are told to end.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    harness::{
        Outrigger,
        plain::{self, Door, Handshake, Socket},
    },
    parity::Stage,
};

const NOTIFICATIONS: &str = "/ws/notifications/";
/// Between two things that are said, and between two tries to connect.
const PAUSE: Duration = Duration::from_millis(10);
/// How much is said while something is away.
const WHILE_AWAY: usize = 10;
const TIME_TO_RECOVER: Duration = Duration::from_secs(60);

/// What was said, and what was heard of it.
#[derive(Default)]
struct Log {
    /// Whether the app said yes to each.
    said: Vec<bool>,
    /// How often each was heard.
    heard: HashMap<usize, usize>,
    /// What was said while something was disturbed.
    disturbed: Vec<Range<usize>>,
}

/// What became of what was said in a phase.
pub(super) struct Told {
    said: usize,
    /// The app said no, so its caller knows.
    refused: usize,
    /// The app said yes, and nobody heard.
    pub(super) lost: usize,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = self.said - self.refused - self.lost;
        let Self { said, refused, .. } = self;
        write!(
            f,
            "{said} said, {heard} heard, {refused} refused by the app"
        )
    }
}

pub(super) struct Traffic {
    log: Arc<Mutex<Log>>,
    front: Arc<Mutex<Door>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Zoë tells José, who listens at Outrigger. Returns when he heard the first.
    pub(super) fn between(stage: &Stage) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let over = Arc::<AtomicBool>::default();
        let front = stage.front.as_ref().expect("an Outrigger");
        let front = Arc::new(Mutex::new(Door::Tcp(front.addr())));
        let tell = {
            let (door, token) = (stage.app.door(), stage.token("zoe"));
            let (log, over) = (log.clone(), over.clone());
            move || tell(&door, &token, &log, &over)
        };
        let listen = {
            let path = format!("{NOTIFICATIONS}?token={}", stage.token("jose"));
            let (front, log, over) = (front.clone(), log.clone(), over.clone());
            move || listen(&front, &path, &log, &over)
        };
        let threads = vec![std::thread::spawn(listen), std::thread::spawn(tell)];
        let traffic = Self {
            log,
            front,
            over,
            threads,
        };
        traffic.wait_until_all_is_well(0);
        traffic
    }

    /// Where the listener connects next.
    pub(super) fn next_goes_to(&self, outrigger: &Outrigger) {
        *self.front.lock().unwrap() = Door::Tcp(outrigger.addr());
    }

    /// Something is about to be disturbed: from which number on. All before it are heard.
    pub(super) fn begin(&self) -> usize {
        let begun = self.log.lock().unwrap().said.len();
        let deadline = Instant::now() + TIME_TO_RECOVER;
        loop {
            let log = self.log.lock().unwrap();
            let open = |n: &usize| log.is_missing(*n) && !log.is_disturbed(*n);
            let missing: Vec<_> = (0..begun).filter(open).collect();
            if missing.is_empty() {
                return begun;
            }
            drop(log);
            assert!(
                Instant::now() < deadline,
                "lost in quiet times: {missing:?}"
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until some more has been said, or refused.
    pub(super) fn goes_on(&self) {
        let enough = self.log.lock().unwrap().said.len() + WHILE_AWAY;
        let deadline = Instant::now() + TIME_TO_RECOVER;
        while self.log.lock().unwrap().said.len() < enough {
            assert!(Instant::now() < deadline, "nothing is said any more");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until something is heard that is said after now; what became of what was
    /// said since the phase began.
    pub(super) fn wait_until_all_is_well(&self, begun: usize) -> Told {
        let calm = self.log.lock().unwrap().said.len() + 1;
        let deadline = Instant::now() + TIME_TO_RECOVER;
        let well = loop {
            let log = self.log.lock().unwrap();
            if let Some(first) = (calm..log.said.len()).find(|n| log.heard.contains_key(n)) {
                break first;
            }
            let refused = log.said.iter().rev().take_while(|yes| !**yes).count();
            drop(log);
            assert!(
                Instant::now() < deadline,
                "nothing is heard any more; the app refused the last {refused}"
            );
            std::thread::sleep(PAUSE);
        };
        let mut log = self.log.lock().unwrap();
        log.disturbed.push(begun..well);
        let refused = log.said[begun..well].iter().filter(|yes| !**yes).count();
        let lost = (begun..well).filter(|n| log.is_missing(*n)).count();
        Told {
            said: well - begun,
            refused,
            lost,
        }
    }

    /// Ends it when all that was said in quiet times is heard, and nothing twice.
    pub(super) fn end(mut self) {
        self.begin();
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the traffic");
        }
        let log = self.log.lock().unwrap();
        let twice: Vec<_> = log.heard.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "heard more than once: {twice:?}");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Log {
    /// The app said yes, and it was not heard.
    fn is_missing(&self, n: usize) -> bool {
        self.said[n] && !self.heard.contains_key(&n)
    }

    fn is_disturbed(&self, n: usize) -> bool {
        self.disturbed.iter().any(|range| range.contains(&n))
    }
}

fn tell(door: &Door, token: &str, log: &Mutex<Log>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let n = log.lock().unwrap().said.len();
        let body = json!({ "recipient": 1, "title": n.to_string() });
        let answer = plain::exchange(
            door,
            "POST",
            "/api/notifications/",
            Some(token),
            Some(&body),
        );
        let yes = answer.is_ok_and(|answer| answer.status == 201);
        log.lock().unwrap().said.push(yes);
        std::thread::sleep(PAUSE);
    }
}

fn listen(front: &Mutex<Door>, path: &str, log: &Mutex<Log>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let door = front.lock().unwrap().clone();
        match plain::handshake(&door, path, &[]) {
            Ok(Handshake::Open(mut socket, _)) => hear(&mut socket, log, over),
            Ok(Handshake::Refused(_)) | Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn hear(socket: &mut Socket, log: &Mutex<Log>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let heard = socket.hear();
        let Some(text) = heard.strip_prefix("text ") else {
            if heard == "nothing, for long" {
                continue;
            }
            return;
        };
        let frame: Value = serde_json::from_str(text).expect("JSON");
        let n = frame["notification"]["title"]
            .as_str()
            .and_then(|n| n.parse().ok());
        *log.lock()
            .unwrap()
            .heard
            .entry(n.expect("a number"))
            .or_default() += 1;
    }
}
