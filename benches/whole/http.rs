//! Requests as fast as they are answered, and what each of them cost.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::{
    Failure,
    table::{Table, median, percentile},
};

/// How long one round lasts.
const ROUND: Duration = Duration::from_millis(1500);

/// What is asked, and by how many at once.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    name: &'static str,
    head: &'static str,
    body: usize,
    connections: usize,
}

impl Load {
    pub(crate) const GET: Self = Self {
        name: "GET 1 KiB",
        head: "GET /1k HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n",
        body: 0,
        connections: 64,
    };
    pub(crate) const POST: Self = Self {
        name: "POST 20 kB",
        head: "POST /post HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\n\
               Content-Type: application/json\r\nContent-Length: 20000\r\n\r\n",
        body: 20_000,
        connections: 64,
    };
    pub(crate) const DOWNLOAD: Self = Self {
        name: "GET 10 MiB",
        head: "GET /10m HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\n\r\n",
        body: 0,
        connections: 4,
    };
}

/// One round.
#[derive(Clone, Default)]
pub(crate) struct Measured {
    latencies: Vec<u32>,
    bytes: u64,
    seconds: f64,
    pub(crate) cpu: f64,
}

/// Closed loop: each connection asks again when it has its answer.
pub(crate) async fn drive(port: u16, load: Load) -> Result<Measured, Failure> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..load.connections {
        clients.spawn_local(ask_until(began + ROUND, port, load));
    }
    let mut all = Measured::default();
    while let Some(one) = clients.join_next().await {
        let one = one??;
        all.latencies.extend(one.latencies);
        all.bytes += one.bytes;
    }
    all.seconds = began.elapsed().as_secs_f64();
    Ok(all)
}

async fn ask_until(end: Instant, port: u16, load: Load) -> io::Result<Measured> {
    let mut client = Client::connect(port).await?;
    let mut request = load.head.as_bytes().to_vec();
    request.resize(request.len() + load.body, b'x');
    let mut measured = Measured::default();
    loop {
        let began = Instant::now();
        measured.bytes += client.ask(&request).await?;
        let took = began.elapsed().as_micros();
        measured
            .latencies
            .push(u32::try_from(took).unwrap_or(u32::MAX));
        if Instant::now() >= end {
            return Ok(measured);
        }
    }
}

/// A connection that is kept.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let buffer = vec![0; 256 * 1024];
        Ok(Self { stream, buffer })
    }

    /// Sends a request and reads its answer, of which it gives the body's length.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<u64> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let (head, length) = loop {
            filled += self.read(filled).await?;
            if let Some(head) = head_end(&self.buffer[..filled]) {
                break (head, length(&self.buffer[..head])?);
            }
        };
        let mut left = length - (filled - head) as u64;
        while left > 0 {
            left -= self.read(0).await? as u64;
        }
        Ok(length)
    }

    /// The same, and gives the body.
    pub(crate) async fn text(&mut self, request: &[u8]) -> io::Result<String> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            let Some(head) = head_end(&self.buffer[..filled]) else {
                continue;
            };
            let end = head as u64 + length(&self.buffer[..head])?;
            if filled as u64 >= end {
                return Ok(String::from_utf8_lossy(&self.buffer[head..filled]).into_owned());
            }
        }
    }

    async fn read(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// Where the body begins.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    at.map(|at| at + 4)
}

/// The length of a body by its head; an answer that is no success is an error.
fn length(head: &[u8]) -> io::Result<u64> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !text.starts_with("http/1.1 2") {
        let line = text.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!("the server answered {line}")));
    }
    let length = content_length(&text);
    length.ok_or_else(|| io::Error::other("an answer without Content-Length"))
}

/// `text` is in lower case.
pub(crate) fn content_length(text: &str) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("content-length:"));
    lines.next()?.trim().parse().ok()
}

/// Prints the medians of all rounds.
pub(crate) fn report(load: Load, names: &[&str], results: &[Vec<Measured>]) {
    let per_gib = load.name.ends_with("MiB");
    let unit = if per_gib {
        "CPU s/GiB"
    } else {
        "us CPU/request"
    };
    let mut table = Table::new(&[
        load.name,
        unit,
        "x nginx-1",
        "requests/s",
        "MiB/s",
        "p50 us",
        "p99 us",
    ]);
    let cost = |one: &Measured| match per_gib {
        true => one.cpu / (one.bytes as f64 / f64::from(1 << 30)),
        false => one.cpu * 1e6 / one.latencies.len() as f64,
    };
    let costs: Vec<f64> = results
        .iter()
        .map(|rounds| median(rounds.iter().map(cost)))
        .collect();
    let nginx = names
        .iter()
        .position(|name| *name == "nginx-1")
        .map_or(f64::NAN, |at| costs[at]);
    for ((name, rounds), own) in names.iter().zip(results).zip(&costs) {
        let of = |value: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(value));
        let percent = |percent| of(&|r| percentile(&mut r.latencies.clone(), percent));
        table.row([
            (*name).to_owned(),
            format!("{own:.2}"),
            format!("{:.2}", own / nginx),
            format!("{:.0}", of(&|r| r.latencies.len() as f64 / r.seconds)),
            format!(
                "{:.0}",
                of(&|r| r.bytes as f64 / r.seconds / f64::from(1 << 20))
            ),
            format!("{:.0}", percent(50)),
            format!("{:.0}", percent(99)),
        ]);
    }
    table.print();
}
