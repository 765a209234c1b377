//! The floor of fan-out: no HTTP, no JWT, no queue; one `send` per socket.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::{Failure, http::head_end, origin::port};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// As long as Outrigger's frame of the same event.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x81, 126, 0, 172];
    frame.resize(4 + 172, b'x');
    frame
}

/// Whoever comes first with GET is a subscriber; a POST ends the waiting for
/// more and each further one is an event.
pub(crate) fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port()?))?;
    let mut subscribers = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = [0; 4096];
        match read_head(&mut stream, &mut buffer) {
            Ok(b'P') => return publish(stream, subscribers),
            Ok(_) => {
                stream.set_nodelay(true)?;
                stream.write_all(SWITCH)?;
                subscribers.push(stream);
            }
            // Looking whether the port is open.
            Err(_) => {}
        }
    }
}

fn publish(mut publisher: TcpStream, mut subscribers: Vec<TcpStream>) -> Result<(), Failure> {
    let (frame, mut buffer) = (frame(), [0; 4096]);
    loop {
        publisher.write_all(TAKEN)?;
        for subscriber in &mut subscribers {
            subscriber.write_all(&frame)?;
        }
        if read_head(&mut publisher, &mut buffer).is_err() {
            return Ok(());
        }
    }
}

/// Heads and bodies here fit in one segment, so what was read is all.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<u8> {
    let read = stream.read(buffer)?;
    head_end(&buffer[..read]).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(buffer[0])
}
