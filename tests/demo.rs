//! `outrigger demo`, driven as its page drives it, and the page itself in a browser.

mod browser;

use std::{net::SocketAddr, path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use crate::harness::{Client, Log, Socket, within};

pub(crate) use self::browser::Browser;

const LEGACY: [&str; 3] = [
    "/ws/notifications/",
    "/ws/friend-requests/",
    "/ws/messages/7",
];
const ADA: u64 = 1;
const ZOE: u64 = 2;

/// A running demo; killed when dropped.
struct Demo {
    child: Child,
    output: Log,
    addr: SocketAddr,
    /// Where it makes its folder; a killed demo cannot clean up.
    _dir: TempDir,
}

impl Demo {
    async fn start(args: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        command.env("TMPDIR", dir.path());
        command.arg("demo").args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = Log::read(child.stdout.take().unwrap());
        let page = line(&output, "page").await;
        let addr = page.trim_start_matches("http://").trim_end_matches('/');
        let addr = addr.parse().unwrap();
        Self {
            child,
            output,
            addr,
            _dir: dir,
        }
    }

    /// Calls an API; the answer's JSON.
    async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        );
        let answer = Client::connect(self.addr).await.exchange(request).await;
        assert!(
            answer.status() < 300,
            "{path}: {} {}",
            answer.line,
            answer.text()
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn token(&self, login: &str) -> String {
        let answer = self
            .call("POST", "/api/login", "", &json!({ "user": login }))
            .await;
        answer["access"].as_str().unwrap().to_owned()
    }

    /// What the frontend is told by Outrigger.
    async fn realtime_flag(&self, token: &str) -> bool {
        let answer = self
            .call("GET", "/outrigger/flags", token, &json!({}))
            .await;
        answer["endpoints"]["realtime"]["realtime"]
            .as_bool()
            .unwrap()
    }

    /// Names of the sockets that the app itself holds.
    async fn held(&self) -> Vec<String> {
        let state = self.call("GET", "/demo/state", "", &json!({})).await;
        let held = state["held"].as_array().unwrap().iter();
        held.map(|held| held["socket"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn turn(&self, rollout: &str) {
        let change = self
            .call("POST", "/demo/rollout", "", &json!({ "rollout": rollout }))
            .await;
        let generation = |name: &str| change[name].as_u64().unwrap();
        assert_eq!(generation("after"), generation("before") + 1, "{change}");
    }

    async fn open(&self, path: &str, token: &str, name: &str) -> Socket {
        Socket::open(self.addr, &format!("{path}?token={token}&socket={name}")).await
    }

    async fn open_legacy(&self, token: &str, name: &str) -> [Socket; 3] {
        let [notifications, friends, messages] = LEGACY;
        [
            self.open(notifications, token, name).await,
            self.open(friends, token, name).await,
            self.open(messages, token, name).await,
        ]
    }

    /// Stops it as Ctrl-C does.
    async fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        let killed = Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .await;
        assert!(killed.unwrap().success());
    }
}

/// What is printed beside a word at the start of a line.
async fn line(output: &Log, word: &str) -> String {
    let find = || {
        let lines = output.lines().into_iter();
        lines
            .filter_map(|line| Some(line.trim().strip_prefix(word)?.trim().to_owned()))
            .next()
    };
    crate::harness::until(&format!("the line `{word}`"), || async { find().is_some() }).await;
    find().unwrap()
}

#[tokio::test]
async fn frames_are_the_same_bytes_on_both_legs() {
    let demo = Demo::start(&["--port", "0"]).await;
    let (ada, zoe) = (demo.token("ada").await, demo.token("zoe").await);
    assert!(!demo.realtime_flag(&zoe).await);
    let mut by_app = demo.open_legacy(&zoe, "by-app").await;
    assert_eq!(demo.held().await, ["by-app"; 3]);

    demo.turn("on").await;
    assert!(demo.realtime_flag(&zoe).await);
    let mut by_feed = demo.open_legacy(&zoe, "by-feed").await;
    let mut unified = demo.open("/ws/realtime/", &zoe, "unified").await;
    assert_eq!(demo.held().await, ["by-app"; 3]);
    let [_, _, messages] = &mut by_app;
    let [_, _, messages_too] = &mut by_feed;
    assert_eq!(messages.text().await, messages_too.text().await);

    let to = |text: &str| json!({ "to": ZOE, "text": text });
    demo.call("POST", "/api/friend-requests/", &ada, &to(""))
        .await;
    let friend = same(&mut by_app[1], &mut by_feed[1], &mut unified).await;
    assert_eq!(friend["type"], "friend_request_update");
    let noted = demo
        .call("POST", "/api/notifications/", &ada, &to("Grüße \"😀\"\n"))
        .await;
    let notification = same(&mut by_app[0], &mut by_feed[0], &mut unified).await;
    assert_eq!(
        notification,
        json!({ "type": "notification", "notification": noted })
    );
    let said = json!({ "content": "Grüße \"😀\"" });
    demo.call("POST", "/api/chats/7/messages/", &ada, &said)
        .await;
    let message = same(&mut by_app[2], &mut by_feed[2], &mut unified).await;
    assert_eq!(message["message"]["content"], said["content"]);

    let read = json!({ "action": "mark_as_read", "notification_id": noted["id"] });
    unified.send(&read.to_string()).await;
    let notification = same(&mut by_app[0], &mut by_feed[0], &mut unified).await;
    assert_eq!(notification["notification"]["is_read"], true);
}

/// The next frame of three sockets, which must be one text.
async fn same(by_app: &mut Socket, by_feed: &mut Socket, unified: &mut Socket) -> Value {
    let text = by_app.text().await;
    assert_eq!(text, by_feed.text().await);
    assert_eq!(text, unified.text().await);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_way_back_leaves_open_sockets_open() {
    let demo = Demo::start(&["--port", "0"]).await;
    let (ada, zoe) = (demo.token("ada").await, demo.token("zoe").await);
    demo.turn("on").await;
    let mut unified = demo.open("/ws/realtime/", &ada, "unified").await;
    demo.turn("off").await;
    assert!(!demo.realtime_flag(&ada).await);
    let mut legacy = demo.open_legacy(&ada, "by-app").await;
    assert_eq!(demo.held().await, ["by-app"; 3]);
    let body = json!({ "to": ADA, "text": "hello" });
    demo.call("POST", "/api/notifications/", &zoe, &body).await;
    assert_eq!(legacy[0].text().await, unified.text().await);
}

#[tokio::test]
async fn a_port_in_use_is_named_and_another_one_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let demo = Demo::start(&["--port", &port.to_string()]).await;
    assert_ne!(demo.addr.port(), port);
    let text = demo.output.text();
    assert!(text.contains(&format!("Port {port} is in use")), "{text}");
}

#[tokio::test]
async fn an_interrupt_stops_it_and_nothing_is_left() {
    let mut demo = Demo::start(&["--port", "0"]).await;
    let config = PathBuf::from(line(&demo.output, "config").await);
    assert!(config.exists(), "{}", config.display());
    let zoe = demo.token("zoe").await;
    let mut by_app = demo.open(LEGACY[0], &zoe, "by-app").await;
    demo.turn("on").await;
    let mut by_feed = demo.open(LEGACY[0], &zoe, "by-feed").await;
    demo.interrupt().await;
    // App and proxy stop at the same moment: either may be the first to say so.
    let code = by_app.closed().await.code;
    assert!(matches!(code, 1001 | 1012), "{code}");
    assert_eq!(by_feed.closed().await.code, 1012);
    drop((by_app, by_feed));
    let status = within("the exit", demo.child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!config.parent().unwrap().exists());
}

#[tokio::test]
async fn the_page_follows_the_switch_without_a_console_error() {
    let demo = Demo::start(&["--port", "0"]).await;
    let mut page = Browser::open(&format!("http://{}/", demo.addr)).await;
    page.becomes("document.querySelectorAll('.leg.app').length", 6)
        .await;
    let fits = "document.documentElement.scrollHeight <= innerHeight";
    page.becomes(fits, true).await;

    page.run("document.querySelector('[data-do=notify]').click()")
        .await;
    page.becomes("document.querySelectorAll('.frames mark').length", 3)
        .await;
    page.run("document.querySelector('[value=on]').click()")
        .await;
    page.becomes("document.querySelectorAll('.leg.feed').length", 2)
        .await;
    page.becomes("document.querySelectorAll('#toml .changed').length", 4)
        .await;
    let said =
        "document.querySelector('#reload').textContent.includes('6 of 6 sockets stayed open')";
    page.becomes(said, true).await;

    page.run("document.querySelectorAll('[data-do=read]')[1].click()")
        .await;
    page.becomes("document.querySelectorAll('.frames mark').length", 5)
        .await;
    page.run("document.querySelector('[value=off]').click()")
        .await;
    page.becomes("document.querySelectorAll('.leg.app').length", 6)
        .await;
    assert_eq!(page.errors(), [] as [String; 0]);
}
