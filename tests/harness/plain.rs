//! Plain blocking clients: they note what came over the wire and understand as
//! little as possible of it. For the tests that compare with a real app.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    protocol::{CloseFrame, Role},
};

/// Longer than any answer takes on a busy machine; a test that waits as long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Where a server can be reached.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection through a [`Door`].
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Door {
    pub(crate) fn open(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}

/// The answer to a plain request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON; `null` if there is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// One HTTP exchange on a connection of its own.
pub(crate) fn exchange(
    door: &Door,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
        body.len(),
        authorization.unwrap_or_default(),
    );
    let mut stream = door.open()?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let head = read_head(&mut stream)?;
    let mut body = Vec::new();
    stream.read_to_end(&mut body)?;
    Ok(Answer {
        status: status_of(&head)?,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A WebSocket after its handshake.
#[derive(Debug)]
pub(crate) struct Socket(WebSocket<Stream>);

/// What a handshake came to.
pub(crate) enum Handshake {
    /// 101; the negotiated subprotocol.
    Open(Box<Socket>, Option<String>),
    /// Any other status.
    Refused(u16),
}

/// Asks for a WebSocket. `extra` are whole header lines.
pub(crate) fn handshake(door: &Door, path: &str, extra: &[&str]) -> io::Result<Handshake> {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for line in extra {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut stream = door.open()?;
    stream.write_all(head.as_bytes())?;
    let head = read_head(&mut stream)?;
    match status_of(&head)? {
        101 => {
            let socket = WebSocket::from_raw_socket(stream, Role::Client, None);
            let subprotocol = header(&head, "sec-websocket-protocol");
            Ok(Handshake::Open(Box::new(Socket(socket)), subprotocol))
        }
        status => Ok(Handshake::Refused(status)),
    }
}

impl Socket {
    pub(crate) fn say(&mut self, message: Message) {
        self.0.send(message).expect("the socket takes a message");
    }

    /// As [`Self::say`], to a server that may be closing: what it has to say
    /// about that is heard next.
    pub(crate) fn try_say(&mut self, message: Message) {
        self.0.send(message).ok();
    }

    /// Begins to close; the server's answer is heard next.
    pub(crate) fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.0.close(Some(frame)).expect("the socket takes a close");
    }

    /// What the next pong carries.
    pub(crate) fn hear_pong(&mut self) -> String {
        loop {
            match self.0.read() {
                Ok(Message::Pong(bytes)) => return String::from_utf8_lossy(&bytes).into_owned(),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    }

    /// The next message or end, as a line of a transcript. Pings are the
    /// server's own affair and are skipped.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return format!("text {text}"),
                Ok(Message::Binary(bytes)) => return format!("binary {bytes:?}"),
                Ok(Message::Close(frame)) => return describe_close(frame.as_ref()),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if is_timeout(&error) => return "nothing, for long".into(),
                Err(_) => return "end without a close frame".into(),
            }
        }
    }
}

fn describe_close(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) => format!(
            "close {} {:?}",
            u16::from(frame.code),
            frame.reason.as_str()
        ),
        None => "close without a code".into(),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Reads up to the empty line, and not a byte further: what follows are frames.
fn read_head(stream: &mut Stream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn status_of(head: &str) -> io::Result<u16> {
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.ok_or_else(|| io::Error::other(format!("no status in {head:?}")))
}

fn header(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim().to_owned())
}
