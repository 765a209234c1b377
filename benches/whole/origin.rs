//! The app behind the proxies: a few fixed answers, as cheap as they come.

use std::{future::pending, io, rc::Rc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{
    Failure,
    http::{content_length, head_end},
    on_one_thread,
};

/// The port is the process' second word.
pub(crate) fn port() -> Result<u16, Failure> {
    let word = std::env::args().filter(|word| word != "--bench").nth(2);
    Ok(word.ok_or("which port?")?.parse()?)
}

/// Serves until killed.
pub(crate) fn serve() -> Result<(), Failure> {
    let port = port()?;
    let answers = Rc::new(Answers {
        small: answer(1024),
        large: answer(10 << 20),
    });
    on_one_thread(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answers = answers.clone();
            spawn_local(async move { converse(stream, &answers).await.unwrap_or_default() });
        }
    })?
}

/// Head and body, ready to be written.
struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
}

async fn converse(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        let Some(head) = head_end(&buffer[..filled]) else {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = content_length(&text).unwrap_or(0);
        skip(&mut stream, length.saturating_sub((filled - head) as u64)).await?;
        filled = 0;
        if text.starts_with("get /tunnel") {
            stream.write_all(SWITCH).await?;
            drop(buffer);
            return pending().await;
        }
        let large = text.starts_with("get /10m").then_some(&answers.large);
        stream.write_all(large.unwrap_or(&answers.small)).await?;
    }
}

/// Nobody checks the key.
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

async fn skip(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let mut sink = tokio::io::sink();
    tokio::io::copy(&mut stream.take(bytes), &mut sink).await?;
    Ok(())
}

fn answer(length: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nServer: bench\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
