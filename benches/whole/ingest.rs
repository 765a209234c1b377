//! Events by webhook as fast as they are answered, for each place where the feed can be,
//! beside what the disk does without us.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    thread::sleep,
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    Failure,
    http::Client,
    on_one_thread,
    server::Server,
    signing,
    table::{Table, median, percentile, say},
};

/// How long one round lasts.
const ROUND: Duration = Duration::from_millis(1500);
/// What a group of one event takes on the disk, roughly.
const RECORD: usize = 400;
/// Senders, and how many events each request of theirs has.
const LOADS: [(usize, usize); 6] = [(1, 1), (32, 1), (1, 64), (8, 64), (1, 500), (8, 500)];

/// Where the feed is.
struct Store {
    name: &'static str,
    /// What it answers for is synced.
    syncs: bool,
    outrigger: Server,
    redis: Option<Server>,
}

impl Store {
    fn new(name: &'static str, config: &str, redis: Option<Server>) -> Result<Self, Failure> {
        let outrigger = Server::ingest(name, config)?;
        Ok(Self {
            name,
            syncs: name == "disk",
            outrigger,
            redis,
        })
    }

    /// Redis's part is a part of it.
    fn cpu(&self) -> Result<f64, Failure> {
        let redis = self.redis.as_ref().map_or(Ok(0.0), Server::cpu)?;
        Ok(self.outrigger.cpu()? + redis)
    }
}

fn stores() -> Result<Vec<Store>, Failure> {
    let folder = folder();
    fs::remove_dir_all(&folder).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    let path = folder.join("feed");
    let disk = format!(
        "[feed.disk]\npath = \"{}\"\nmax_bytes = \"4GiB\"\nmax_events = 10000000\n",
        path.display()
    );
    let memory = "[feed.memory]\nmax_events = 1000000\nmax_bytes = \"512MiB\"\n";
    let mut stores = vec![
        Store::new("memory", memory, None)?,
        Store::new("disk", &disk, None)?,
    ];
    if let Some(redis) = Server::redis_on_disk()? {
        let url = format!("redis://127.0.0.1:{}", redis.port);
        let config = format!("[feed.redis]\nurl = \"{url}\"\nmax_events = 10000000\n");
        stores.push(Store::new("redis", &config, Some(redis))?);
    }
    // Redis is reached a moment after the start.
    sleep(Duration::from_millis(300));
    Ok(stores)
}

/// On the disk that is measured.
fn folder() -> PathBuf {
    let name = format!("outrigger-ingest-{}", std::process::id());
    std::env::temp_dir().join(name)
}

#[derive(Clone, Default)]
struct Measured {
    latencies: Vec<u32>,
    seconds: f64,
    cpu: f64,
    /// Syncs a second of the bare disk, just before.
    syncs: f64,
}

/// Measures all stores under all loads.
pub(crate) fn run(rounds: usize) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "ingest",
        "feed",
        "events/s",
        "us CPU/event",
        "requests/s",
        "disk syncs/s",
        "syncs/request",
        "p50 us",
        "p99 us",
    ]);
    let stores = stores()?;
    for (senders, events) in LOADS {
        let mut results = vec![Vec::new(); stores.len()];
        for round in 0..rounds {
            for (at, store) in stores.iter().enumerate() {
                let syncs = if store.syncs { syncs()? } else { 0.0 };
                let before = store.cpu()?;
                let name = format!("{senders}-{events}-{round}");
                let driven = drive(store.outrigger.port, (senders, events), name);
                let mut measured = on_one_thread(driven)??;
                measured.cpu = store.cpu()? - before;
                measured.syncs = syncs;
                results[at].push(measured);
            }
        }
        for (store, rounds) in stores.iter().zip(&results) {
            table.row(row((senders, events), store.name, rounds));
        }
    }
    table.print();
    say(
        "syncs/request: how many bare syncs the disk did in the time of one request; 1 is its own pace, less is better.\nredis: appendonly yes, appendfsync everysec; its processor time is counted with Outrigger's.\n",
    );
    fs::remove_dir_all(folder())?;
    Ok(())
}

fn row((senders, events): (usize, usize), name: &str, rounds: &[Measured]) -> Vec<String> {
    let of = |value: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(value));
    let requests = |one: &Measured| one.latencies.len() as f64 / one.seconds;
    let count = |one: &Measured| (one.latencies.len() * events) as f64;
    let percent = |percent| of(&|one| percentile(&mut one.latencies.clone(), percent));
    let syncs = of(&|one| one.syncs);
    let [rate, ratio] = match syncs > 0.0 {
        true => [
            format!("{syncs:.0}"),
            format!("{:.2}", of(&|one| one.syncs / requests(one))),
        ],
        false => [const { String::new() }; 2],
    };
    vec![
        format!("{senders} x {events}"),
        name.to_owned(),
        format!("{:.0}", of(&|one| count(one) / one.seconds)),
        format!("{:.1}", of(&|one| one.cpu * 1e6 / count(one))),
        format!("{:.0}", of(&requests)),
        rate,
        ratio,
        format!("{:.0}", percent(50)),
        format!("{:.0}", percent(99)),
    ]
}

/// How often a second a record can be appended to a file and synced.
fn syncs() -> io::Result<f64> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(folder().join("bare"))?;
    let began = Instant::now();
    let mut count = 0.0;
    while began.elapsed() < ROUND / 2 {
        file.write_all(&[b'x'; RECORD])?;
        file.sync_data()?;
        count += 1.0;
    }
    Ok(count / began.elapsed().as_secs_f64())
}

async fn drive(
    port: u16,
    (senders, events): (usize, usize),
    name: String,
) -> Result<Measured, Failure> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for sender in 0..senders {
        clients.spawn_local(post_until(
            began + ROUND,
            port,
            events,
            format!("{name}-{sender}"),
        ));
    }
    let mut all = Measured::default();
    while let Some(one) = clients.join_next().await {
        all.latencies.extend(one??);
    }
    all.seconds = began.elapsed().as_secs_f64();
    Ok(all)
}

async fn post_until(end: Instant, port: u16, events: usize, name: String) -> io::Result<Vec<u32>> {
    let mut client = Client::connect(port).await?;
    let body = signing::events(events);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let request = signing::post(&format!("{name}-{}", latencies.len()), &body);
        let began = Instant::now();
        match client.ask(&request).await {
            Ok(_) => latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)),
            // A 503, as when Redis waits for its own disk: not counted.
            Err(error) if error.kind() == io::ErrorKind::Other => {
                client = Client::connect(port).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(latencies)
}
