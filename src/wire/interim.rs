//! 1xx heads (RFC 9110, section 15.2) on their way to a client. hyper's server
//! can send none but 100, so they are written between its own writes.

use std::{
    fmt::Write,
    future::poll_fn,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker, ready},
};

use http::{HeaderMap, StatusCode};

/// What waits to be written at the next moment at which the server has nothing
/// unwritten itself.
#[derive(Debug, Default)]
pub struct Interim {
    waiting: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Who waits for the queue to be empty.
    waker: Option<Waker>,
}

impl Interim {
    /// Queues a head. It is for the request that is being answered, so it must be
    /// queued, and [`Self::drained`], before that request's response begins.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
        for (name, value) in headers {
            head.extend_from_slice(title_case(name.as_str()).as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        self.lock().bytes.append(&mut head);
        self.waiting.store(true, Ordering::Release);
    }

    /// Waits until every head is out. Whoever gives the server a response before,
    /// finds the rest of them in its body. It has no limit of its own: a client
    /// that does not read is cut by the watchdog.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            if !self.is_waiting() {
                return Poll::Ready(());
            }
            let mut queue = self.lock();
            if queue.bytes.is_empty() {
                return Poll::Ready(());
            }
            queue.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn poll_drain(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut queue = self.lock();
        while !queue.bytes.is_empty() {
            let written = ready!(write(&queue.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            queue.bytes.drain(..written);
        }
        self.waiting.store(false, Ordering::Release);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `link` as `Link`: the app's own spelling of a 1xx head is not told.
fn title_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, word) in name.split('-').enumerate() {
        let (first, rest) = word.split_at(word.len().min(1));
        let dash = if index > 0 { "-" } else { "" };
        // Writing to a String cannot fail.
        write!(out, "{dash}{}{rest}", first.to_ascii_uppercase()).unwrap_or_default();
    }
    out
}
