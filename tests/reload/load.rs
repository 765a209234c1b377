//! Reload under load: 1,000 connected sessions and 5,000 requests in flight over 200
//! reloads, events all the while. No request fails, no frame is lost or doubled, no
//! socket closes that the changes do not concern.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    collections::HashMap, fs, net::SocketAddr, os::unix::fs::symlink, path::Path, sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::harness::{
    Client, HOOK_SECRET, Outrigger, Socket, TOKEN_SECRET, as_user, post_event, within,
};

const RELOADS: u64 = 200;
const REQUESTS: usize = 5_000;
/// Sessions on endpoints that never go: unchanged, with changing frames, with
/// changing topics.
const STAY: [(&str, u64); 3] = [("stays", 500), ("frames", 250), ("topics", 250)];
/// Sessions on an endpoint that comes and goes.
const GUESTS: u64 = 20;
/// Users that have an event of their own in each round.
const OWN: u64 = 50;

/// The config of a round. In every second ten the endpoint of the guests is there.
fn config(app: SocketAddr, round: u64) -> String {
    let parity = if round.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let mut text = format!(
        "[auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{TOKEN_SECRET}\"\nuser_claim = \"user_id\"\n\
         [source.webhook]\nsecret = \"{HOOK_SECRET}\"\n\
         [app]\naddress = \"http://{app}\"\nmax_connections = 9000\n\
         [stop]\nnotice = \"0s\"\nspread = \"200ms\"\ndeadline = \"10s\"\n\
         [listen]\naddress = \"127.0.0.1:0\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\naccess = false\n"
    );
    let mut endpoint = |name: &str, topic: &str, version: u64| {
        text += &format!(
            "[[endpoint]]\nname = \"{name}\"\npath = \"/ws/{name}\"\ntopics = [\"{topic}\", \"user_{{user.id}}\"]\n\
             frames = {{ news = {{ n = \"{{data.n}}\", version = {version} }} }}\n"
        );
    };
    endpoint("stays", "all", 0);
    endpoint("frames", "all", round);
    endpoint("topics", parity, 0);
    if has_guests(round) {
        endpoint("guests", "all", 0);
    }
    text
}

fn has_guests(round: u64) -> bool {
    (round / 10).is_multiple_of(2)
}

/// What the file becomes in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Renamed,
    Written,
    Swapped,
    Bad,
}

fn way(round: u64) -> Way {
    match round % 4 {
        0 => Way::Bad,
        1 => Way::Renamed,
        2 => Way::Written,
        _ => Way::Swapped,
    }
}

/// Puts a text in the place of the file.
fn put(path: &Path, round: u64, text: &str) {
    let beside = |name: String| path.with_file_name(name);
    let next = beside(format!("next-{round}"));
    match way(round) {
        Way::Renamed | Way::Bad => {
            fs::write(&next, text).unwrap();
            fs::rename(next, path).unwrap();
        }
        Way::Written => fs::write(path, text).unwrap(),
        Way::Swapped => {
            let version = beside(format!("version-{round}.toml"));
            fs::write(&version, text).unwrap();
            symlink(&version, &next).unwrap();
            fs::rename(next, path).unwrap();
        }
    }
}

/// An app that begins each response at once and ends it when it is let.
async fn holding_app(let_go: Arc<Semaphore>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(hold(stream, let_go.clone()));
        }
    });
    addr
}

async fn hold(mut stream: TcpStream, let_go: Arc<Semaphore>) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        while !unread.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut unread).await.ok()? == 0 {
                return None;
            }
        }
        let quick = unread.starts_with(b"GET /quick");
        unread.clear();
        let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n";
        stream.write_all(begin).await.ok()?;
        if !quick {
            let_go.acquire().await.ok()?.forget();
        }
        stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.ok()?;
    }
}

/// Begins the requests; each ends with whether its response was whole.
async fn begin_requests(addr: SocketAddr) -> JoinSet<bool> {
    let mut begun = JoinSet::new();
    let (tell, mut told) = mpsc::channel(REQUESTS);
    let at_once = Arc::new(Semaphore::new(200));
    for _ in 0..REQUESTS {
        let permit = at_once.clone().acquire_owned().await.unwrap();
        let tell = tell.clone();
        begun.spawn(async move {
            let mut client = Client::connect(addr).await;
            client.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
            client.read_until(b"begin").await;
            tell.send(()).await.unwrap();
            drop(permit);
            // Without a deadline of its own: it is let go when it is let go.
            let mut rest = Vec::new();
            let (mut stream, unread) = client.into_tcp();
            rest.extend(unread);
            while !rest.ends_with(b"0\r\n\r\n") {
                if stream.read_buf(&mut rest).await.unwrap_or(0) == 0 {
                    return false;
                }
            }
            rest.windows(3).any(|piece| piece == b"end")
        });
    }
    for _ in 0..REQUESTS {
        within("a response to begin", told.recv()).await.unwrap();
    }
    begun
}

/// What a session was sent, until it heard the last event.
struct Heard {
    endpoint: &'static str,
    user: u64,
    numbers: Vec<u64>,
    closed: bool,
}

async fn listen(mut socket: Socket, endpoint: &'static str, user: u64) -> Heard {
    let mut heard = Heard {
        endpoint,
        user,
        numbers: Vec::new(),
        closed: false,
    };
    loop {
        match socket.frame_in_time(Duration::from_secs(120)).await {
            Some(Frame::Text(text)) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                match frame["n"].as_u64() {
                    Some(n) => heard.numbers.push(n),
                    None => return heard,
                }
            }
            Some(Frame::Ping(_) | Frame::Pong(_)) => {}
            _ => {
                heard.closed = true;
                return heard;
            }
        }
    }
}

async fn open_sessions(addr: SocketAddr) -> JoinSet<Heard> {
    let mut sessions = JoinSet::new();
    let mut user = 0;
    for (endpoint, count) in STAY {
        for _ in 0..count {
            let target = as_user(&format!("/ws/{endpoint}"), user);
            let socket = Socket::open(addr, &target).await;
            sessions.spawn(listen(socket, endpoint, user));
            user += 1;
        }
    }
    sessions
}

/// Everything that was published: for whom, in order.
#[derive(Default)]
struct Published {
    /// The number of the next event.
    next: u64,
    shared: Vec<u64>,
    own: HashMap<u64, Vec<u64>>,
    batches: u64,
}

impl Published {
    /// Posts a batch: events to all, and one each to some users, mixed.
    async fn batch(&mut self, addr: SocketAddr) {
        let users = STAY.iter().map(|(_, count)| count).sum::<u64>();
        let mut events = Vec::new();
        let first = self.batches * OWN;
        for at in 0..OWN {
            if at % (OWN / 2) == 0 {
                events.push(json!({"type": "news", "topics": ["odd", "all", "even"], "data": {"n": self.next}}));
                self.shared.push(self.next);
                self.next += 1;
            }
            let user = (first + at) % users;
            let topic = format!("user_{user}");
            events.push(json!({"type": "news", "topics": [topic], "data": {"n": self.next}}));
            self.own.entry(user).or_default().push(self.next);
            self.next += 1;
        }
        self.batches += 1;
        self.post(addr, &json!({ "events": events })).await;
    }

    /// Posts what ends each session's listening.
    async fn end(&mut self, addr: SocketAddr) {
        let last = json!({"type": "news", "topics": ["odd", "all", "even"], "data": {"n": "end"}});
        self.post(addr, &last).await;
    }

    async fn post(&self, addr: SocketAddr, body: &Value) {
        let id = format!("batch-{}-{}", self.batches, self.next);
        let answer = post_event(addr, HOOK_SECRET, &id, body).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }

    /// What a user's session must have heard.
    fn for_user(&self, user: u64) -> Vec<u64> {
        let own = self.own.get(&user).into_iter().flatten();
        let mut all: Vec<u64> = self.shared.iter().chain(own).copied().collect();
        all.sort_unstable();
        all
    }
}

/// One connection to the second port, for looking often.
struct Watch(Client);

impl Watch {
    async fn status(&mut self) -> (u64, bool) {
        let routes: Value = serde_json::from_slice(&self.0.get("/routes").await.body).unwrap();
        (
            routes["generation"].as_u64().unwrap(),
            routes["refused"].is_null(),
        )
    }

    /// Waits until the file of a round has been taken up, or refused.
    async fn until(&mut self, wanted: (u64, bool)) {
        let wait = async {
            while self.status().await != wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(&format!("generation and validity {wanted:?}"), wait).await;
    }
}

/// The guests of the moment: connected while their endpoint is there, sent home
/// when it goes.
#[derive(Default)]
struct Guests {
    here: Vec<Socket>,
    sent_home: u64,
}

impl Guests {
    async fn follow(&mut self, addr: SocketAddr, round: u64) {
        if !has_guests(round) {
            for mut socket in self.here.drain(..) {
                while let Some(frame) = socket.frame().await {
                    if let Frame::Close(frame) = frame {
                        assert_eq!(u16::from(frame.unwrap().code), 1012);
                        self.sent_home += 1;
                    }
                }
            }
        } else if self.here.is_empty() {
            for user in 0..GUESTS {
                let target = as_user("/ws/guests", 100_000 + user);
                self.here.push(Socket::open(addr, &target).await);
            }
        }
    }
}

/// The figures of the run.
#[derive(Default)]
struct Figures {
    applied: u64,
    refused: u64,
    quick_requests: u64,
    took: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_two_hundred_reloads() {
    let began = Instant::now();
    let let_go = Arc::new(Semaphore::new(0));
    let app = holding_app(let_go.clone()).await;
    let outrigger = Outrigger::start(&config(app, 0)).await;
    let addr = outrigger.addr();
    let sessions = open_sessions(addr).await;
    let mut requests = begin_requests(addr).await;
    let ready = began.elapsed();
    let (mut published, mut guests) = (Published::default(), Guests::default());
    let mut figures = Figures::default();
    let mut watch = Watch(Client::connect(outrigger.admin_addr()).await);
    let mut quick = Client::connect(addr).await;
    let path = outrigger.config_path();
    let mut good_round = 0;
    guests.follow(addr, 0).await;
    for round in 1..=RELOADS {
        let written = Instant::now();
        let wanted = write_round(&path, app, round, &mut figures, &mut good_round);
        let taken_up = async {
            watch.until(wanted).await;
            written.elapsed()
        };
        let ((), took) = tokio::join!(published.batch(addr), taken_up);
        if way(round) != Way::Bad {
            figures.took.push(took);
        }
        let_go.add_permits(REQUESTS / usize::try_from(RELOADS).unwrap());
        assert_eq!(quick.get("/quick").await.body, b"beginend");
        figures.quick_requests += 1;
        guests.follow(addr, good_round).await;
    }
    published.end(addr).await;
    let whole = within("all responses", async {
        let mut whole = 0;
        while let Some(ended) = requests.join_next().await {
            whole += usize::from(ended.unwrap());
        }
        whole
    });
    let whole = whole.await;
    let heard = sessions.join_all().await;
    report(
        &figures,
        &published,
        &heard,
        &guests,
        (whole, ready, began.elapsed()),
    );
    let caught_up = outrigger.metric("outrigger_catch_ups_total").await;
    println!("  read on from the feed {caught_up} times");
}

fn write_round(
    path: &Path,
    app: SocketAddr,
    round: u64,
    figures: &mut Figures,
    good_round: &mut u64,
) -> (u64, bool) {
    match way(round) {
        Way::Bad => {
            let bad = config(app, round).replace("path = \"/ws/stays\"", "path = \"ws stays\"");
            put(path, round, &bad);
            figures.refused += 1;
        }
        Way::Renamed | Way::Written | Way::Swapped => {
            put(path, round, &config(app, round));
            figures.applied += 1;
            *good_round = round;
        }
    }
    (figures.applied + 1, way(round) != Way::Bad)
}

fn report(
    figures: &Figures,
    published: &Published,
    heard: &[Heard],
    guests: &Guests,
    (whole, ready, total): (usize, Duration, Duration),
) {
    let (mut frames, mut lost, mut doubled, mut disordered, mut closed) = (0, 0, 0, 0, 0);
    for session in heard {
        let expected = published.for_user(session.user);
        frames += session.numbers.len();
        closed += usize::from(session.closed);
        let mut sorted = session.numbers.clone();
        sorted.sort_unstable();
        disordered += usize::from(sorted != session.numbers);
        sorted.dedup();
        doubled += session.numbers.len() - sorted.len();
        let missing = expected
            .iter()
            .filter(|n| sorted.binary_search(n).is_err())
            .count();
        if missing > 0 {
            println!(
                "  {} of user {} misses {missing}",
                session.endpoint, session.user
            );
        }
        lost += missing;
    }
    let mut took = figures.took.clone();
    took.sort_unstable();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "reload under load: {} sessions, {REQUESTS} requests in flight and {} new ones, \
         {} reloads applied, {} refused, {} events, {frames} frames delivered, {lost} lost, \
         {doubled} doubled, {disordered} sessions out of order, {closed} closed, {} guests sent home; \
         {} requests failed; from file write to new generation: median {median:?}, slowest {slowest:?}; \
         {ready:?} to connect, {total:?} in all",
        heard.len(),
        figures.quick_requests,
        figures.applied,
        figures.refused,
        published.next,
        guests.sent_home,
        REQUESTS - whole,
    );
    assert_eq!((lost, doubled, disordered, closed), (0, 0, 0, 0));
    assert_eq!(whole, REQUESTS, "requests that came to a good end");
    assert_eq!((figures.applied, figures.refused), (150, 50));
    assert!(guests.sent_home >= 9 * GUESTS, "{}", guests.sent_home);
}
