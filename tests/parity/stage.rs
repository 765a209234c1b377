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

use super::{Cast, Scenario, Transcript, Way};
use crate::harness::{
    self, Outrigger,
    apps::{self, App, Example, Layer, Place, Setting, TOKEN_SECRET, WEBHOOK_SECRET},
    plain::{self, Answer, Door, Handshake, PATIENCE, Socket},
    redis::Redis,
};

/// An app, what stands in front of it, and what clients have seen so far.
pub(crate) struct Stage {
    pub(crate) door: Door,
    pub(crate) app: App,
    pub(crate) front: Option<Outrigger>,
    pub(crate) redis: Option<Redis>,
    /// Of the front.
    pub(crate) config: String,
    pub(crate) runtime: Runtime,
    tokens: RefCell<HashMap<String, String>>,
    transcript: RefCell<Transcript>,
}

impl Stage {
    pub(crate) fn build(cast: Cast, way: Way) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let place = Place::new();
        let redis = cast
            .layer
            .map(|layer| (layer, runtime.block_on(Redis::start())));
        let layer = redis.as_ref().map(|(layer, redis)| (*layer, redis.url()));
        let config = config(cast.example, way, &place, layer.as_ref());
        let front = (way != Way::Direct).then(|| runtime.block_on(start_outrigger(&config)));
        let url = |front: &Outrigger| format!("http://{}", front.addr());
        let setting = Setting {
            example: cast.example,
            server: cast.server,
            webhook: front.as_ref().filter(|_| way == Way::FeedLeg).map(url),
            layer,
        };
        let app = App::start(place, setting);
        let door = front.as_ref().map(|front| Door::Tcp(front.addr()));
        Self {
            door: door.unwrap_or_else(|| app.door()),
            front,
            redis: redis.map(|(_, redis)| redis),
            config,
            runtime,
            ..Self::around(app)
        }
    }

    pub(crate) fn around(app: App) -> Self {
        Self {
            door: app.door(),
            app,
            front: None,
            redis: None,
            config: String::new(),
            runtime: Runtime::new().expect("a runtime"),
            tokens: RefCell::default(),
            transcript: RefCell::default(),
        }
    }

    /// Outrigger is stopped as a service manager does, and the next one is started.
    pub(crate) fn restart_front(&mut self) {
        let mut old = self.front.take().expect("an Outrigger");
        self.runtime.block_on(async {
            old.signal("TERM").await;
            assert!(old.exit().await.success());
        });
        let next = self.runtime.block_on(start_outrigger(&self.config));
        self.door = Door::Tcp(next.addr());
        self.front = Some(next);
    }

    /// Plays one scenario. One that breaks off says so in its transcript.
    pub(crate) fn perform(&self, play: Scenario) -> Transcript {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(self))) {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied());
            self.note(format!("broke off: {}", said.unwrap_or_default()));
        }
        self.transcript.take()
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.transcript.borrow_mut().push(line.into());
    }

    /// Asks the API without noting it.
    pub(crate) fn ask(&self, who: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = self.token(who);
        plain::exchange(&self.door, method, path, Some(&token), body).expect("the API answers")
    }

    /// Somebody does something over HTTP.
    pub(crate) fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let answer = self.ask(who, "POST", path, Some(body));
        let seen = masked(&answer.body);
        self.note(format!("{who} POST {path}: {} {seen}", answer.status));
        answer
    }

    /// Waits until the API says so.
    pub(crate) fn until(&self, who: &str, path: &str, says: impl Fn(&Value) -> bool) {
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
    pub(crate) fn token(&self, who: &str) -> String {
        if let Some(token) = self.tokens.borrow().get(who) {
            return token.clone();
        }
        let key = match self.app.example() {
            Example::FastApi => "access_token",
            _ => "access",
        };
        let token = self.login(who, key);
        self.tokens.borrow_mut().insert(who.into(), token.clone());
        token
    }

    pub(crate) fn login(&self, who: &str, key: &str) -> String {
        let path = match self.app.example() {
            Example::FastApi => "/auth/login",
            _ => "/api/auth/login/",
        };
        let body = json!({ "username": who, "password": "outrigger" });
        let answer = plain::exchange(&self.door, "POST", path, None, Some(&body));
        let answer = answer.expect("the login answers");
        let token = answer.json()[key].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no {key} in {answer:?}"))
    }

    /// Somebody opens a socket with their own token; it must open.
    pub(crate) fn open(&self, who: &str, path: &str) -> Tab<'_> {
        self.open_at(&self.door, who, path)
    }

    pub(crate) fn open_at(&self, door: &Door, who: &str, path: &str) -> Tab<'_> {
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
    pub(crate) fn knock(&self, what: &str, target: &str, headers: &[&str], probe: &str) {
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
pub(crate) struct Tab<'s> {
    stage: &'s Stage,
    who: String,
    pub(crate) socket: Box<Socket>,
}

impl Tab<'_> {
    /// Gives the tab a name of its own in the transcript.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.who = name.into();
        self
    }

    pub(crate) fn says(&mut self, text: &str) {
        self.stage.note(format!("{} says {text}", self.who));
        self.socket.say(Message::text(text));
    }

    /// Notes the next messages, byte for byte but for the time.
    pub(crate) fn hears(&mut self, count: usize) {
        for _ in 0..count {
            let heard = self.socket.hear();
            self.stage
                .note(format!("{} hears {}", self.who, masked(&heard)));
            assert!(heard.starts_with("text "), "{} hears {heard}", self.who);
        }
    }

    /// Closes, and notes how the server answers.
    pub(crate) fn closes(mut self, code: u16, reason: &'static str) {
        self.socket.close(code, reason);
        let heard = self.socket.hear();
        self.stage.note(format!(
            "{} closes {code} {reason:?}, hears {heard}",
            self.who
        ));
    }
}

/// Outrigger with what the examples' configs ask of the environment.
pub(crate) async fn start_outrigger(config: &str) -> Outrigger {
    let env = [
        ("OUTRIGGER_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("DJANGO_SECRET_KEY", TOKEN_SECRET),
        ("JWT_SECRET", TOKEN_SECRET),
    ];
    Outrigger::start_with(config, &env, &[]).await
}

/// The example's own config, with the addresses of the test and one leg for all.
fn config(example: Example, way: Way, place: &Place, layer: Option<&(Layer, String)>) -> String {
    let file = match (example, way) {
        (Example::FastApi, Way::FeedLeg) => apps::folder(example).join("webhook.toml"),
        _ => example.config(),
    };
    let text = std::fs::read_to_string(file).expect("the example's config");
    let replaced = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example's config has no {from}");
        text.replace(from, to)
    };
    let socket = format!("unix:{}", place.socket().display());
    let text = replaced(text, "127.0.0.1:8080", "127.0.0.1:0");
    let text = replaced(text, "127.0.0.1:9464", "127.0.0.1:0");
    let text = replaced(text, "http://127.0.0.1:8000", &socket);
    let redis = "redis://127.0.0.1:6379/0";
    let text = match layer {
        Some((layer, url)) => {
            let named = format!("layer = \"{}\"", layer.name());
            replaced(replaced(text, redis, url), "layer = \"core\"", &named)
        }
        None if example != Example::FastApi => with_the_webhook(&text),
        None => text,
    };
    // Scenes follow one another on sockets of the same users, and end without a goodbye:
    // the next is not to be given what the last may not have read.
    let text = text.replace("[[endpoint]]\n", "[[endpoint]]\nresume = false\n");
    let text = text + "[stop]\nnotice = \"0s\"\nspread = \"0s\"\ndeadline = \"2s\"\n";
    match way {
        Way::AppLeg => replaced(text, "rollout = \"on\"", "rollout = \"off\""),
        _ => text,
    }
}

/// The Django example's config by its second way.
fn with_the_webhook(text: &str) -> String {
    let kept = text.lines().filter(|line| {
        let layer = ["[source.channel_layer]", "redis =", "layer ="];
        !layer.iter().any(|begin| line.starts_with(begin))
    });
    let opened = kept.map(|line| match line.strip_prefix('#') {
        Some(line) if line.contains("source.webhook") || line.starts_with("secret_env") => line,
        _ => line,
    });
    opened.map(|line| format!("{line}\n")).collect()
}

/// A token of exactly these claims, made here with the app's key.
pub(crate) fn forged(claims: &Value) -> String {
    forged_with(TOKEN_SECRET, claims)
}

/// The same with another key.
pub(crate) fn forged_with(key: &str, claims: &Value) -> String {
    harness::jwt_with_header(key, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

/// Seconds since 1970, and so many more.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i64::try_from(now.as_secs()).expect("a near time") + seconds
}

/// The text with `<time>` for each time of day: two runs differ in nothing else.
pub(crate) fn masked(text: &str) -> String {
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
