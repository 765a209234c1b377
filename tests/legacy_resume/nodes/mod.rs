//! Several nodes on one Redis: clients go on at another node.

mod gone;
mod silent;

use std::time::Instant;

use super::*;
use crate::harness::{App, Outrigger, Redis, as_user, ok, preamble};

/// An app, a Redis and two nodes; the nodes share nothing else.
struct Fleet {
    redis: Redis,
    a: Outrigger,
    b: Outrigger,
    _app: App,
}

impl Fleet {
    async fn new(endpoints: &str) -> Self {
        let app = App::answering(|_| ok("{}")).await;
        let redis = Redis::start().await;
        let config = format!(
            "{}\n[feed.redis]\nurl = \"{}\"\n[stop]\nnotice = \"0s\"\nspread = \"0s\"\n{endpoints}",
            preamble(&app),
            redis.url()
        );
        let (a, b) = tokio::join!(Outrigger::start(&config), Outrigger::start(&config));
        for node in [&a, &b] {
            until("/ready", async || node.admin("/ready").await.0 == 200).await;
        }
        let _app = app;
        Self { redis, a, b, _app }
    }

    /// Publishes a number.
    async fn tell(&self, n: u64) {
        self.tell_by(&self.b, n).await;
    }

    async fn tell_by(&self, node: &Outrigger, n: u64) {
        let body = json!({"type": "news", "topics": ["news"], "data": {"n": n}});
        let secret = crate::harness::HOOK_SECRET;
        let answer = crate::harness::post_event(node.addr(), secret, &format!("e{n}"), &body).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }

    /// What Redis knows of the only client: a line for each of its sessions.
    async fn places(&self) -> String {
        let script = "local all = '' for _, key in ipairs(redis.call('KEYS', '*:places:*')) do \
                      for _, one in ipairs(redis.call('HVALS', key)) do all = all .. one .. '\\n' end \
                      end return all";
        self.redis.cli(&["EVAL", script, "0"]).await + "\n"
    }

    /// Nobody can come back any more who has died.
    async fn end_windows(&self) {
        let script = "for _, key in ipairs(redis.call('KEYS', '*:places:*')) do \
                      local all = redis.call('HGETALL', key) for n = 1, #all, 2 do \
                      redis.call('HSET', key, all[n], (string.gsub(all[n + 1], ' %d+ (%S+)$', ' 1 %1'))) \
                      end end";
        self.redis.cli(&["EVAL", script, "0"]).await;
    }
}

async fn open_at(node: &Outrigger) -> Socket {
    Socket::open(node.addr(), &as_user("/ws/news/", 1)).await
}

/// Nothing that the last session that came to this node was given is unproven.
async fn proven_at(node: &Outrigger, socket: &mut Socket) {
    loop {
        assert!(socket.is_silent().await);
        let sessions: Value = serde_json::from_str(&node.admin("/sessions").await.1).unwrap();
        let last = sessions["shown"].as_array().and_then(|shown| shown.last());
        if last.unwrap()["feed"]["unconfirmed_since"].is_null() {
            return;
        }
    }
}

async fn adoptions_at(node: &Outrigger, result: &str) -> f64 {
    let name = format!("outrigger_adoptions_total{{reason=\"{result}\"}}");
    node.metric(&name).await
}

/// So many sessions are open at a node.
async fn open_are(node: &Outrigger, count: f64) {
    node.metric_becomes("outrigger_sessions", count).await;
}

/// The connection is reset, and the node has seen it.
async fn dies_at(node: &Outrigger, socket: Socket) {
    let before = node.metric("outrigger_sessions").await;
    reset(socket);
    open_are(node, before - 1.0).await;
}

/// The only one in the fleet hears what comes from now on, and nothing else.
async fn begins_with_what_comes(fleet: &Fleet, node: &Outrigger, n: u64) {
    let mut socket = open_at(node).await;
    fleet.tell(n).await;
    hears(&mut socket, [n]).await;
}

#[tokio::test]
async fn who_died_at_one_node_goes_on_at_another() {
    let fleet = Fleet::new(&eager("")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    proven_at(&fleet.a, &mut socket).await;
    dies_at(&fleet.a, socket).await;
    fleet.tell(2).await;
    let mut again = open_at(&fleet.b).await;
    hears(&mut again, [2]).await;
    fleet.tell(3).await;
    hears(&mut again, [3]).await;
    assert_eq!(adoptions_at(&fleet.b, "adopted").await, 1.0);
    // Used up: who comes to the first node begins with what comes.
    let again = reader(again);
    begins_with_what_comes(&fleet, &fleet.a, 4).await;
    again.abort();
}

#[tokio::test]
async fn as_many_begin_at_the_lower_place_as_have_died() {
    let fleet = Fleet::new(&eager("")).await;
    let mut first = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut first, [1]).await;
    proven_at(&fleet.a, &mut first).await;
    let first = reader(first);
    let mut second = open_at(&fleet.b).await;
    fleet.tell(2).await;
    hears(&mut second, [2]).await;
    proven_at(&fleet.b, &mut second).await;
    first.abort();
    drop(first.await);
    open_are(&fleet.a, 0.0).await;
    dies_at(&fleet.b, second).await;
    fleet.tell(3).await;
    let mut returned = [open_at(&fleet.a).await, open_at(&fleet.b).await];
    let mut began = Vec::new();
    for socket in &mut returned {
        began.push(socket.json().await["n"].as_u64().unwrap());
        hears(socket, began[began.len() - 1] + 1..4).await;
    }
    assert_eq!(began[0], began[1], "both at the lower place");
    let readers = returned.map(reader);
    begins_with_what_comes(&fleet, &fleet.a, 4).await;
    readers.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn who_answers_the_close_of_a_stop_hears_nothing_twice_elsewhere() {
    let fleet = Fleet::new(&endpoint("", "heartbeat = \"300s\"")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    fleet.a.signal("TERM").await;
    assert_eq!(socket.closed().await.code, 1012);
    fleet.tell(2).await;
    let mut again = open_at(&fleet.b).await;
    hears(&mut again, [2]).await;
}

#[tokio::test]
async fn who_says_goodbye_leaves_no_place() {
    let fleet = Fleet::new(&eager("")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    socket.close().await;
    open_are(&fleet.a, 0.0).await;
    fleet.tell(2).await;
    begins_with_what_comes(&fleet, &fleet.b, 3).await;
}

#[tokio::test]
async fn a_place_does_not_outlive_its_window() {
    let fleet = Fleet::new(&eager("")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    dies_at(&fleet.a, socket).await;
    let died = async || !fleet.places().await.contains(" 0 -");
    until("its death to be noted", died).await;
    fleet.end_windows().await;
    fleet.tell(2).await;
    begins_with_what_comes(&fleet, &fleet.b, 3).await;
    assert_eq!(adoptions_at(&fleet.b, "expired").await, 1.0);
}

#[tokio::test]
async fn what_redis_has_lost_is_noted_again() {
    let fleet = Fleet::new(&eager("")).await;
    let mut socket = open_at(&fleet.a).await;
    fleet.redis.cli(&["FLUSHALL"]).await;
    for node in [&fleet.a, &fleet.b] {
        let changes = "outrigger_feed_epoch_changes_total";
        node.metric_becomes(changes, 1.0).await;
    }
    fleet.tell(1).await;
    hears(&mut socket, [1]).await;
    while fleet.places().await.trim().is_empty() {
        assert!(socket.is_silent().await);
    }
    dies_at(&fleet.a, socket).await;
    fleet.tell(2).await;
    let mut again = open_at(&fleet.b).await;
    hears(&mut again, [2]).await;
}

#[tokio::test]
async fn where_redis_is_away_clients_begin_with_what_comes() {
    let mut fleet = Fleet::new(&eager("")).await;
    fleet.redis.stop().await;
    let _socket = open_at(&fleet.a).await;
    let unknown = async || adoptions_at(&fleet.a, "unknown").await == 1.0;
    until("the gap to be counted", unknown).await;
    let said = "It is not known where a client was: it begins with what comes";
    fleet.a.logs().message(said).await;
    fleet.redis.start_again().await;
    until("/ready", async || fleet.a.admin("/ready").await.0 == 200).await;
}

#[tokio::test]
async fn where_redis_hangs_nobody_waits_long_for_the_handshake() {
    let fleet = Fleet::new(&eager("")).await;
    fleet.redis.signal("STOP").await;
    let began = Instant::now();
    let _socket = open_at(&fleet.a).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let unknown = async || adoptions_at(&fleet.a, "unknown").await == 1.0;
    until("the gap to be counted", unknown).await;
    fleet.redis.signal("CONT").await;
}
