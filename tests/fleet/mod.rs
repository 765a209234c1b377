//! Who is online on several nodes that share a feed, as clients, the app and operators see it.

mod nodes;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::harness::{
    App, HOOK_SECRET, Outrigger, Redis, Socket, Stage, as_user, ok, post_event, preamble, until,
};

/// Everybody is told, and so is the app.
const ENDPOINTS: &str = r#"
[[endpoint]]
name = "online"
path = "/ws/online"
topics = ["online"]
frames = { came = "{data}", went = "{data}", probe = "{data}" }
welcome = { users = "{online}", count = "{online.count}" }
presence.key = "all"
presence.grace = "700ms"
[endpoint.presence.online]
call = { path = "/api/online/{user.id}/" }
publish = { type = "came", topics = ["online"], data = "+{user.id}" }
[endpoint.presence.offline]
call = { path = "/api/offline/{user.id}/" }
publish = { type = "went", topics = ["online"], data = "-{user.id}" }

[[endpoint]]
name = "room"
path = "/ws/room/{room}"
topics = ["room_{room}"]
frames = { said = "{data}", went = "{data}" }
welcome = { users = "{online}" }
[endpoint.presence]
key = "room_{room}"
grace = "700ms"
[endpoint.presence.offline]
publish = { type = "went", topics = ["room_{room}"], data = "{user.id} from {room}" }

[[endpoint]]
name = "stream"
path = "/ws/stream"
anonymous = true
topics = ["stream"]
frames = { said = "{data}" }
welcome = { count = "{online.count}" }
presence = { per = "socket", grace = "0s" }
"#;

/// An app and a Redis, for any number of nodes.
struct Fleet {
    app: App,
    redis: Redis,
}

impl Fleet {
    async fn new() -> Self {
        Self {
            app: App::answering(|_| ok("{}")).await,
            redis: Redis::start().await,
        }
    }

    /// Runs a node, and waits until it knows the others.
    async fn node(&self) -> Node {
        let (app, url) = (preamble(&self.app), self.redis.url());
        let stop = "[stop]\nnotice = \"0s\"\nspread = \"0s\"\n";
        let config = format!("{app}\n[feed.redis]\nurl = \"{url}\"\n{stop}{ENDPOINTS}");
        let node = Node(Outrigger::start(&config).await);
        until("the node to know the others", async || {
            node.page("/nodes").await["complete"] == true
        })
        .await;
        node
    }

    /// Two nodes that know of each other.
    async fn two(&self) -> [Node; 2] {
        let nodes = [self.node().await, self.node().await];
        for node in &nodes {
            node.0.metric_becomes("outrigger_nodes", 2.0).await;
        }
        nodes
    }

    /// What the app was told of a user.
    fn told(&self, user: u64) -> Vec<String> {
        let seen = self.app.seen();
        let told = seen.iter().filter_map(|call| {
            let mut parts = call.target().trim_matches('/').split('/').skip(1);
            let (what, of) = (parts.next()?, parts.next()?);
            (of == user.to_string()).then(|| what.to_owned())
        });
        told.collect()
    }

    async fn is_told(&self, user: u64, told: &[&str]) {
        let is = async || self.told(user).len() >= told.len();
        until(&format!("{told:?} of {user}"), is).await;
        assert_eq!(self.told(user), told);
    }
}

struct Node(Outrigger);

impl Node {
    async fn open(&self, path: &str, user: u64) -> Socket {
        Socket::open(self.0.addr(), &as_user(path, user)).await
    }

    /// Opens a socket of a user, past its welcome.
    async fn online(&self, user: u64) -> Socket {
        let mut socket = self.open("/ws/online", user).await;
        socket.json().await;
        socket
    }

    async fn page(&self, path: &str) -> Value {
        serde_json::from_str(&self.0.admin(path).await.1).unwrap()
    }

    /// Who is online under a key, by this node.
    async fn users(&self, key: &str) -> Vec<u64> {
        let page = self.page(&format!("/presence?key={key}")).await;
        let users = page["shown"].as_array().unwrap().iter();
        let mut users: Vec<_> = users.filter_map(|one| one["user"].as_u64()).collect();
        users.sort_unstable();
        users
    }

    async fn shows(&self, key: &str, users: &[u64]) {
        let is = async || self.users(key).await == users;
        until(&format!("{users:?} to be online"), is).await;
    }

    /// Waits until all that is to be told has been.
    async fn has_told(&self) {
        until("all steps to be done", async || {
            let page = self.page("/presence?key=all").await;
            let mut shown = page["shown"].as_array().unwrap().iter();
            shown.all(|one| one["steps_in_progress"] == false)
        })
        .await;
    }

    async fn name(&self) -> Value {
        let page = self.page("/nodes").await;
        let nodes = page["nodes"].as_array().unwrap();
        let this = nodes.iter().find(|node| node["this"] == true);
        this.unwrap()["name"].clone()
    }

    async fn post(&self, id: &str, body: &Value) -> u16 {
        let answer = post_event(self.0.addr(), HOOK_SECRET, id, body).await;
        answer.status()
    }
}

async fn leave(mut socket: Socket) {
    socket.send_frame(Frame::Close(None)).await;
    while socket.frame().await.is_some() {}
}

async fn hears(socket: &mut Socket, texts: &[&str]) {
    for text in texts {
        assert_eq!(socket.json().await, *text);
    }
}

#[tokio::test]
async fn two_tabs_on_two_nodes_are_one_online_and_one_offline() {
    let fleet = Fleet::new().await;
    let [one, two] = fleet.two().await;
    let mut watcher = two.online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let first = one.online(1).await;
    hears(&mut watcher, &["+1"]).await;
    let mut second = two.open("/ws/online", 1).await;
    let welcome = second.json().await;
    assert_eq!(welcome, json!({ "users": [9, 1], "count": 2 }));
    leave(first).await;
    one.shows("all", &[1, 9]).await;
    // Nobody is told that it left one of the two, however long one waits.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    leave(second).await;
    hears(&mut watcher, &["-1"]).await;
    for node in [&one, &two] {
        node.shows("all", &[9]).await;
    }
    fleet.is_told(1, &["online", "offline"]).await;
    assert!(watcher.is_silent().await);
}

#[tokio::test]
async fn who_moves_to_another_node_within_the_grace_was_never_away() {
    let fleet = Fleet::new().await;
    let nodes = fleet.two().await;
    let mut watcher = nodes[0].online(9).await;
    hears(&mut watcher, &["+9"]).await;
    let mut socket = nodes[0].online(1).await;
    hears(&mut watcher, &["+1"]).await;
    for turn in 1..6 {
        leave(socket).await;
        socket = nodes[turn % 2].online(1).await;
    }
    for node in &nodes {
        node.shows("all", &[1, 9]).await;
    }
    leave(socket).await;
    hears(&mut watcher, &["-1"]).await;
    fleet.is_told(1, &["online", "offline"]).await;
    assert!(watcher.is_silent().await);
}

#[tokio::test]
async fn a_node_that_comes_lists_who_is_there_and_each_room_and_user_by_itself() {
    let fleet = Fleet::new().await;
    let one = fleet.node().await;
    let _sockets = [
        one.open("/ws/room/a", 1).await,
        one.open("/ws/room/a", 2).await,
        one.open("/ws/room/b", 1).await,
    ];
    one.shows("room_a", &[1, 2]).await;
    let two = fleet.node().await;
    let mut other = two.open("/ws/room/a", 3).await;
    assert_eq!(other.json().await, json!({ "users": [1, 2, 3] }));
    let names = [one.name().await, two.name().await];
    for node in [&one, &two] {
        node.shows("room_a", &[1, 2, 3]).await;
        node.shows("room_b", &[1]).await;
        until("all steps to be done", async || {
            let page = node.page("/presence?user=1").await;
            !page.to_string().contains("true")
        })
        .await;
        let page = node.page("/presence?user=1").await;
        let row = |key| json!({ "key": key, "user": 1, "endpoint": "room", "nodes": [names[0]], "steps_in_progress": false });
        assert_eq!(page, json!({ "shown": [row("room_a"), row("room_b")] }));
        let page = node.page("/presence").await;
        let room = &page["shown"][0];
        assert_eq!(
            (&room["key"], &room["online"]),
            (&json!("room_a"), &json!(3))
        );
        assert_eq!(room["nodes"][names[0].as_str().unwrap()], 2);
        assert_eq!(room["nodes"][names[1].as_str().unwrap()], 1);
        let page = node.page("/nodes").await;
        let members: Vec<_> = page["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| &node["members"])
            .collect();
        assert_eq!(members, [3, 1]);
    }
}

#[tokio::test]
async fn sockets_of_strangers_are_counted_on_all_nodes() {
    let fleet = Fleet::new().await;
    let [one, two] = fleet.two().await;
    let count = async |node: &Node| {
        let mut socket = Socket::open(node.0.addr(), "/ws/stream").await;
        let welcome = socket.json().await;
        (socket, welcome["count"].as_u64().unwrap())
    };
    let first = count(&one).await;
    until("the first to be known", async || {
        two.page("/presence").await["keys"] == 1
    })
    .await;
    let second = count(&two).await;
    assert_eq!((first.1, second.1), (1, 2));
    leave(first.0).await;
    until("one to be left", async || {
        let page = two.page("/presence").await;
        page["shown"][0]["online"] == 1
    })
    .await;
}

#[tokio::test]
async fn orders_at_one_node_are_obeyed_by_the_sessions_of_all() {
    let fleet = Fleet::new().await;
    let nodes = fleet.two().await;
    let mut sockets = Vec::new();
    for node in &nodes {
        let mut socket = node.open("/ws/room/a", 1).await;
        socket.json().await;
        sockets.push(socket);
    }
    let order = |kind: &str, data: Value| json!({"type": format!("outrigger.{kind}"), "users": [1], "data": data});
    let said = |topic: &str, data: &str| json!({"type": "said", "topics": [topic], "data": data});
    for (id, body) in [
        ("1", order("join", json!({"topics": ["more"]}))),
        ("2", said("more", "heard")),
        ("3", order("leave", json!({"topics": ["more"]}))),
        ("4", said("more", "not heard")),
        ("5", said("room_a", "last")),
        ("6", order("disconnect", json!({"code": 4003}))),
    ] {
        assert_eq!(nodes[0].post(id, &body).await, 202);
    }
    for socket in &mut sockets {
        hears(socket, &["heard", "last"]).await;
        assert_eq!(socket.closed().await.code, 4003);
    }
}

#[tokio::test]
async fn what_nodes_tell_each_other_is_not_taken_from_outside_nor_shown_to_clients() {
    let fleet = Fleet::new().await;
    let [one, two] = fleet.two().await;
    for word in ["beat", "changes", "gone", "hello"] {
        let kind = format!("outrigger.node.{word}");
        let fact = json!({"type": kind, "topics": ["online"], "data": {"node": [1, 0], "number": 9, "fact": "beat"}});
        assert_eq!(one.post(word, &fact).await, 422);
    }
    let mut socket = two.online(1).await;
    hears(&mut socket, &["+1"]).await;
    one.0.metric_becomes("outrigger_nodes", 2.0).await;
    assert!(socket.is_silent().await);
    assert_eq!(
        two.0
            .metric("outrigger_node_facts_total{kind=\"unreadable\"}")
            .await,
        0.0
    );
    assert!(
        two.0
            .metric("outrigger_node_facts_total{kind=\"changes\"}")
            .await
            >= 1.0
    );
    let unheard = "outrigger_events_unheard_total";
    assert_eq!(two.0.metric(unheard).await, 0.0);
}

#[tokio::test]
async fn a_feed_of_ones_own_knows_no_nodes() {
    let stage = Stage::new(ENDPOINTS).await;
    let _socket = stage.open("/ws/room/a", 1).await;
    let (_, page) = stage.outrigger.admin("/nodes").await;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page, json!({ "shared": false, "nodes": [] }));
    assert_eq!(stage.outrigger.metric("outrigger_feed_events").await, 0.0);
    assert_eq!(stage.outrigger.metric("outrigger_nodes").await, 0.0);
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_is_known_to_all() {
    let fleet = Fleet::new().await;
    let nodes = fleet.two().await;
    let crowd = (0..100).map(|user| {
        let node = &nodes[usize::try_from(user).unwrap() % 2];
        async move { node.open("/ws/room/a", user).await }
    });
    let sockets = join_all(crowd).await;
    let all: Vec<_> = (0..100).collect();
    for node in &nodes {
        node.shows("room_a", &all).await;
    }
    // A hundred came in a few facts, not in hundreds.
    let facts = "outrigger_node_facts_total{kind=\"changes\"}";
    assert!(nodes[0].0.metric(facts).await < 60.0);
    join_all(sockets.into_iter().map(leave)).await;
    for node in &nodes {
        node.shows("room_a", &[]).await;
    }
}
