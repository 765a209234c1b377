//! Kills at random moments under a stream of webhooks: of an Outrigger, and of Redis
//! itself. `KILLS=1000 cargo test --test outrigger shared_feed::durability` takes long.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Fleet, Node, events_in, kept_their_epoch, said};
use crate::harness::{App, HOOK_SECRET, Redis, Socket, ok, until, webhook_headers};

/// Senders that each send one event after the other.
const SENDERS: u64 = 3;
/// Numbers of one sender.
const EACH: u64 = 1_000_000;
/// The event after all others.
const LAST: u64 = SENDERS * EACH;
/// The longest silence while something is killed again and again.
const PATIENCE: Duration = Duration::from_secs(20);

fn kills() -> u64 {
    let kills = std::env::var("KILLS").ok();
    kills.map_or(25, |kills| kills.parse().unwrap())
}

fn at_random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

/// Senders that send each event until it is taken, to whichever node is named.
struct Senders {
    to: Arc<Mutex<SocketAddr>>,
    over: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Senders {
    fn start(to: SocketAddr) -> Self {
        let mut senders = Self {
            to: Arc::new(Mutex::new(to)),
            over: Arc::default(),
            taken: Arc::default(),
            tasks: Vec::new(),
        };
        for which in 0..SENDERS {
            let (to, over) = (senders.to.clone(), senders.over.clone());
            let taken = senders.taken.clone();
            senders.tasks.push(tokio::spawn(async move {
                let mut n = 0;
                while !over.load(Ordering::Relaxed) {
                    while post(&to, which * EACH + n).await != Some(202) {
                        sleep(Duration::from_millis(5)).await;
                    }
                    taken.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
                n
            }));
        }
        senders
    }

    /// Waits until something was taken since.
    async fn go_on(&self) {
        let before = self.taken.load(Ordering::Relaxed);
        until("an event to be taken", async || {
            self.taken.load(Ordering::Relaxed) > before
        })
        .await;
    }

    /// How many events each has sent.
    async fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for task in self.tasks {
            sent.push(task.await.unwrap());
        }
        sent
    }
}

/// The status of one attempt, if there was an answer.
async fn post(to: &Mutex<SocketAddr>, n: u64) -> Option<u16> {
    let to = *to.lock().unwrap();
    let body = said("a", n).to_string();
    let headers = webhook_headers(HOOK_SECRET, "in the body", body.as_bytes());
    let length = body.len();
    let request = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?;
        status.parse().ok()
    };
    timeout(Duration::from_secs(8), exchange).await.ok()?
}

/// Reads all the time, since who does not answer pings is cut off; up to the last event.
fn listen(mut socket: Socket) -> JoinHandle<Vec<u64>> {
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.last() != Some(&LAST) {
            let Ok(frame) = timeout(PATIENCE, socket.text()).await else {
                break;
            };
            heard.push(frame.parse().unwrap());
        }
        heard
    })
}

/// How many are missing and how many doubled of what each sender has sent; all are in order.
fn compare(heard: &[u64], sent: &[u64]) -> (u64, u64) {
    let (mut missing, mut doubled) = (0, 0);
    for (sender, sent) in (0..).zip(sent) {
        let own: Vec<_> = heard.iter().filter(|n| *n / EACH == sender).collect();
        assert!(own.is_sorted(), "sender {sender}");
        let mut once = own.clone();
        once.dedup();
        doubled += (own.len() - once.len()) as u64;
        missing += *sent - once.len() as u64;
    }
    (missing, doubled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outrigger_that_is_killed_loses_nothing_it_had_answered_for() {
    let fleet = Fleet::new().await;
    let stays = fleet.node().await;
    let hears = listen(stays.open("a").await);
    let mut dies = fleet.node().await;
    let senders = Senders::start(dies.0.addr());
    for _ in 0..kills() {
        senders.go_on().await;
        sleep(Duration::from_millis(at_random(60))).await;
        dies.0.signal("KILL").await;
        dies = fleet.node().await;
        *senders.to.lock().unwrap() = dies.0.addr();
    }
    let sent = senders.end().await;
    stays.say("a", LAST).await;
    let heard = hears.await.unwrap();
    let total: u64 = sent.iter().sum();
    assert_eq!(events_in(&fleet.redis).await, total + 1);
    let (missing, doubled) = compare(&heard, &sent);
    println!(
        "Redis feed, Outrigger killed {} times: {total} events answered 202, {missing} missing, {doubled} doubled",
        kills()
    );
    assert_eq!((missing, doubled), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_syncs_each_write_loses_nothing_when_it_is_killed() {
    let mut fleet = Fleet {
        app: App::answering(|_| ok("{}")).await,
        redis: Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await,
    };
    let nodes: [Node; 2] = [fleet.node().await, fleet.node().await];
    let before = nodes[0].say("a", LAST + 1).await["position"].clone();
    let hear = [nodes[0].open("a").await, nodes[1].open("a").await].map(listen);
    let senders = Senders::start(nodes[0].0.addr());
    for kill in 0..kills() {
        senders.go_on().await;
        sleep(Duration::from_millis(at_random(60))).await;
        fleet.redis.stop_losing_what_is_not_saved().await;
        fleet.redis.start_again().await;
        *senders.to.lock().unwrap() = nodes[usize::try_from(kill % 2).unwrap()].0.addr();
    }
    senders.go_on().await;
    let to = senders.to.clone();
    let sent = senders.end().await;
    until("the last event to be taken", async || {
        post(&to, LAST).await == Some(202)
    })
    .await;
    let total: u64 = sent.iter().sum();
    assert_eq!(events_in(&fleet.redis).await, total + 2);
    // Who comes to another node later is given the same.
    let late = fleet.node().await;
    let late = listen(late.open_since("a", &before).await);
    for hears in hear.into_iter().chain([late]) {
        let heard = hears.await.unwrap();
        assert_eq!(compare(&heard, &sent), (0, 0));
    }
    kept_their_epoch(&nodes).await;
    println!(
        "Redis feed, Redis killed {} times: {total} events answered 202, 0 missing, 0 doubled, order kept",
        kills()
    );
}
