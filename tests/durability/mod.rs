//! What was answered 202 is there, once and in order, whatever was killed meanwhile.
//!
//! Senders post signed webhooks, single events and batches, without a pause. What gets
//! no answer is posted again under the same id until it has one. When the kills are over,
//! the feed is read and held against what the senders were told.

mod disk;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use outrigger::event::Position;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::harness::{HOOK_SECRET, webhook_headers};

/// How many events each sender posts at once.
const SENDERS: [usize; 6] = [1, 1, 1, 5, 20, 64];

/// Senders at work.
pub(super) struct Senders {
    address: watch::Sender<Option<SocketAddr>>,
    over: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Told>>,
}

/// What one sender was told.
#[derive(Default)]
pub(super) struct Told {
    /// In the order in which they were sent.
    events: Vec<(String, Position)>,
    duplicates: usize,
    unanswered: usize,
    refused: usize,
}

impl Senders {
    /// Begins to send, as soon as there is somebody to send to.
    pub(super) fn start() -> Self {
        let (address, addresses) = watch::channel(None);
        let (over, ended) = watch::channel(false);
        let send = |(sender, batch): (usize, &usize)| {
            tokio::spawn(send(sender, *batch, addresses.clone(), ended.clone()))
        };
        let tasks = SENDERS.iter().enumerate().map(send).collect();
        Self {
            address,
            over,
            tasks,
        }
    }

    /// Where they send from now on.
    pub(super) fn to(&self, address: SocketAddr) {
        self.address.send_replace(Some(address));
    }

    /// Has each finish what it is at; somebody must be there to answer.
    pub(super) async fn finish(self) -> Vec<Told> {
        self.over.send_replace(true);
        let mut told = Vec::new();
        for task in self.tasks {
            told.push(task.await.unwrap());
        }
        told
    }
}

async fn send(
    sender: usize,
    batch: usize,
    addresses: watch::Receiver<Option<SocketAddr>>,
    ended: watch::Receiver<bool>,
) -> Told {
    let mut told = Told::default();
    let mut connection = None;
    let mut request = 0;
    while !*ended.borrow() {
        let ids: Vec<_> = (0..batch)
            .map(|n| format!("{sender}-{request}-{n}"))
            .collect();
        let event =
            |id: &String| json!({"id": id, "type": "news", "topics": ["news"], "data": {"id": id}});
        let body = json!({ "events": ids.iter().map(event).collect::<Vec<_>>() }).to_string();
        let results = loop {
            let id = format!("{sender}-{request}");
            match post(&mut connection, &addresses, &id, &body).await {
                Some((202, answer)) => break answer["results"].as_array().unwrap().clone(),
                Some((503, _)) => told.refused += 1,
                Some((status, answer)) => panic!("{status} {answer}"),
                None => told.unanswered += 1,
            }
            connection = None;
            sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(results.len(), ids.len());
        for (id, result) in ids.into_iter().zip(results) {
            told.duplicates += usize::from(result["result"] == "duplicate");
            let position = result["position"].as_str();
            let position = position.unwrap_or_else(|| panic!("{result}"));
            told.events.push((id, position.parse().unwrap()));
        }
        request += 1;
    }
    told
}

/// An answer, or none, whatever may have happened to the request.
async fn post(
    connection: &mut Option<TcpStream>,
    addresses: &watch::Receiver<Option<SocketAddr>>,
    id: &str,
    body: &str,
) -> Option<(u16, Value)> {
    let address = (*addresses.borrow())?;
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            connection.insert(stream)
        }
    };
    let headers = webhook_headers(HOOK_SECRET, id, body.as_bytes());
    let length = body.len();
    let request = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let answer = timeout(Duration::from_secs(20), read_answer(stream)).await;
    answer.unwrap_or_else(|_| panic!("no answer to {id}, and nobody was killed"))
}

async fn read_answer(stream: &mut TcpStream) -> Option<(u16, Value)> {
    let mut data = Vec::new();
    loop {
        let mut piece = [0; 16 << 10];
        let count = stream
            .read(&mut piece)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        data.extend(&piece[..count]);
        let text = std::str::from_utf8(&data).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length: usize = length.unwrap().lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Some((status, serde_json::from_str(body).unwrap_or_default()));
        }
    }
}

/// How often to kill: more than the default by the environment.
pub(super) fn kills() -> u32 {
    std::env::var("KILLS").map_or(25, |text| text.parse().unwrap())
}

/// Moments that differ from run to run.
pub(super) struct Moments(u64);

impl Moments {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self(u64::try_from(since.as_nanos()).unwrap_or(1) | 1)
    }

    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos(self.0 % u64::try_from(most.as_nanos()).unwrap())
    }
}

/// Holds what the senders were told against what is in the feed, and says so in a line.
pub(super) fn check(what: &str, begun: Instant, told: &[Told], read: &[(String, Position)]) {
    let mut places = HashMap::new();
    let mut doubled = 0;
    for (id, position) in read {
        doubled += usize::from(places.insert(id, *position).is_some());
    }
    let order = |events: &[(String, Position)]| {
        let pairs = events.windows(2);
        pairs
            .filter(|pair| pair[0].1.offset >= pair[1].1.offset)
            .count()
    };
    let answered: usize = told.iter().map(|one| one.events.len()).sum();
    let all = || told.iter().flat_map(|one| &one.events);
    let missing = all().filter(|(id, _)| !places.contains_key(id)).count();
    let elsewhere = all()
        .filter(|(id, at)| places.get(id).is_some_and(|place| place != at))
        .count();
    let disorder = order(read) + told.iter().map(|one| order(&one.events)).sum::<usize>();
    let [duplicates, unanswered, refused] = [
        |one: &Told| one.duplicates,
        |one: &Told| one.unanswered,
        |one: &Told| one.refused,
    ]
    .map(|count| told.iter().map(count).sum::<usize>());
    let more = read.len() - doubled - (answered - missing);
    println!(
        "{what} in {:.0?}: {answered} events answered 202 ({duplicates} of them on a retry, as duplicates), {unanswered} requests unanswered, \
         {refused} refused; {missing} missing, {doubled} doubled, {elsewhere} at another position than told, {disorder} out of order, {more} never answered",
        begun.elapsed(),
    );
    assert_eq!([missing, doubled, elsewhere, disorder, more], [0; 5]);
    assert!(
        told.iter().all(|one| !one.events.is_empty()),
        "each sender was heard"
    );
}
