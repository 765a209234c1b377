//! Whole processes under load: Outrigger and its neighbours, side by side.
//!
//! Rounds are interleaved and medians are taken, because a machine has moods. What
//! counts are the ratios within one run: the processor time that a server's whole
//! process tree took, against that of nginx or of bare system calls. Run it with
//! `benches/run`; `docs/performance.md` says what the figures mean.

mod http;
mod ingest;
mod origin;
mod raw;
mod scaling;
mod server;
mod signing;
mod sockets;
mod table;

use std::{error::Error, io, process::ExitCode, time::Duration};

use http::{Load, Measured};
use server::Server;
use table::{Table, median};

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: benches/run [forward] [fanout] [memory] [ingest] [scaling] [--quick]";

fn main() -> ExitCode {
    // `cargo bench` adds a word of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    let result = match words.first().map(String::as_str) {
        Some("raw") => raw::serve(),
        Some("origin") => origin::serve(),
        _ => run(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::say(&format!("benches/run: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Failure> {
    let quick = words.iter().any(|word| word == "--quick");
    let parts: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|w| *w != "--quick")
        .collect();
    if parts
        .iter()
        .any(|part| !["forward", "fanout", "memory", "ingest", "scaling"].contains(part))
    {
        return Err(USAGE.into());
    }
    let wants = |part: &str| parts.is_empty() || parts.contains(&part);
    let rounds = if quick { 2 } else { 5 };
    table::say(&server::machine());
    if wants("forward") {
        forward(rounds)?;
    }
    if wants("fanout") {
        fanout(rounds.min(3))?;
    }
    if wants("memory") {
        memory()?;
    }
    if wants("ingest") {
        ingest::run(rounds.min(3))?;
    }
    if wants("scaling") {
        scaling::measure()?;
    }
    Ok(())
}

/// What each part runs on: one thread for the load, so that the servers have the rest.
fn on_one_thread<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, work))
}

/// The same requests through each proxy and straight to the app.
fn forward(rounds: usize) -> Result<(), Failure> {
    let origin = Server::origin()?;
    let mut servers = vec![
        Server::outrigger(origin.port)?,
        Server::nginx(origin.port, 1)?,
        Server::nginx(origin.port, 2)?,
    ];
    servers.extend(Server::baseline(origin.port)?);
    let mut names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    names.push("direct");
    for load in [Load::GET, Load::POST, Load::DOWNLOAD] {
        let mut results: Vec<Vec<Measured>> = vec![Vec::new(); names.len()];
        for _ in 0..rounds {
            for (at, server) in servers.iter().chain([&origin]).enumerate() {
                let before = server.cpu()?;
                let mut measured = on_one_thread(http::drive(server.port, load))??;
                measured.cpu = server.cpu()? - before;
                results[at].push(measured);
            }
        }
        http::report(load, &names, &results);
    }
    Ok(())
}

/// One topic, all sessions on it; events by webhook, delivered to all.
fn fanout(rounds: usize) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "fan-out",
        "server",
        "us CPU/delivery",
        "x raw",
        "deliveries/s",
        "p50 us",
        "p99 us",
    ]);
    for (sessions, events, window) in [(1_000, 200, 1), (1_000, 1_000, 8), (10_000, 20, 1)] {
        let mut results = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let mut servers = vec![Server::raw()?, Server::outrigger(0)?];
            servers.extend(Server::baseline(0)?);
            for (at, server) in servers.iter().enumerate() {
                let done = sockets::fan_out(server, sessions, events, window);
                results[at].push(on_one_thread(done)??);
            }
        }
        let cpu = |at: usize| median(results[at].iter().map(|r| r.cpu_per_delivery));
        for (at, name) in ["raw send", "outrigger", "baseline"]
            .into_iter()
            .enumerate()
        {
            if results[at].is_empty() {
                continue;
            }
            let of = |value: fn(&sockets::FannedOut) -> f64| median(results[at].iter().map(value));
            table.row([
                format!("{sessions} sessions, {window} in flight"),
                name.into(),
                format!("{:.2}", cpu(at)),
                format!("{:.2}", cpu(at) / cpu(0)),
                format!("{:.0}", of(|r| r.per_second)),
                format!("{:.0}", of(|r| r.p50)),
                format!("{:.0}", of(|r| r.p99)),
            ]);
        }
    }
    table.print();
    Ok(())
}

/// Resident memory of connections on which nothing happens.
fn memory() -> Result<(), Failure> {
    let mut table = Table::new(&["idle", "server", "bytes/connection", "us CPU/connect"]);
    for sessions in [1_000, 10_000] {
        let server = Server::outrigger(0)?;
        let idle = on_one_thread(sockets::hold(&server, "/ws/news/", sessions, SETTLE))??;
        table.row(idle.row("session, JWT verified", sessions, server.name));
    }
    for sessions in [1_000, 5_000] {
        let origin = Server::origin()?;
        for server in [
            Server::outrigger(origin.port)?,
            Server::nginx(origin.port, 1)?,
        ] {
            let idle = on_one_thread(sockets::hold(&server, "/tunnel", sessions, SETTLE))??;
            table.row(idle.row("tunnelled WebSocket", sessions, server.name));
        }
    }
    table.print();
    Ok(())
}

/// Until memory is looked at after the last connect.
const SETTLE: Duration = Duration::from_secs(1);
