//! Many `group_send` at once: what the app's own consumers hear of them, and what
//! Outrigger's clients do.

use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::{
    harness::{
        apps::{Example, Layer, Server},
        plain::Socket,
        until,
    },
    parity::{Cast, Stage, Way},
};

const NOTIFICATIONS: &str = "/ws/notifications/";
const BURST: u64 = 5000;
/// Sockets of the one who is told: as many at the app as at Outrigger.
const TABS: usize = 5;
const THE_END: &str = "the end";

#[test]
fn a_burst_reaches_all_clients_whole() {
    let cast = Cast {
        example: Example::Django,
        server: Server::Daphne,
        layer: Some(Layer::Core),
    };
    let stage = Stage::build(cast, Way::ChannelLayer);
    let at_the_app = listeners(|| {
        stage
            .open_at(&stage.app.door(), "jose", NOTIFICATIONS)
            .socket
    });
    let at_outrigger = listeners(|| stage.open("jose", NOTIFICATIONS).socket);
    let times = BURST.to_string();
    stage
        .app
        .manage(&["announce", "notifications_1", "--times", &times]);
    end(&stage);
    let heard = |listeners: Vec<JoinHandle<Vec<u64>>>| {
        let heard = listeners.into_iter().map(|one| one.join().expect("a tab"));
        heard.collect::<Vec<_>>()
    };
    let by_consumers = heard(at_the_app);
    let by_clients = heard(at_outrigger);
    println!(
        "burst of {BURST} group_send to one group, {TABS} sockets each: the app's consumers \
         received {} of {BURST}, Outrigger's clients {} of {BURST}",
        fewest(&by_consumers),
        fewest(&by_clients),
    );
    for heard in by_clients {
        assert!(
            heard.into_iter().eq(0..BURST),
            "some are missing, or out of order"
        );
    }
}

/// Says the end when nobody's queue in Redis holds anything any more, so that there is room for it.
fn end(stage: &Stage) {
    let redis = stage.redis.as_ref().expect("a Redis");
    stage.runtime.block_on(until("empty queues", || async {
        redis.cli(&["KEYS", "asgispecific*"]).await.is_empty()
    }));
    let body = json!({ "recipient": 1, "title": THE_END });
    stage.post("zoe", "/api/notifications/", &body);
}

fn listeners(mut open: impl FnMut() -> Box<Socket>) -> Vec<JoinHandle<Vec<u64>>> {
    let sockets: Vec<_> = (0..TABS).map(|_| open()).collect();
    let listening = sockets
        .into_iter()
        .map(|mut socket| std::thread::spawn(move || numbers_until_the_end(&mut socket)));
    listening.collect()
}

fn numbers_until_the_end(socket: &mut Socket) -> Vec<u64> {
    let mut numbers = vec![];
    let mut silences = 0;
    while silences < 9 {
        let heard = socket.hear();
        let Some(text) = heard.strip_prefix("text ") else {
            assert_eq!(heard, "nothing, for long");
            silences += 1;
            continue;
        };
        let frame: Value = serde_json::from_str(text).expect("JSON");
        let notification = &frame["notification"];
        if notification["title"] == THE_END {
            return numbers;
        }
        numbers.push(notification["id"].as_u64().expect("a number"));
    }
    panic!("the end was not heard after {} frames", numbers.len());
}

fn fewest(heard: &[Vec<u64>]) -> usize {
    heard.iter().map(Vec::len).min().unwrap_or_default()
}
