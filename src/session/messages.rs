//! What a client's messages cause: one after the other, in order, at most so
//! many waiting, and never in the way of what is sent to it.

use std::{collections::VecDeque, pin::Pin};

use tokio::time::{Duration, Instant, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::debug;

use super::desk::Desk;

/// Messages of one session that may wait for their turn.
const MAX_WAITING: usize = 16;
/// How long a session's last messages may take once it has ended.
const FINISH: Duration = Duration::from_secs(5);

/// The messages of one session that are not done with.
#[derive(Default)]
pub(super) struct Work {
    waiting: VecDeque<Utf8Bytes>,
    current: Option<Pin<Box<dyn Future<Output = Option<Utf8Bytes>> + Send>>>,
}

impl Work {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    pub(super) fn push(&mut self, message: Utf8Bytes) {
        self.waiting.push_back(message);
    }

    /// Whether a message waits and nothing is being done.
    pub(super) fn is_due(&self) -> bool {
        self.current.is_none() && !self.waiting.is_empty()
    }

    /// Begins with the next message.
    pub(super) fn start(&mut self, desk: Desk) {
        if let Some(message) = self.waiting.pop_front() {
            self.current = Some(Box::pin(desk.handle(message)));
        }
    }

    /// Waits until the message is done with and gives the reply to it, if there is
    /// one; for ever, if nothing is being done.
    pub(super) async fn done(&mut self) -> Option<Utf8Bytes> {
        let Some(current) = &mut self.current else {
            return std::future::pending().await;
        };
        let reply = current.await;
        self.current = None;
        reply
    }

    /// Does what is left without anybody to reply to, within a time: a client that said
    /// something and left is heard all the same.
    pub(super) async fn finish(mut self, desk: Desk) {
        let all = async {
            loop {
                if self.is_due() {
                    self.start(desk.clone());
                }
                if self.current.is_none() {
                    return;
                }
                self.done().await;
            }
        };
        if timeout(FINISH, all).await.is_err() {
            debug!("Messages were not done with in time after a session ended");
        }
    }
}

/// So many messages a second, with bursts of as many.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            left: f64::from(rate),
            filled: Instant::now(),
        }
    }

    /// Whether one more may pass.
    pub(super) fn take(&mut self, rate: u32) -> bool {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * f64::from(rate);
        self.left = (self.left + gained).min(f64::from(rate));
        self.filled = now;
        let passes = self.left >= 1.0;
        if passes {
            self.left -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_lets_bursts_and_then_the_rate_through() {
        let mut bucket = Bucket::new(5);
        let passed = |bucket: &mut Bucket| (0..20).filter(|_| bucket.take(5)).count();
        assert_eq!(passed(&mut bucket), 5);
        tokio::time::advance(Duration::from_millis(410)).await;
        assert_eq!(passed(&mut bucket), 2);
    }
}
