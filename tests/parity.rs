//! Real apps and Outrigger in front of them say the same. Each scenario is
//! played to the app itself, then through Outrigger on the app leg and on the
//! feed leg, every time with fresh data; what the clients saw must be equal,
//! frame by frame and byte by byte.
//!
//! Three things are not compared: the wall clock inside frames (times are
//! masked here, and compared in `the_same_event_has_the_same_bytes_on_both_legs`),
//! and of a refusal or of a 101 all but the status and the subprotocol (servers
//! differ in reason phrase, `Date` and `Server`, and no browser shows them).
//! Everything else that differs on purpose is in the list `DIFFERENCES` of
//! each module, with the reason and with what is expected instead.

mod django;
mod fastapi;

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    self, Outrigger,
    apps::{self, App, Example, Place, Publishing, TOKEN_SECRET, WEBHOOK_SECRET},
    plain::{self, Answer, Door, Handshake, PATIENCE, Socket},
};

/// The way from the clients to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// Outrigger is not there.
    Direct,
    /// Outrigger relays.
    AppLeg,
    /// Outrigger serves what the app's drop-in publishes.
    FeedLeg,
    /// The same, and the app publishes by hand.
    FeedLegByHand,
}

/// A scenario in which a way is allowed to differ from the app itself.
struct Difference {
    scenario: &'static str,
    ways: &'static [Way],
    instead: &'static [&'static str],
    #[allow(dead_code, reason = "for the reader")]
    why: &'static str,
}

const FEED: &[Way] = &[Way::FeedLeg, Way::FeedLegByHand];

/// A play for one or more clients.
type Scenario = fn(&Stage);

/// What was seen, line by line.
type Transcript = Vec<String>;

/// All scenarios of an example, on all ways.
struct Played(HashMap<(&'static str, Way), Transcript>);

/// Declares the scenarios of an example: played together once, in this order,
/// compared by one test each.
macro_rules! scenarios {
    ($example:expr, $ways:expr; $($name:ident)*) => {
        static PLAYED: std::sync::LazyLock<super::Played> = std::sync::LazyLock::new(|| {
            super::Played::play($example, $ways, &[$((stringify!($name), $name as super::Scenario)),*])
        });

        mod every_leg {
            $(#[test]
            fn $name() {
                super::PLAYED.compare(stringify!($name), super::WAYS, super::DIFFERENCES);
            })*
        }
    };
}
use scenarios;

impl Played {
    fn play(example: Example, ways: &[Way], plays: &[(&'static str, Scenario)]) -> Self {
        let on_one_way = |way: Way| {
            let stage = Stage::build(example, way);
            let seen = plays
                .iter()
                .map(|(name, play)| ((*name, way), stage.perform(*play)));
            seen.collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let playing = ways.iter().map(|way| scope.spawn(move || on_one_way(*way)));
            let playing: Vec<_> = playing.collect();
            let played = playing
                .into_iter()
                .flat_map(|one| one.join().expect("a stage"));
            Self(played.collect())
        })
    }

    fn compare(&self, scenario: &'static str, ways: &[Way], differences: &[Difference]) {
        let direct = &self.0[&(scenario, Way::Direct)];
        assert!(!direct.is_empty(), "nothing was seen");
        let broken = direct.iter().find(|line| line.starts_with("broke off"));
        assert_eq!(broken, None, "directly: {direct:#?}");
        for way in ways {
            let differs = |one: &&Difference| one.scenario == scenario && one.ways.contains(way);
            let expected = match differences.iter().find(differs) {
                Some(difference) => difference
                    .instead
                    .iter()
                    .map(|line| (*line).into())
                    .collect(),
                None => direct.clone(),
            };
            let seen = &self.0[&(scenario, *way)];
            assert!(
                *seen == expected,
                "{way:?} differs:\n{}",
                side_by_side(&expected, seen)
            );
        }
    }
}

fn side_by_side(expected: &[String], seen: &[String]) -> String {
    let lines =
        (0..expected.len().max(seen.len())).map(|at| match (expected.get(at), seen.get(at)) {
            (Some(expected), Some(seen)) if expected == seen => format!("    {expected}\n"),
            (expected, seen) => {
                let line = |mark, text: Option<&String>| {
                    text.map(|text| format!("{mark} {text}\n"))
                        .unwrap_or_default()
                };
                line("expected", expected) + &line("seen    ", seen)
            }
        });
    lines.collect()
}

/// An app, what stands in front of it, and what clients have seen so far.
struct Stage {
    example: Example,
    door: Door,
    app: App,
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
    fn build(example: Example, way: Way) -> Self {
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

    fn around(example: Example, app: App) -> Self {
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
    fn perform(&self, play: Scenario) -> Transcript {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(self))) {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied());
            self.note(format!("broke off: {}", said.unwrap_or_default()));
        }
        self.transcript.take()
    }

    fn note(&self, line: impl Into<String>) {
        self.transcript.borrow_mut().push(line.into());
    }

    /// Asks the API without noting it.
    fn ask(&self, who: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = self.token(who);
        plain::exchange(&self.door, method, path, Some(&token), body).expect("the API answers")
    }

    /// Somebody does something over HTTP.
    fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let answer = self.ask(who, "POST", path, Some(body));
        let seen = masked(&answer.body);
        self.note(format!("{who} POST {path}: {} {seen}", answer.status));
        answer
    }

    /// Waits until the API says so.
    fn until(&self, who: &str, path: &str, says: impl Fn(&Value) -> bool) {
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
    fn token(&self, who: &str) -> String {
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

    fn login(&self, who: &str, key: &str) -> String {
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
    fn open(&self, who: &str, path: &str) -> Tab<'_> {
        self.open_at(&self.door, who, path)
    }

    fn open_at(&self, door: &Door, who: &str, path: &str) -> Tab<'_> {
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
    fn knock(&self, what: &str, target: &str, headers: &[&str], probe: &str) {
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
struct Tab<'s> {
    stage: &'s Stage,
    who: String,
    socket: Box<Socket>,
}

impl Tab<'_> {
    /// Gives the tab a name of its own in the transcript.
    fn named(mut self, name: &str) -> Self {
        self.who = name.into();
        self
    }

    fn says(&mut self, text: &str) {
        self.stage.note(format!("{} says {text}", self.who));
        self.socket.say(Message::text(text));
    }

    /// Notes the next messages, byte for byte but for the time.
    fn hears(&mut self, count: usize) {
        for _ in 0..count {
            let heard = self.socket.hear();
            self.stage
                .note(format!("{} hears {}", self.who, masked(&heard)));
            assert!(heard.starts_with("text "), "{} hears {heard}", self.who);
        }
    }

    /// Closes, and notes how the server answers.
    fn closes(mut self, code: u16, reason: &'static str) {
        self.socket.close(code, reason);
        let heard = self.socket.hear();
        self.stage.note(format!(
            "{} closes {code} {reason:?}, hears {heard}",
            self.who
        ));
    }
}

/// One event is heard by a socket that goes to the app itself and by one that
/// goes through Outrigger, with the same bytes: the time in it too.
fn assert_same_bytes(example: Example, path: &str, act: fn(&Stage)) {
    for way in [Way::AppLeg, Way::FeedLeg] {
        let stage = Stage::build(example, way);
        let mut direct = stage.open_at(&stage.app.door(), "jose", path);
        let mut through = stage.open("jose", path);
        act(&stage);
        let heard = direct.socket.hear();
        assert_ne!(heard, masked(&heard), "a time was expected");
        assert_eq!(heard, through.socket.hear(), "{way:?}");
    }
}

/// Where nobody listens: the app goes on, and says so in its log.
fn assert_it_does_without(example: Example, path: &str, act: fn(&Stage)) {
    let nobody = Publishing {
        url: "http://127.0.0.1:1".into(),
        via: "layer",
    };
    let app = App::start(example, Place::new(), Some(&nobody));
    let stage = Stage::around(example, app);
    let mut tab = stage.open("jose", path);
    act(&stage);
    tab.hears(1);
    let log = stage.app.log();
    assert!(log.contains("Event not published"), "{log}");
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

/// A token made here, with the app's key.
fn forged(claims: &Value) -> String {
    harness::jwt(TOKEN_SECRET, claims)
}

/// Seconds since 1970, and so many more.
fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i64::try_from(now.as_secs()).expect("a near time") + seconds
}

/// The text with `<time>` for each time of day: two runs differ in nothing else.
fn masked(text: &str) -> String {
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
