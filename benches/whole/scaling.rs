//! One Redis Stream under several Outriggers: how many events go in, what they cost
//! Redis and each node, and how late each node reads them.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};

use crate::{
    Failure,
    http::Client,
    on_one_thread,
    server::{Server, free_port},
    signing,
    table::{Table, say},
};

/// How long each measurement lasts.
const ROUND: Duration = Duration::from_secs(4);

/// How events are posted: so many connections, so many events in each request.
#[derive(Clone, Copy)]
struct Posted {
    name: &'static str,
    connections: usize,
    batch: usize,
}

const WAYS: [Posted; 2] = [
    Posted {
        name: "one by one",
        connections: 64,
        batch: 1,
    },
    Posted {
        name: "100 a request",
        connections: 16,
        batch: 100,
    },
];

struct Node {
    server: Server,
    admin: u16,
}

impl Node {
    fn start(redis: u16) -> Result<Self, Failure> {
        let admin = free_port()?;
        let server = Server::sharing(redis, admin)?;
        Ok(Self { server, admin })
    }
}

/// Prints a row for each number of nodes and each way of posting.
pub(crate) fn measure() -> Result<(), Failure> {
    let mut table = Table::new(&[
        "scaling",
        "posted",
        "events/s",
        "us CPU/event, Redis",
        "us CPU/event, each node",
        "lag ms, mean",
        "lag ms, 99%",
    ]);
    for count in [1, 2, 4] {
        for way in WAYS {
            let Some(redis) = Server::redis()? else {
                say("scaling: redis-server is missing, so this part is left out");
                return Ok(());
            };
            let nodes = (0..count).map(|_| Node::start(redis.port));
            let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
            table.row(round(&redis, &nodes, way)?);
        }
    }
    table.print();
    Ok(())
}

fn round(redis: &Server, nodes: &[Node], way: Posted) -> Result<[String; 7], Failure> {
    let all_cpu = || -> Result<f64, Failure> { nodes.iter().map(|node| node.server.cpu()).sum() };
    let (redis_before, nodes_before) = (redis.cpu()?, all_cpu()?);
    let ports: Vec<u16> = nodes.iter().map(|node| node.server.port).collect();
    let (events, seconds) = on_one_thread(post(&ports, way))??;
    let (redis_cpu, nodes_cpu) = (redis.cpu()? - redis_before, all_cpu()? - nodes_before);
    let mut lag = Lag::default();
    for node in nodes {
        lag.add(&on_one_thread(metrics(node.admin))??);
    }
    let each = |cpu: f64| format!("{:.1}", cpu * 1e6 / events as f64);
    Ok([
        format!("{} nodes", nodes.len()),
        way.name.to_owned(),
        format!("{:.0}", events as f64 / seconds),
        each(redis_cpu),
        each(nodes_cpu / nodes.len() as f64),
        format!("{:.1}", lag.mean() * 1e3),
        format!("{:.1}", lag.at_most(0.99) * 1e3),
    ])
}

async fn post(ports: &[u16], way: Posted) -> Result<(usize, f64), Failure> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for (which, port) in (0..way.connections).zip(ports.iter().cycle().copied()) {
        clients.spawn_local(async move {
            let mut client = Client::connect(port).await?;
            let body = signing::events(way.batch);
            let mut posted = 0;
            while began.elapsed() < ROUND {
                let first = which * 10_000_000 + posted;
                let id = format!("event-{first}");
                client.ask(&signing::post(&id, &body)).await?;
                posted += way.batch;
            }
            Ok::<_, Failure>(posted)
        });
    }
    let mut events = 0;
    while let Some(posted) = clients.join_next().await {
        events += posted??;
    }
    Ok((events, began.elapsed().as_secs_f64()))
}

async fn metrics(admin: u16) -> Result<String, Failure> {
    let mut client = Client::connect(admin).await?;
    let head = "GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n";
    Ok(client.text(head.as_bytes()).await?)
}

/// The histogram `outrigger_feed_lag_seconds` of all nodes.
#[derive(Default)]
struct Lag {
    sum: f64,
    count: f64,
    /// Upper bounds in seconds, and how many were at most that late.
    buckets: Vec<(f64, f64)>,
}

impl Lag {
    fn add(&mut self, text: &str) {
        let lines = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = series.strip_prefix("outrigger_feed_lag_seconds_")?;
            Some((series, value.parse::<f64>().ok()?))
        });
        for (series, value) in lines {
            match series {
                "sum" => self.sum += value,
                "count" => self.count += value,
                bucket => {
                    let bound = bucket.split('"').nth(1).unwrap_or_default();
                    let bound = bound.parse().unwrap_or(f64::INFINITY);
                    match self.buckets.iter_mut().find(|(other, _)| *other == bound) {
                        Some((_, sum)) => *sum += value,
                        None => self.buckets.push((bound, value)),
                    }
                }
            }
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// The bound below which such a share of all was.
    fn at_most(&self, share: f64) -> f64 {
        let enough = |(_, count): &&(f64, f64)| *count >= share * self.count;
        self.buckets
            .iter()
            .find(enough)
            .map_or(f64::NAN, |(bound, _)| *bound)
    }
}
