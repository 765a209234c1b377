//! Where the Redis can be: with a password and TLS, known by Sentinels, in a Cluster.

use std::net::TcpListener;

use super::{ENDPOINT, Node, config, events_in, hears, kept_their_epoch};
use crate::harness::{App, Outrigger, Redis, ok, preamble, redis::Sentinel, until};

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_password_and_tls_are_as_good_and_stay_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let authority = write("ca.pem", &made.cert.pem());
    let key = write("key.pem", &made.signing_key.serialize_pem());
    let port = free_port().to_string();
    let arguments = ["--tls-port", &port, "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &authority, "--tls-key-file", &key];
    let more = ["--tls-ca-cert-file", &authority, "--requirepass", "hidden"];
    let _redis = Redis::start_with(&[&arguments[..], &files, &more].concat()).await;
    let app = App::answering(|_| ok("{}")).await;
    // A room for each: who was in the same would begin with what it may not have heard.
    for (url, lines, room) in [
        (
            format!("rediss://localhost:{port}/0"),
            "password_env = \"REDIS_PASSWORD\"\n",
            "a",
        ),
        (format!("rediss://:hidden@localhost:{port}/0"), "", "b"),
    ] {
        let feed = format!("url = \"{url}\"\n{lines}ca_file = \"{authority}\"\n");
        let env = [("REDIS_PASSWORD", "hidden")];
        let node = Node(Outrigger::start_with(&config(&app, &feed), &env, &[]).await);
        node.is_ready().await;
        let mut socket = node.open(room).await;
        node.say(room, 1).await;
        hears(&mut socket, [1]).await;
        assert!(!node.0.logs().text().contains("hidden"));
    }
    let feed = format!("url = \"redis://127.0.0.1:{}/0\"\n", _redis.port());
    let node = Node(Outrigger::start(&config(&app, &feed)).await);
    until("the reason", async || {
        let (status, why) = node.0.admin("/ready").await;
        status == 503 && why.to_lowercase().contains("auth")
    })
    .await;
}

#[tokio::test]
async fn after_a_failover_the_master_that_the_sentinels_name_is_used() {
    let (master, replica) = Redis::start_replicated().await;
    let sentinel = Sentinel::of(&master).await;
    let app = App::answering(|_| ok("{}")).await;
    let config = format!(
        "{}\n[feed.redis.sentinel]\nnodes = [\"127.0.0.1:{}\"]\nmaster = \"main\"\n{ENDPOINT}",
        preamble(&app),
        sentinel.port()
    );
    let nodes = [Node::start(&config).await, Node::start(&config).await];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    nodes[0].say("a", 1).await;
    until("the replica to have it", async || {
        events_in(&replica).await == 1
    })
    .await;
    sentinel.ask(&["SENTINEL", "FAILOVER", "main"]).await;
    until("the replica to be the master", async || {
        replica.cli(&["ROLE"]).await.starts_with("master")
    })
    .await;
    // Until then it takes what will be lost.
    until("the old master to follow", async || {
        master.cli(&["ROLE"]).await.starts_with("slave")
    })
    .await;
    nodes[1].say_at_last("a", 2).await;
    nodes[0].say_at_last("a", 3).await;
    for socket in &mut sockets {
        hears(socket, [1, 2, 3]).await;
    }
    assert_eq!(events_in(&replica).await, 3);
}

fn addresses(servers: &[Redis; 4]) -> [String; 4] {
    std::array::from_fn(|at| format!("127.0.0.1:{}", servers[at].port()))
}

/// Three masters of a Cluster, and one server that is none of it yet.
async fn cluster() -> [Redis; 4] {
    let start = || async {
        let bus = free_port().to_string();
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        let more = ["--cluster-node-timeout", "2000"];
        Redis::start_with(&[&arguments[..], &more].concat()).await
    };
    let servers = [start().await, start().await, start().await, start().await];
    let [a, b, c, _] = addresses(&servers);
    servers[0]
        .cli(&["--cluster", "create", &a, &b, &c, "--cluster-yes"])
        .await;
    until("the Cluster to be well", async || {
        let mut well = true;
        for server in &servers[..3] {
            let info = server.cli(&["CLUSTER", "INFO"]).await;
            well &= info.contains("cluster_state:ok");
        }
        well
    })
    .await;
    servers
}

#[tokio::test]
async fn in_a_cluster_the_node_with_the_keys_is_found_also_after_they_moved() {
    let servers = cluster().await;
    let [a, b, c, d] = addresses(&servers);
    // Every node is a fine place to ask; the last is none of it yet.
    let app = App::answering(|_| ok("{}")).await;
    let feed =
        format!("cluster = [\"redis://{d}\", \"redis://{a}\", \"redis://{b}\", \"redis://{c}\"]\n");
    let nodes = [
        Node::start(&config(&app, &feed)).await,
        Node::start(&config(&app, &feed)).await,
    ];
    let mut sockets = [nodes[0].open("a").await, nodes[1].open("a").await];
    nodes[0].say("a", 1).await;
    nodes[1].say("a", 2).await;
    let mut owner = None;
    for (at, server) in servers[..3].iter().enumerate() {
        if events_in(server).await == 2 {
            owner = Some(at);
        }
    }
    let owner = &servers[owner.expect("one of them has the stream")];
    let name = owner.cli(&["CLUSTER", "MYID"]).await;
    let other = &servers[3];
    let join = [
        "--cluster",
        "add-node",
        &d,
        &a,
        "--cluster-slave",
        "--cluster-master-id",
        &name,
    ];
    owner.cli(&join).await;
    until("the replica to follow", async || {
        other.cli(&["ROLE"]).await.contains("connected")
    })
    .await;
    until("the replica to be the master", async || {
        other.cli(&["CLUSTER", "FAILOVER"]).await;
        other.cli(&["ROLE"]).await.starts_with("master")
    })
    .await;
    nodes[1].say_at_last("a", 3).await;
    nodes[0].say_at_last("a", 4).await;
    for socket in &mut sockets {
        hears(socket, [1, 2, 3, 4]).await;
    }
    assert_eq!(events_in(other).await, 4);
    kept_their_epoch(&nodes).await;
}
