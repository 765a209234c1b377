//! WebSocket clients: many that listen, and one publisher that talks to them all.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    Failure,
    http::{Client, head_end},
    server::Server,
    signing,
    table::percentile,
};

/// Nothing of a round lasts longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What idle connections took.
pub(crate) struct Idle {
    bytes: f64,
    cpu: f64,
}

impl Idle {
    pub(crate) fn row(&self, what: &str, connections: usize, server: &str) -> [String; 4] {
        [
            format!("{connections} x {what}"),
            server.to_owned(),
            format!("{:.0}", self.bytes / connections as f64),
            format!("{:.0}", self.cpu * 1e6 / connections as f64),
        ]
    }
}

/// Opens connections and looks at what they cost while nothing happens.
pub(crate) async fn hold(
    server: &Server,
    path: &str,
    connections: usize,
    settle: Duration,
) -> Result<Idle, Failure> {
    let tokens: Vec<String> = (0..connections).map(signing::token).collect();
    let (memory, cpu) = (server.resident()?, server.cpu()?);
    let mut open = Vec::with_capacity(connections);
    for token in &tokens {
        open.push(connect(server.port, path, token).await?);
    }
    let cpu = server.cpu()? - cpu;
    sleep(settle).await;
    let bytes = server.resident()? - memory;
    Ok(Idle { bytes, cpu })
}

async fn connect(port: u16, path: &str, token: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET {path}?token={token} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (mut head, mut filled) = ([0; 1024], 0);
    while head_end(&head[..filled]).is_none() {
        match stream.read(&mut head[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        let text = String::from_utf8_lossy(&head[..filled]).into_owned();
        return Err(io::Error::other(text));
    }
    Ok(stream)
}

/// One round of fan-out.
pub(crate) struct FannedOut {
    pub(crate) cpu_per_delivery: f64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// When events were posted, and how long each delivery took.
#[derive(Default)]
struct Board {
    posted: RefCell<Vec<Instant>>,
    latencies: RefCell<Vec<u32>>,
    moved: Notify,
}

impl Board {
    fn delivered(&self) -> usize {
        self.latencies.borrow().len()
    }

    fn deliver(&self, event: usize) {
        if let Some(posted) = self.posted.borrow().get(event) {
            let took = posted.elapsed().as_micros();
            let took = u32::try_from(took).unwrap_or(u32::MAX);
            self.latencies.borrow_mut().push(took);
        }
    }

    async fn until_delivered(&self, deliveries: usize) {
        while self.delivered() < deliveries {
            self.moved.notified().await;
        }
    }
}

/// Posts events, never more than `window` of them on their way.
pub(crate) async fn fan_out(
    server: &Server,
    sessions: usize,
    events: usize,
    window: usize,
) -> Result<FannedOut, Failure> {
    let board = Rc::new(Board::default());
    let mut listeners = JoinSet::new();
    for n in 0..sessions {
        let stream = connect(server.port, "/ws/news/", &signing::token(n)).await?;
        listeners.spawn_local(listen(stream, board.clone(), sessions));
    }
    let mut publisher = Client::connect(server.port).await?;
    let requests: Vec<_> = (0..events).map(signing::webhook).collect();
    let (began, before) = (Instant::now(), server.cpu()?);
    let publishing = async {
        for (n, request) in requests.iter().enumerate() {
            board
                .until_delivered((n + 1).saturating_sub(window) * sessions)
                .await;
            board.posted.borrow_mut().push(Instant::now());
            publisher.ask(request).await?;
        }
        board.until_delivered(events * sessions).await;
        Ok::<_, io::Error>(())
    };
    timeout(PATIENCE, publishing)
        .await
        .map_err(|_| lost(&board, events * sessions))??;
    let seconds = began.elapsed().as_secs_f64();
    let deliveries = (events * sessions) as f64;
    let mut latencies = board.latencies.take();
    Ok(FannedOut {
        cpu_per_delivery: (server.cpu()? - before) * 1e6 / deliveries,
        per_second: deliveries / seconds,
        p50: percentile(&mut latencies, 50),
        p99: percentile(&mut latencies, 99),
    })
}

fn lost(board: &Board, expected: usize) -> String {
    format!("{} of {expected} deliveries came", board.delivered())
}

/// Counts frames until the server closes.
async fn listen(mut stream: TcpStream, board: Rc<Board>, sessions: usize) -> io::Result<()> {
    let (mut buffer, mut filled, mut event) = (vec![0; 2048], 0, 0);
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
        let (mut at, whole) = (0, board.delivered() / sessions);
        while let Some(length) = frame(&buffer[at..filled]) {
            board.deliver(event);
            event += 1;
            at += length;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if board.delivered() / sessions > whole {
            board.moved.notify_one();
        }
    }
}

/// The length of the whole frame at the front, if it is there. Servers do not
/// mask, and nothing here is longer than 64 KiB.
fn frame(bytes: &[u8]) -> Option<usize> {
    let length = match (*bytes.get(1)? & 0x7f, bytes.get(2..4)) {
        (126, Some(long)) => 4 + usize::from(u16::from_be_bytes([long[0], long[1]])),
        (126 | 127, _) => return None,
        (short, _) => 2 + usize::from(short),
    };
    (bytes.len() >= length).then_some(length)
}
