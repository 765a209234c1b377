//! The app: posts events, and again until they are accepted.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Sky, dice::Dice};
use crate::harness::{HOOK_SECRET, webhook_headers};

/// Between two posts.
const TICK: Duration = Duration::from_millis(50);

/// What it came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Posted {
    pub(crate) events: usize,
    /// Posts that had to be made again, and events of them that were in the feed already.
    pub(crate) again: usize,
    pub(crate) duplicates: usize,
}

/// Posts events for so long, each to a room; then the last word to each room.
pub(crate) async fn publish(sky: Arc<Sky>, a_second: u64, lasting: Duration) -> Posted {
    let mut dice = Dice::new(sky.seed + 1_000_000);
    let mut posted = Posted::default();
    let (begun, mut next) = (Instant::now(), Instant::now());
    let mut poster = Poster::default();
    while begun.elapsed() < lasting {
        let per_tick = a_second * u64::try_from(TICK.as_millis()).unwrap() / 1000;
        let rooms: Vec<_> = (0..per_tick).map(|_| dice.index(sky.rooms)).collect();
        post(&sky, &rooms, &mut poster, &mut dice, &mut posted).await;
        next += TICK;
        sleep_until(next).await;
    }
    sky.calm_down();
    // Twice: who has missed the one is there for the other.
    for pause in [Duration::ZERO, Duration::from_secs(3)] {
        sleep(pause).await;
        let rooms: Vec<_> = (0..sky.rooms).collect();
        for some in rooms.chunks(100) {
            post(&sky, some, &mut poster, &mut dice, &mut posted).await;
        }
    }
    posted.events -= 2 * sky.rooms;
    posted
}

async fn post(
    sky: &Sky,
    rooms: &[usize],
    poster: &mut Poster,
    dice: &mut Dice,
    posted: &mut Posted,
) {
    let numbers = sky.say(rooms);
    let event = |(n, room): (&usize, &usize)| json!({"id": format!("e{n}"), "type": "item", "topics": [format!("room_{room}")], "data": {"n": n}});
    let events: Vec<_> = numbers.iter().zip(rooms).map(event).collect();
    let body = json!({ "events": events }).to_string();
    posted.events += rooms.len();
    loop {
        if let Some(node) = sky.node(dice)
            && let Some(answer) = poster
                .post(node, &format!("post-{}", numbers[0]), &body)
                .await
        {
            let results = answer["results"].as_array().unwrap();
            let count = |what: &str| results.iter().filter(|one| one["result"] == what).count();
            posted.duplicates += count("duplicate");
            assert_eq!(
                count("accepted") + count("duplicate"),
                rooms.len(),
                "{answer}"
            );
            return;
        }
        posted.again += 1;
        sleep(Duration::from_millis(50)).await;
    }
}

/// One connection to the webhook, as long as it lasts.
#[derive(Default)]
pub(crate) struct Poster(Option<TcpStream>);

impl Poster {
    /// Posts a body: that of the answer if it is a 202.
    pub(crate) async fn post(&mut self, node: SocketAddr, id: &str, body: &str) -> Option<Value> {
        let asked = timeout(Duration::from_secs(10), self.try_post(node, id, body)).await;
        let answer = asked.ok().flatten();
        if answer.is_none() {
            self.0 = None;
        }
        answer
    }

    async fn try_post(&mut self, node: SocketAddr, id: &str, body: &str) -> Option<Value> {
        if self.0.is_none() {
            let stream = TcpStream::connect(node).await.ok()?;
            stream.set_nodelay(true).ok()?;
            self.0 = Some(stream);
        }
        let stream = self.0.as_mut()?;
        let headers = webhook_headers(HOOK_SECRET, id, body.as_bytes());
        let length = body.len();
        let request = format!(
            "POST /outrigger/events HTTP/1.1\r\nHost: outrigger\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        answer(stream).await
    }
}

async fn answer(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = std::str::from_utf8(&bytes).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.split_once("content-length: ")?.1;
        let length: usize = length.lines().next()?.parse().ok()?;
        if body.len() >= length {
            let accepted = head.starts_with("http/1.1 202");
            return accepted.then(|| serde_json::from_str(body).unwrap());
        }
    }
}
