//! Clients that never read while events come in: what they cost, and whether those who
//! read notice.
//!
//! `DURATION=60 cargo test --release --test outrigger never_reading:: -- --nocapture`

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    harness::{Client, HOOK_SECRET, Outrigger, TOKEN_SECRET, as_user, handshake},
    storm::{
        publisher::Poster,
        wire::{Frame, Wire},
    },
};

const READERS: u64 = 50;
const NEVER_READING: u64 = 500;
/// Between two events.
const TICK: Duration = Duration::from_millis(20);
/// Of each event, in bytes.
const PAYLOAD: usize = 1000;
/// What one client may have waiting.
const OUTBOX: usize = 64 << 10;
/// What the feed may hold.
const FEED: usize = 8 << 20;
/// What the kernel may hold for one client: what it does not send yet, and what a narrow
/// one's kernel takes, both rounded up to buffers.
const KERNEL: usize = 192 << 10;

#[tokio::test]
async fn clients_that_never_read_cost_little_and_slow_nobody_down() {
    let seconds = std::env::var("DURATION").map_or(2, |text| text.parse().unwrap());
    let outrigger = Outrigger::start(&config()).await;
    let mut stage = Stage::with_readers(&outrigger).await;
    stage.fan_out(Duration::from_secs(1)).await;
    let alone = stage.fan_out(Duration::from_secs(seconds)).await;
    let mut stuck = Vec::new();
    for user in 0..NEVER_READING {
        stuck.push(never_reading(&outrigger, 1000 + user).await);
    }
    let before = resident(&outrigger);
    let together = stage.fan_out(Duration::from_secs(seconds)).await;
    let (peak, held) = (together.peak, held_by_the_kernel(&outrigger));
    let sessions = outrigger.metric("outrigger_sessions").await;
    let per_client = (peak.saturating_sub(before)) as f64 / NEVER_READING as f64 / 1024.0;
    println!(
        "{NEVER_READING} clients that never read, {seconds} s of {} events of {PAYLOAD} bytes to all: \
         {} MiB before, {} MiB at most, that is {per_client:.1} KiB a client",
        together.events,
        before >> 20,
        peak >> 20,
    );
    let ratio = |with: Duration, without: Duration| with.as_secs_f64() / without.as_secs_f64();
    println!(
        "  {READERS} clients that read: p50 {:?} -> {:?} ({:.2}x), p99 {:?} -> {:?} ({:.2}x)",
        alone.median,
        together.median,
        ratio(together.median, alone.median),
        alone.p99,
        together.p99,
        ratio(together.p99, alone.p99),
    );
    println!(
        "  processor time of an event: {:?} -> {:?}; the kernel holds {:.1} KiB a client",
        alone.cost,
        together.cost,
        held as f64 / NEVER_READING as f64 / 1024.0,
    );
    assert_eq!(
        sessions,
        (READERS + NEVER_READING) as f64,
        "all of them are still here"
    );
    let bound = FEED + (16 << 20) + OUTBOX / 4 * usize::try_from(NEVER_READING).unwrap();
    assert!(peak - before < bound, "{before} -> {peak}");
    assert!(held < KERNEL * usize::try_from(NEVER_READING).unwrap());
    stage.read_all().await;
}

fn config() -> String {
    format!(
        "[app]\naddress = \"http://127.0.0.1:9\"\n[auth]\ntoken = [\"query:token\"]\n\
         [auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{TOKEN_SECRET}\"\nuser_claim = \"user_id\"\n\
         [source.webhook]\nsecret = \"{HOOK_SECRET}\"\n[feed.memory]\nmax_bytes = {FEED}\n\
         [[endpoint]]\nname = \"news\"\npath = \"/ws/news\"\ntopics = [\"news\"]\n\
         frames = {{ news = {{ filling = \"{{data.filling}}\", n = \"{{data.n}}\" }} }}\n\
         [endpoint.limits]\noutbox_bytes = {OUTBOX}\nwrite_timeout = \"10m\"\n"
    )
}

/// A client whose kernel takes little, and which reads no more than the 101.
async fn never_reading(outrigger: &Outrigger, user: u64) -> Client {
    let mut client = Client::connect_narrow(outrigger.addr()).await;
    client
        .send(handshake(&as_user("/ws/news", user), &[]))
        .await;
    assert_eq!(client.response("GET").await.status(), 101);
    client
}

/// What the process has in memory, in bytes.
fn resident(outrigger: &Outrigger) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", outrigger.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        << 10
}

/// What the kernel has taken for clients of the front door and they have not, in bytes.
fn held_by_the_kernel(outrigger: &Outrigger) -> usize {
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", outrigger.pid())).unwrap();
    let port = format!(":{:04X}", outrigger.addr().port());
    let held = |line: &str| {
        let [_, local, _, _, queues, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return 0;
        };
        let (sending, _) = queues.split_once(':').unwrap_or_default();
        match local.ends_with(&port) {
            true => usize::from_str_radix(sending, 16).unwrap(),
            false => 0,
        }
    };
    sockets.lines().map(held).sum()
}

/// The processor's time that the process has had.
fn busy(outrigger: &Outrigger) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", outrigger.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // In user mode and in the kernel, in hundredths of a second.
    let spent = fields.split(' ').skip(11).take(2);
    let ticks: u64 = spent.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// When events were posted, and how long it took until each client had them.
#[derive(Default)]
struct Board {
    posted: Vec<Instant>,
    took: Vec<Duration>,
}

struct Stage<'a> {
    outrigger: &'a Outrigger,
    poster: Poster,
    board: Arc<Mutex<Board>>,
    readers: JoinSet<()>,
}

struct FannedOut {
    events: usize,
    median: Duration,
    p99: Duration,
    /// The processor's time for each event.
    cost: Duration,
    peak: usize,
}

impl<'a> Stage<'a> {
    async fn with_readers(outrigger: &'a Outrigger) -> Self {
        let board = Arc::<Mutex<Board>>::default();
        let mut readers = JoinSet::new();
        for user in 0..READERS {
            let head = handshake(&as_user("/ws/news", user), &[]);
            let wire = Wire::open(outrigger.addr(), &head)
                .await
                .unwrap_or_else(|no| panic!("{no:?}"));
            readers.spawn(read(wire, board.clone()));
        }
        let poster = Poster::default();
        Self {
            outrigger,
            poster,
            board,
            readers,
        }
    }

    /// Posts an event each tick for so long.
    async fn fan_out(&mut self, lasting: Duration) -> FannedOut {
        let (begun, mut next) = (Instant::now(), Instant::now());
        let (mut events, mut peak) = (0, 0);
        let spent = busy(self.outrigger);
        self.board.lock().unwrap().took.clear();
        while begun.elapsed() < lasting {
            self.post(&"x".repeat(PAYLOAD)).await;
            events += 1;
            if events % 16 == 0 {
                peak = peak.max(resident(self.outrigger));
            }
            next += TICK;
            sleep_until(next).await;
        }
        let expected = events * usize::try_from(READERS).unwrap();
        let all = || async { self.board.lock().unwrap().took.len() == expected };
        crate::harness::until("all deliveries", all).await;
        let mut took = self.board.lock().unwrap().took.clone();
        took.sort_unstable();
        FannedOut {
            events,
            median: took[took.len() / 2],
            p99: took[took.len() * 99 / 100],
            cost: (busy(self.outrigger) - spent) / u32::try_from(events).unwrap(),
            peak: peak.max(resident(self.outrigger)),
        }
    }

    async fn post(&mut self, filling: &str) {
        let n = {
            let mut board = self.board.lock().unwrap();
            board.posted.push(Instant::now());
            board.posted.len() - 1
        };
        let event =
            json!({"type": "news", "topics": ["news"], "data": {"n": n, "filling": filling}});
        let (node, event) = (self.outrigger.addr(), event.to_string());
        let answer = self.poster.post(node, &format!("n{n}"), &event).await;
        answer.expect("a 202");
    }

    /// The readers have got all, each once and in order; the last word ends them.
    async fn read_all(mut self) {
        self.post("the end").await;
        let all = async {
            while let Some(read) = self.readers.join_next().await {
                read.unwrap()
            }
        };
        crate::harness::within("the end of all readers", all).await;
    }
}

async fn read(mut wire: Wire, board: Arc<Mutex<Board>>) {
    let mut expected = 0;
    loop {
        match wire.frame().await.expect("the socket stays open") {
            Frame::Text(text) => {
                let (_, n) = text.rsplit_once("\"n\":").unwrap();
                let n: usize = n.trim().trim_end_matches('}').parse().unwrap();
                assert_eq!(n, expected);
                expected += 1;
                if text.contains("the end") {
                    return;
                }
                let mut board = board.lock().unwrap();
                let took = board.posted[n].elapsed();
                board.took.push(took);
            }
            Frame::Ping(payload) => wire.pong(&payload).await,
            Frame::Close(code) => panic!("closed with {code}"),
        }
    }
}
