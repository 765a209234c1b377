//! Our queue in Redis, emptied faster than it can fill.
//!
//! A sender drops what does not fit into `capacity`, and nobody learns of it. So one
//! connection does nothing but wait for the first message and take all others with it.
//! Several such requests are always under way, so that Redis goes on emptying while
//! this process does something else.

use std::{sync::Arc, time::Duration};

use ::redis::{RedisResult, aio::MultiplexedConnection, pipe};
use futures_util::{FutureExt, StreamExt, TryFutureExt, future::BoxFuture, stream::FuturesOrdered};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use super::{
    ChannelLayer,
    health::Alarm,
    intake::{Arrived, Way},
};
use crate::redis::{Failure, Redis, pause};

/// Redis answers at least so often, so that a dead connection is noticed.
const WAIT: Duration = Duration::from_secs(5);

/// How much later than that an answer may come.
const GRACE: Duration = Duration::from_secs(5);

/// Requests that are under way.
const AHEAD: usize = 8;

/// Messages taken at a time.
const MOST: usize = 1000;

/// What we put into our own queue to wake up from waiting.
pub(super) const WAKE: &[u8] = b"outrigger:wake";

/// The one who empties the queue.
pub(super) struct Mailbox {
    pub(super) layer: Arc<ChannelLayer>,
    pub(super) host: Arc<Redis>,
    pub(super) key: String,
    /// There is a new connection: who knows what the server has forgotten.
    pub(super) anew: Arc<Notify>,
    pub(super) batches: mpsc::Sender<Vec<Arrived>>,
}

type Scored = (Vec<u8>, f64);

/// What one request took.
struct Batch {
    /// The key, the member and its score.
    first: Option<(String, Vec<u8>, f64)>,
    rest: Vec<Scored>,
}

impl Batch {
    fn into_scored(self) -> Vec<Scored> {
        let first = self.first.map(|(_, bytes, score)| (bytes, score));
        first.into_iter().chain(self.rest).collect()
    }
}

impl Mailbox {
    /// Empties it until somebody wakes it up.
    pub(super) async fn run(self) {
        let (mut alarm, mut failures) = (Alarm::default(), 0);
        let mut heard_before = false;
        loop {
            match self.host.dedicated().await {
                Ok(connection) => {
                    self.layer.connected(&self.host);
                    if std::mem::replace(&mut heard_before, true) {
                        self.anew.notify_one();
                    }
                    match self.empty(&connection, &mut alarm, &mut failures).await {
                        Ok(()) => return,
                        Err(failure) => self.layer.disconnected(&self.host, &failure, "lost"),
                    }
                }
                Err(failure) => self.layer.disconnected(&self.host, &failure, "failed"),
            }
            sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Takes what comes, until it is woken up (`Ok`) or the connection is of no use.
    async fn empty(
        &self,
        connection: &MultiplexedConnection,
        alarm: &mut Alarm,
        failures: &mut u32,
    ) -> Result<(), Failure> {
        // They are asked and answered in this order: it is one connection.
        let mut asked: FuturesOrdered<_> = (0..AHEAD).map(|_| self.ask(connection)).collect();
        loop {
            let batch = match timeout(WAIT + GRACE, asked.next()).await {
                Ok(Some(answer)) => answer.map_err(|error| self.host.failure(&error))?,
                Ok(None) | Err(_) => return Err(self.host.too_slow(WAIT + GRACE)),
            };
            // Not before it has answered: a replica takes connections too.
            *failures = 0;
            asked.push_back(self.ask(connection));
            let batch = batch.into_scored();
            self.layer.depth(batch.len(), alarm);
            let woken = batch.iter().any(|(bytes, _)| bytes == WAKE);
            let arrived = batch.into_iter().filter(|(bytes, _)| bytes != WAKE);
            let arrived = arrived.map(|(bytes, score)| Arrived {
                bytes,
                way: Way::Queue(score),
            });
            let arrived: Vec<_> = arrived.collect();
            // Waiting here leaves the rest where it is: in Redis, which is what the
            // depth tells.
            if !arrived.is_empty() && self.batches.send(arrived).await.is_err() || woken {
                return Ok(());
            }
        }
    }

    /// Waits for the first message and takes what came with it: both commands are sent
    /// at once, and the second is done when the first one was.
    fn ask(&self, connection: &MultiplexedConnection) -> BoxFuture<'static, RedisResult<Batch>> {
        let mut pipeline = pipe();
        let wait = WAIT.as_secs();
        pipeline.cmd("BZPOPMIN").arg(&self.key).arg(wait);
        pipeline.cmd("ZPOPMIN").arg(&self.key).arg(MOST);
        let mut connection = connection.clone();
        let asked = async move { pipeline.query_async(&mut connection).await };
        asked.map_ok(|(first, rest)| Batch { first, rest }).boxed()
    }
}
