//! HTTP/1.1 as bytes on a connection: sends exactly what it is told, reads by
//! the framing rules of RFC 9112 section 6.3, and keeps what came as it came.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UnixStream},
};

use super::{show, within};

/// The client's side of a connection.
pub type Client = Connection;

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its framing says.
    Complete,
    /// With the connection, as a message without framing does.
    Close,
    /// With the connection, before its framing was fulfilled.
    Cut,
    /// By a reset.
    Reset,
}

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The request line or the status line, without its line end.
    pub line: String,
    /// The header lines as they came: name, value without the white space around it.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The head's bytes with the empty line.
    pub head: Vec<u8>,
    /// The sizes of its chunks; `None` if it was not chunked.
    pub chunks: Option<Vec<usize>>,
    /// How it ended.
    pub end: End,
}

impl Message {
    /// Bytes that are no message.
    pub fn garbage(bytes: &[u8]) -> Self {
        Self {
            line: show(bytes),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            head: bytes.to_vec(),
            chunks: None,
            end: End::Cut,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let code = self
            .line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("no status in {:?}", self.line))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The values of all lines with a name, in any case.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = |(other, _): &&(Vec<u8>, Vec<u8>)| other.eq_ignore_ascii_case(name.as_bytes());
        let text = |(_, value): &(Vec<u8>, Vec<u8>)| String::from_utf8_lossy(value).into_owned();
        self.headers.iter().filter(same).map(text).collect()
    }

    /// The value of the first line with a name, in any case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn says(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .any(|value| value.to_ascii_lowercase().contains(token))
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection, seen from either side.
pub struct Connection {
    stream: Stream,
    unread: Vec<u8>,
    received: Vec<u8>,
    ended: Option<End>,
}

impl Connection {
    /// Connects as a client.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::tcp(
            within("a connection", TcpStream::connect(addr))
                .await
                .unwrap(),
        )
    }

    /// Connects as a client with another local address, as `127.0.0.2`.
    pub async fn connect_from(local: &str, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(local.parse().unwrap(), 0))
            .unwrap();
        Self::tcp(within("a connection", socket.connect(addr)).await.unwrap())
    }

    /// Connects as a client whose kernel takes only few bytes that are not read.
    pub async fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        Self::tcp(within("a connection", socket.connect(addr)).await.unwrap())
    }

    pub(super) fn tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::over(Stream::Tcp(stream))
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self::over(Stream::Unix(stream))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            received: Vec::new(),
            ended: None,
        }
    }

    /// The TCP stream with what was read from it but not used.
    pub fn into_tcp(self) -> (TcpStream, Vec<u8>) {
        match self.stream {
            Stream::Tcp(stream) => (stream, self.unread),
            Stream::Unix(_) => panic!("on a Unix socket"),
        }
    }

    /// The own address.
    pub fn local_addr(&self) -> SocketAddr {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().unwrap(),
            Stream::Unix(_) => panic!("on a Unix socket"),
        }
    }

    /// Every byte that came so far.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// The peer does not take them, or is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = within("the peer to read", self.try_send(bytes)).await;
        sent.unwrap_or_else(|error| panic!("not sent: {error}; received {}", show(&self.received)));
    }

    /// Sends these bytes, if the peer is still there. Without a deadline.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()).await,
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()).await,
        }
    }

    /// Writes until the peer has taken nothing for a while: how much it took.
    pub async fn fill(&mut self, most: usize) -> usize {
        let piece = vec![b'x'; 64 * 1024];
        let quiet = Duration::from_millis(700);
        let mut sent = 0;
        while sent < most {
            let write = async {
                match &mut self.stream {
                    Stream::Tcp(stream) => stream.write(&piece).await,
                    Stream::Unix(stream) => stream.write(&piece).await,
                }
            };
            match tokio::time::timeout(quiet, write).await {
                Ok(written) => sent += written.unwrap(),
                Err(_) => break,
            }
        }
        sent
    }

    /// Sends the end of the stream, and still reads.
    pub async fn finish(&mut self) {
        let ended = match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown().await,
            Stream::Unix(stream) => stream.shutdown().await,
        };
        ended.unwrap();
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            SockRef::from(stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }

    /// Ends the connection by a reset, or as one that is simply closed.
    pub fn hang_up(self, reset: bool) {
        if reset {
            self.reset();
        }
    }

    /// Sends a request without a body and reads the answer to its end.
    pub async fn get(&mut self, target: &str) -> Message {
        self.send(format!(
            "GET {target} HTTP/1.1\r\nHost: outrigger.test\r\n\r\n"
        ))
        .await;
        self.response("GET").await
    }

    /// Sends a request and reads the final answer to its end.
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request).await;
        let method = request
            .split(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        self.response(&String::from_utf8_lossy(method)).await
    }

    /// Reads the final response to a request with this method, skipping 1xx.
    ///
    /// # Panics
    /// The connection ends before a whole head.
    pub async fn response(&mut self, method: &str) -> Message {
        loop {
            let message = self.any_response(method).await;
            if message.status() == 101 || message.status() >= 200 {
                return message;
            }
        }
    }

    /// Reads the next response to a request with this method, 1xx included.
    ///
    /// # Panics
    /// The connection ends before a whole head.
    pub async fn any_response(&mut self, method: &str) -> Message {
        let read = within("a response", self.next_response(method)).await;
        read.unwrap_or_else(|| panic!("no response; received {}", show(&self.received)))
    }

    /// As [`Self::any_response`]; `None` if the connection ended first.
    pub async fn next_response(&mut self, method: &str) -> Option<Message> {
        let mut message = self.head().await?;
        let status = message.status();
        let bare = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let tunnel = method == "CONNECT" && (200..300).contains(&status);
        if !bare && !tunnel {
            self.body(&mut message, true).await;
        }
        Some(message)
    }

    /// Reads the next request to its end.
    ///
    /// # Panics
    /// The connection ends before a whole head.
    pub async fn request(&mut self) -> Message {
        let read = within("a request", self.next_request()).await;
        read.unwrap_or_else(|| panic!("no request; received {}", show(&self.received)))
    }

    /// As [`Self::request`], without a deadline; `None` if the connection ended first.
    pub async fn next_request(&mut self) -> Option<Message> {
        let mut message = self.head().await?;
        self.body(&mut message, false).await;
        Some(message)
    }

    /// What came and belongs to no message.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Reads the next request's head only: its body is then read by [`Self::read`].
    pub async fn request_head(&mut self) -> Message {
        let read = within("the head of a request", self.head()).await;
        read.unwrap_or_else(|| panic!("no request; received {}", show(&self.received)))
    }

    /// Reads the next response's head only.
    pub async fn response_head(&mut self) -> Message {
        let read = within("the head of a response", self.head()).await;
        read.unwrap_or_else(|| panic!("no response; received {}", show(&self.received)))
    }

    /// Reads exactly this many bytes.
    pub async fn read(&mut self, count: usize) -> Vec<u8> {
        let filled = within("more bytes", self.want(count)).await;
        assert!(filled, "it ended early; received {}", show(&self.received));
        self.unread.drain(..count).collect()
    }

    /// Reads until these bytes have come: all up to and with them.
    pub async fn read_until(&mut self, bytes: &[u8]) -> Vec<u8> {
        let wait = async {
            loop {
                if let Some(at) = find(&self.unread, bytes) {
                    return at + bytes.len();
                }
                let more = self.more().await;
                assert!(more, "it ended early; received {}", show(&self.received));
            }
        };
        let count = within(&show(bytes), wait).await;
        self.unread.drain(..count).collect()
    }

    /// Waits for the end of the connection; what still came before it is kept.
    pub async fn end(&mut self) -> End {
        within("the end of the connection", async {
            while self.more().await {}
        })
        .await;
        self.ended.unwrap_or(End::Close)
    }

    /// Reads all that comes until the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        self.end().await;
        std::mem::take(&mut self.unread)
    }

    /// Whether nothing comes, not even the end, within a short time.
    pub async fn is_silent(&mut self) -> bool {
        let soon = Duration::from_millis(200);
        self.unread.is_empty() && tokio::time::timeout(soon, self.more()).await.is_err()
    }

    /// Reads once more; `false` at the end.
    async fn more(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let start = self.unread.len();
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read_buf(&mut self.unread).await,
            Stream::Unix(stream) => stream.read_buf(&mut self.unread).await,
        };
        self.received.extend_from_slice(&self.unread[start..]);
        match read {
            Ok(0) => self.ended = Some(End::Close),
            Ok(_) => return true,
            Err(_) => self.ended = Some(End::Reset),
        }
        false
    }

    async fn want(&mut self, count: usize) -> bool {
        while self.unread.len() < count {
            if !self.more().await {
                return false;
            }
        }
        true
    }

    /// Reads up to the empty line; `None` if the connection ends before it.
    async fn head(&mut self) -> Option<Message> {
        let end = loop {
            match find(&self.unread, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if !self.more().await => return None,
                None => {}
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let first = find(&head, b"\r\n").unwrap();
        Some(Message {
            line: String::from_utf8_lossy(&head[..first]).into_owned(),
            headers: fields(&head[first + 2..end - 2]),
            body: Vec::new(),
            trailers: Vec::new(),
            head,
            chunks: None,
            end: End::Complete,
        })
    }

    async fn body(&mut self, message: &mut Message, response: bool) {
        if message.says("transfer-encoding", "chunked") {
            message.chunks = Some(Vec::new());
            if self.chunked(message).await.is_none() {
                message.end = self.cut();
            }
            return;
        }
        let length = message
            .header("content-length")
            .map(|length| length.parse::<usize>());
        match length {
            Some(length) => {
                let Ok(length) = length else {
                    message.end = End::Cut;
                    return;
                };
                let whole = self.want(length).await;
                let count = length.min(self.unread.len());
                message.body = self.unread.drain(..count).collect();
                message.end = if whole { End::Complete } else { self.cut() };
            }
            None if response => {
                while self.more().await {}
                message.body = std::mem::take(&mut self.unread);
                message.end = self.ended.unwrap_or(End::Close);
            }
            None => {}
        }
    }

    /// Reads the body that belongs to the head of a response.
    pub async fn body_of(&mut self, mut head: Message) -> Message {
        within("a body", self.body(&mut head, true)).await;
        head
    }

    /// Reads the next chunk of a chunked body; `None` at its end.
    ///
    /// # Panics
    /// The connection ends before the last chunk.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.read_until(b"\r\n").await;
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = self.read(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    async fn chunked(&mut self, message: &mut Message) -> Option<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = String::from_utf8_lossy(size).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).ok()?;
            if size == 0 {
                break;
            }
            let whole = self.want(size).await;
            let count = size.min(self.unread.len());
            message.body.extend(self.unread.drain(..count));
            message.chunks.get_or_insert_default().push(count);
            if !whole || !self.line().await?.is_empty() {
                return None;
            }
        }
        loop {
            let line = self.line().await?;
            match &*line {
                [] => return Some(()),
                line => message.trailers.extend(fields(&[line, b"\r\n"].concat())),
            }
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let mut line: Vec<u8> = self.unread.drain(..at + 2).collect();
                line.truncate(at);
                return Some(line);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    fn cut(&self) -> End {
        match self.ended {
            Some(End::Reset) => End::Reset,
            _ => End::Cut,
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|at| at == wanted)
}

fn fields(mut block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = Vec::new();
    while let Some(end) = find(block, b"\r\n") {
        let line = &block[..end];
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        fields.push((line[..colon].to_vec(), value.trim_ascii().to_vec()));
        block = &block[end + 2..];
    }
    fields
}
