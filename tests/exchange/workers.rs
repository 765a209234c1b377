//! The FastAPI example with no line changed, under two uvicorn workers: what its own
//! manager loses between them, and what reaches everybody by exchanges that pass.

use std::{collections::HashSet, sync::Mutex};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Outrigger,
    apps::{self, App, Example, Place, Server, Setting},
    plain::{Door, Handshake, Socket, exchange, handshake},
};

const MESSAGES: usize = 500;
/// So many are sent at the same time.
const AT_ONCE: usize = 8;
const PEOPLE: [&str; 2] = ["jose", "zoe"];

fn login(door: &Door, name: &str) -> String {
    let body = json!({ "username": name, "password": "outrigger" });
    let answer = exchange(door, "POST", "/auth/login", None, Some(&body));
    let token = answer.expect("an answer").json()["access_token"].take();
    token.as_str().expect("a token").to_owned()
}

fn listen(door: &Door, path: &str, token: &str) -> Box<Socket> {
    match handshake(door, &format!("{path}?token={token}"), &[]).expect("an answer") {
        Handshake::Open(socket, _) => socket,
        Handshake::Refused(status) => panic!("{path}: {status}"),
    }
}

/// Both send, several at a time; all have been answered with 201 when this returns.
fn send_all(door: &Door, tokens: &[String], path: &str, body: impl Fn(usize) -> Value + Sync) {
    let next = Mutex::new(0..MESSAGES);
    let take = || next.lock().expect("no panic").next();
    let send = || {
        while let Some(number) = take() {
            let token = &tokens[number % 2];
            let answer = exchange(door, "POST", path, Some(token), Some(&body(number)));
            assert_eq!(answer.expect("an answer").status, 201);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(send);
        }
    });
}

fn hear(socket: &mut Socket) -> Value {
    let heard = socket.hear();
    let text = heard.strip_prefix("text ");
    serde_json::from_str(text.unwrap_or_else(|| panic!("{heard}"))).expect("JSON")
}

/// The messages heard before the answer to a ping, or all there are.
fn heard(socket: &mut Socket, all: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut asked = false;
    loop {
        if !asked && seen.len() >= all {
            socket.say(Message::text(r#"{"type": "ping"}"#));
            asked = true;
        }
        let message = hear(socket);
        match message["type"].as_str() {
            Some("pong") => return seen,
            _ => seen.push(match message["content"].as_str() {
                Some(content) => content.to_owned(),
                None => message["from_user_id"].to_string(),
            }),
        }
    }
}

/// The example's own file, with the addresses of the test.
fn config(place: &Place) -> String {
    let file = apps::folder(Example::FastApi).join("outrigger.toml");
    let text = std::fs::read_to_string(file).expect("the example's config");
    // A second socket of the same user is not to be given what the first had: this is
    // about who hears what, not about who comes back.
    text.replace("[[endpoint]]\n", "[[endpoint]]\nresume = false\n")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9464", "127.0.0.1:0")
        .replace(
            "http://127.0.0.1:8000",
            &format!("unix:{}", place.socket().display()),
        )
}

/// Two workers, and Outrigger in front of them.
fn front() -> (Runtime, Outrigger, App, Door) {
    let place = Place::new();
    let runtime = Runtime::new().expect("a runtime");
    let outrigger = runtime.block_on(Outrigger::start(&config(&place)));
    let workers = Setting {
        server: Server::TwoWorkers,
        ..Setting::plain(Example::FastApi)
    };
    let app = App::start(place, workers);
    let door = Door::Tcp(outrigger.addr());
    (runtime, outrigger, app, door)
}

#[test]
fn two_workers_lose_nothing() {
    let (_runtime, _outrigger, app, door) = front();
    let tokens = PEOPLE.map(|name| login(&door, name));
    // Past Outrigger: a worker tells the sockets it has itself.
    let mut direct = tokens
        .each_ref()
        .map(|token| listen(&app.door(), "/ws/messages/1", token));
    let mut through = tokens
        .each_ref()
        .map(|token| listen(&door, "/ws/messages/1", token));
    send_all(
        &door,
        &tokens,
        "/chats/1/messages",
        |number| json!({ "content": number.to_string() }),
    );
    for (name, socket) in PEOPLE.iter().zip(&mut direct) {
        let count = heard(socket, 0).len();
        eprintln!("the app's own manager: {name} hears {count} of {MESSAGES}");
    }
    for (name, socket) in PEOPLE.iter().zip(&mut through) {
        let heard = heard(socket, MESSAGES);
        let distinct: HashSet<_> = heard.iter().collect();
        eprintln!("exchange: {name} hears {} of {MESSAGES}", distinct.len());
        assert_eq!((heard.len(), distinct.len()), (MESSAGES, MESSAGES));
    }
}

#[test]
fn connection_requests_reach_both_users() {
    let (_runtime, _outrigger, app, door) = front();
    let tokens = PEOPLE.map(|name| login(&door, name));
    let listen = |door: &Door| {
        let open = |token: &String| listen(door, "/ws/connections", token);
        tokens.each_ref().map(open)
    };
    let (mut direct, mut through) = (listen(&app.door()), listen(&door));
    // Users 1 and 2, each to the other.
    let other = |number: usize| json!({ "to_user_id": 2 - number % 2 });
    send_all(&door, &tokens, "/connections", other);
    let half = MESSAGES / 2;
    for (name, socket) in PEOPLE.iter().zip(&mut direct) {
        let count = heard(socket, 0).len();
        eprintln!("the app's own manager: {name} hears {count} of {half} connection requests");
    }
    for ((name, socket), from) in PEOPLE.iter().zip(&mut through).zip(["2", "1"]) {
        let heard = heard(socket, half);
        eprintln!(
            "exchange: {name} hears {} of {half} connection requests",
            heard.len()
        );
        assert_eq!(heard, vec![from; half]);
    }
}

/// The frames are those that the app itself would have sent, to the byte.
#[test]
fn frames_are_those_of_the_app() {
    let place = Place::new();
    let runtime = Runtime::new().expect("a runtime");
    let outrigger = runtime.block_on(Outrigger::start(&config(&place)));
    let app = App::start(place, Setting::plain(Example::FastApi));
    let door = Door::Tcp(outrigger.addr());
    let tokens = PEOPLE.map(|name| login(&door, name));
    let pairs = [
        (
            "/ws/messages/1",
            0,
            "/chats/1/messages",
            json!({"content": "Grüße 🚣", "attachment": "a.png"}),
        ),
        (
            "/ws/connections",
            1,
            "/connections",
            json!({"to_user_id": 2}),
        ),
        ("/ws/feed", 1, "/posts", json!({"content": "a post"})),
        (
            "/ws/feed",
            0,
            "/posts/1/comments",
            json!({"content": "a comment"}),
        ),
    ];
    for (path, hearer, target, body) in pairs {
        let mut direct = listen(&app.door(), path, &tokens[hearer]);
        let mut through = listen(&door, path, &tokens[hearer]);
        let answer = exchange(&door, "POST", target, Some(&tokens[0]), Some(&body));
        assert!(answer.expect("an answer").status < 300);
        let wanted = direct.hear();
        assert!(wanted.starts_with("text {"), "{wanted}");
        assert_eq!(through.hear(), wanted);
    }
    let mut direct = tokens
        .each_ref()
        .map(|token| listen(&app.door(), "/ws/connections", token));
    let mut through = tokens
        .each_ref()
        .map(|token| listen(&door, "/ws/connections", token));
    let answer = exchange(
        &door,
        "POST",
        "/connections/1/accept",
        Some(&tokens[1]),
        None,
    );
    assert_eq!(answer.expect("an answer").status, 200);
    for (direct, through) in direct.iter_mut().zip(&mut through) {
        assert_eq!(through.hear(), direct.hear());
    }
}
