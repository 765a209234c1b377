//! A real browser's `EventSource`, whose connections are cut.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{endpoint, open};
use crate::{
    demo::Browser,
    harness::{App, Stage, as_user, until},
};

/// A page that keeps what it hears. It has an icon: no other connection than that of its
/// events is opened later, on which a browser could ask again unseen.
const PAGE: &str = "<!doctype html><link rel=icon href=data:,><script>\
    window.heard = []; window.opened = 0;\
    const events = new EventSource(URL);\
    events.onopen = () => { window.opened += 1; };\
    events.onmessage = (event) => { window.heard.push(JSON.parse(event.data).n); window.last = event.lastEventId; };\
    </script>";

/// What stands between a browser and Outrigger, and can be cut.
struct Wire {
    addr: SocketAddr,
    open: Arc<Mutex<JoinSet<()>>>,
    /// The last ids that were asked with.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    async fn to(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            addr: listener.local_addr().unwrap(),
            open: Arc::default(),
            asked: Arc::default(),
        };
        let (open, asked) = (wire.open.clone(), wire.asked.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let carry = carry(client, addr, asked.clone());
                open.lock().unwrap().spawn(carry);
            }
        });
        wire
    }

    /// Cuts all that is open.
    fn cut(&self) {
        self.open.lock().unwrap().abort_all();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn carry(mut client: TcpStream, addr: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut server = TcpStream::connect(addr).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("last-event-id: "));
    asked.lock().unwrap().extend(id.map(str::to_owned));
    server.write_all(&head).await.unwrap();
    // It ends when either side does, or it is cut.
    copy_bidirectional(&mut client, &mut server).await.ok();
}

/// An endpoint and a page in front of it.
async fn page() -> (Stage, Wire, Browser) {
    let target = as_user("/ws/news", 1);
    let page = PAGE.replace("URL", &format!("{target:?}"));
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
    );
    let app = App::answering(move |_| answer.clone().into_bytes()).await;
    let stage = Stage::with(app, "", &endpoint("heartbeat = \"200ms\"")).await;
    let wire = Wire::to(stage.outrigger.addr()).await;
    let mut browser = Browser::open(&format!("http://{}/", wire.addr)).await;
    browser.becomes("window.opened || 0", 1).await;
    (stage, wire, browser)
}

#[tokio::test]
async fn a_browser_comes_back_by_itself_and_misses_nothing() {
    let (stage, wire, mut browser) = page().await;
    let mut told = Vec::new();
    for cut in 1..=3 {
        for n in 0..5 {
            let n = cut * 10 + n;
            told.push(n);
            stage.tell("user_1", "news", &json!({ "n": n })).await;
            if n % 10 == 2 {
                wire.cut();
            }
        }
        browser
            .becomes("JSON.stringify(heard)", json!(told).to_string())
            .await;
        browser.becomes("opened", cut + 1).await;
    }
    assert_eq!(wire.asked().len(), 3);
}

/// An event without data is none, but its id is kept (WHATWG HTML, 9.2.6).
#[tokio::test]
async fn a_browser_for_which_nothing_comes_stays_near_the_head() {
    let (stage, wire, mut browser) = page().await;
    stage.tell("user_1", "news", &json!({"n": 1})).await;
    browser.becomes("JSON.stringify(heard)", "[1]").await;
    let first = browser.run("last").await;
    stage.tell("user_2", "news", &json!({"n": 2})).await;
    let mut other = open(&stage, 1, &[]).await;
    let head = other.quiet_id().await;
    assert_ne!(first, head.as_str());
    let is = || async {
        wire.cut();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        wire.asked().last() == Some(&head)
    };
    until("the browser to come back with the newest id", is).await;
    stage.tell("user_1", "news", &json!({"n": 3})).await;
    browser.becomes("JSON.stringify(heard)", "[1,3]").await;
}
