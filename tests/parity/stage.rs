//! Where a scenario is played: an app, Outrigger in front of it or not, and
//! clients who note what they see.

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use super::{Scenario, Transcript, Way};
use crate::harness::{
    self, Outrigger,
    apps::{self, App, Example, Place, Publishing, TOKEN_SECRET, WEBHOOK_SECRET},
    plain::{self, Answer, Door, Handshake, PATIENCE, Socket},
};

/// An app, what stands in front of it, and what clients have seen so far.
pub(super) struct Stage {
    example: Example,
    door: Door,
    pub(super) app: App,
    tokens: RefCell<HashMap<String, String>>,
    transcript: RefCell<Transcript>,
    _front: Option<Front>,
}

/// Outrigger in front of an app that is not started yet.
struct Front {
    outrigger: Outrigger,
    _runtime: Runtime,
}

impl Front {
    fn start(example: Example, way: Way, place: &Place) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let config = config(example, way, place);
        let env = [
            ("OUTRIGGER_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("DJANGO_SECRET_KEY", TOKEN_SECRET),
            ("JWT_SECRET", TOKEN_SECRET),
        ];
        let outrigger = runtime.block_on(Outrigger::start_with(&config, &env, &[]));
        Self {
            outrigger,
            _runtime: runtime,
        }
    }

    fn publishing(&self, way: Way) -> Option<Publishing> {
        let via = match way {
            Way::Direct | Way::AppLeg => return None,
            Way::FeedLeg => "layer",
            Way::FeedLegByHand => "publish",
        };
        let url = format!("http://{}", self.outrigger.addr());
        Some(Publishing { url, via })
    }
}

impl Stage {
    pub(super) fn build(example: Example, way: Way) -> Self {
        let place = Place::new();
        if way == Way::Direct {
            return Self::around(example, App::start(example, place, None));
        }
        let front = Front::start(example, way, &place);
        let app = App::start(example, place, front.publishing(way).as_ref());
        Self {
            door: Door::Tcp(front.outrigger.addr()),
            _front: Some(front),
            ..Self::around(example, app)
        }
    }

    pub(super) fn around(example: Example, app: App) -> Self {
        Self {
            example,
            door: app.door(),
            app,
            tokens: RefCell::default(),
            transcript: RefCell::default(),
            _front: None,
        }
    }

    /// Plays one scenario. One that breaks off says so in its transcript.
    pub(super) fn perform(&self, play: Scenario) -> Transcript {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(self))) {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied());
            self.note(format!("broke off: {}", said.unwrap_or_default()));
        }
        self.transcript.take()
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        self.transcript.borrow_mut().push(line.into());
    }

    /// Asks the API without noting it.
    pub(super) fn ask(&self, who: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = self.token(who);
        plain::exchange(&self.door, method, path, Some(&token), body).expect("the API answers")
    }

    /// Somebody does something over HTTP.
    pub(super) fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let answer = self.ask(who, "POST", path, Some(body));
        let seen = masked(&answer.body);
        self.note(format!("{who} POST {path}: {} {seen}", answer.status));
        answer
    }

    /// Waits until the API says so.
    pub(super) fn until(&self, who: &str, path: &str, says: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while !says(&last) {
            assert!(Instant::now() < deadline, "{path} still says {last}");
            last = self.ask(who, "GET", path, None).json();
            std::thread::sleep(Duration::from_millis(10));
        }
        self.note(format!("{who} GET {path}: {}", masked(&last.to_string())));
    }

    /// The access token of somebody, by logging in.
    pub(super) fn token(&self, who: &str) -> String {
        if let Some(token) = self.tokens.borrow().get(who) {
            return token.clone();
        }
        let key = match self.example {
            Example::Django => "access",
            Example::FastApi => "access_token",
        };
        let token = self.login(who, key);
        self.tokens.borrow_mut().insert(who.into(), token.clone());
        token
    }

    pub(super) fn login(&self, who: &str, key: &str) -> String {
        let path = match self.example {
            Example::Django => "/api/auth/login/",
            Example::FastApi => "/auth/login",
        };
        let body = json!({ "username": who, "password": "outrigger" });
        let answer = plain::exchange(&self.door, "POST", path, None, Some(&body));
        let answer = answer.expect("the login answers");
        let token = answer.json()[key].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no {key} in {answer:?}"))
    }

    /// Somebody opens a socket with their own token; it must open.
    pub(super) fn open(&self, who: &str, path: &str) -> Tab<'_> {
        self.open_at(&self.door, who, path)
    }

    pub(super) fn open_at(&self, door: &Door, who: &str, path: &str) -> Tab<'_> {
        let path = format!("{path}?token={}", self.token(who));
        match plain::handshake(door, &path, &[]).expect("an answer") {
            Handshake::Open(socket, _) => Tab {
                stage: self,
                who: who.into(),
                socket,
            },
            Handshake::Refused(status) => panic!("{who} is refused with {status}"),
        }
    }

    /// Notes what a handshake comes to: a status, and after a 101 what the server
    /// answers to `probe` (or says before it).
    pub(super) fn knock(&self, what: &str, target: &str, headers: &[&str], probe: &str) {
        let outcome = match plain::handshake(&self.door, target, headers).expect("an answer") {
            Handshake::Refused(status) => status.to_string(),
            Handshake::Open(mut socket, subprotocol) => {
                socket.try_say(Message::text(probe));
                let subprotocol = subprotocol.map(|name| format!(" ({name})"));
                format!(
                    "101{}, {}",
                    subprotocol.unwrap_or_default(),
                    masked(&socket.hear())
                )
            }
        };
        self.note(format!("{what}: {outcome}"));
    }
}

/// One socket of one user.
pub(super) struct Tab<'s> {
    stage: &'s Stage,
    who: String,
    pub(super) socket: Box<Socket>,
}

impl Tab<'_> {
    /// Gives the tab a name of its own in the transcript.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.who = name.into();
        self
    }

    pub(super) fn says(&mut self, text: &str) {
        self.stage.note(format!("{} says {text}", self.who));
        self.socket.say(Message::text(text));
    }

    /// Notes the next messages, byte for byte but for the time.
    pub(super) fn hears(&mut self, count: usize) {
        for _ in 0..count {
            let heard = self.socket.hear();
            self.stage
                .note(format!("{} hears {}", self.who, masked(&heard)));
            assert!(heard.starts_with("text "), "{} hears {heard}", self.who);
        }
    }

    /// Closes, and notes how the server answers.
    pub(super) fn closes(mut self, code: u16, reason: &'static str) {
        self.socket.close(code, reason);
        let heard = self.socket.hear();
        self.stage.note(format!(
            "{} closes {code} {reason:?}, hears {heard}",
            self.who
        ));
    }
}

/// The example's own config, with the addresses of the test and one leg for all.
fn config(example: Example, way: Way, place: &Place) -> String {
    let file = apps::folder(example).join("outrigger.toml");
    let text = std::fs::read_to_string(file).expect("the example's config");
    let replaced = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example's config has no {from}");
        text.replace(from, to)
    };
    let socket = format!("unix:{}", place.socket().display());
    let text = replaced(text, "127.0.0.1:8080", "127.0.0.1:0");
    let text = replaced(text, "127.0.0.1:9464", "127.0.0.1:0");
    let text = replaced(text, "http://127.0.0.1:8000", &socket);
    match way {
        Way::AppLeg => replaced(text, "rollout = \"on\"", "rollout = \"off\""),
        _ => text,
    }
}

/// A token of exactly these claims, made here with the app's key.
pub(super) fn forged(claims: &Value) -> String {
    forged_with(TOKEN_SECRET, claims)
}

/// The same with another key.
pub(super) fn forged_with(key: &str, claims: &Value) -> String {
    harness::jwt_with_header(key, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

/// Seconds since 1970, and so many more.
pub(super) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i64::try_from(now.as_secs()).expect("a near time") + seconds
}

/// The text with `<time>` for each time of day: two runs differ in nothing else.
pub(super) fn masked(text: &str) -> String {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = |at: usize| {
        let part = bytes.get(at..at + SHAPE.len());
        part.is_some_and(|part| {
            part.iter().zip(SHAPE).all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
        })
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !fits(at) {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        out.extend(b"<time>");
        at += SHAPE.len();
        if bytes.get(at) == Some(&b'.') {
            let digits = bytes[at + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            at += 1 + digits.count();
        }
    }
    String::from_utf8(out).expect("the text was UTF-8")
}
