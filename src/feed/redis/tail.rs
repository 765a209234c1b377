//! Reading the stream as it grows. This alone fills the window, so that every node sees
//! the same entries in the same order, its own among them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ::redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::{
    super::{codec, window::cost},
    PAGE, Stream, lock,
    raw::{Given, NO_EVENT, Raw, disown, settled},
    scripts::Met,
};
use crate::{
    event::{Entry, Offset, Position},
    metrics::Ended,
    redis::{Failure, pause},
};

/// How long one read waits for something new.
const BLOCK: Duration = Duration::from_secs(1);
/// Its answer is late when it has not come by then.
const LATE: Duration = Duration::from_secs(4);
/// How often it is looked whether the stream is still the same.
const CHECK: Duration = Duration::from_secs(1);
/// How often it is looked whether there is room in memory again.
const ROOM: Duration = Duration::from_millis(5);

/// What the library makes of the answer to XREAD.
type Read = Option<Vec<(String, Vec<Given>)>>;

impl Stream {
    /// Reads for ever, through all failures.
    pub(super) async fn tail(&self) {
        let mut failures = 0;
        loop {
            let Err(failure) = self.follow(&mut failures).await;
            let was = self.is_connected();
            self.count_connect(if was { "lost" } else { "failed" });
            self.away(&failure);
            warn!(error = %failure, "The feed's stream is not read; trying again");
            sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Connects, and reads until that fails.
    async fn follow(&self, failures: &mut u32) -> Result<std::convert::Infallible, Failure> {
        let mut connection = self.shared.redis.dedicated().await?;
        self.meet().await?;
        if self.opened.borrow().is_none() {
            self.load().await?;
        }
        *failures = 0;
        self.is_here();
        self.count_connect("opened");
        info!(redis = %self.shared.redis.name(), head = %self.recent.head(), "The feed's stream is read");
        let mut met = Instant::now();
        loop {
            self.wait_for_room().await;
            let found = self.read(&mut connection, &mut met).await?;
            // Whoever slept long may have missed what was trimmed meanwhile.
            if met.elapsed() > CHECK {
                self.meet().await?;
                met = Instant::now();
            }
            self.publish(found);
        }
    }

    /// What stands after the head, as soon as there is something, or nothing for long.
    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        met: &mut Instant,
    ) -> Result<Vec<Raw>, Failure> {
        let mut command = ::redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE + 1).arg("BLOCK");
        command.arg(u64::try_from(BLOCK.as_millis()).unwrap_or(1000));
        command.arg("STREAMS").arg(self.scripts.stream());
        command.arg(self.recent.head().to_string());
        let asked = command.query_async::<Read>(connection);
        let mut asked = Box::pin(timeout(LATE, asked));
        let redis = &self.shared.redis;
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer,
                () = self.doubt.notified() => {
                    self.meet().await?;
                    *met = Instant::now();
                }
            }
        };
        let read = answer
            .map_err(|_| redis.too_slow(LATE))?
            .map_err(|error| redis.failure(&error))?;
        let entries = read.into_iter().flatten().flat_map(|(_, entries)| entries);
        Ok(settled(entries.map(Raw::from).collect(), PAGE))
    }

    /// Looks whether the stream is what this node takes it for, and if not begins where
    /// it goes on.
    async fn meet(&self) -> Result<(), Failure> {
        let opened = self.opened.borrow().is_some();
        let before = self.recent.position(self.recent.head());
        let known = opened.then_some(before.epoch);
        let seen = *lock(&self.seen);
        let Met { epoch, floor } = self.scripts.meet(known, seen, new_epoch()).await?;
        if !opened {
            self.recent.begin(Position {
                epoch,
                offset: floor,
            });
            return Ok(());
        }
        if epoch != before.epoch {
            let changes = &self.recent.metrics.feed_epoch_changes;
            changes.get_or_create(&Ended { result: "redis" }).inc();
            error!(was = %before, epoch = format!("{epoch:x}"), %floor, "Redis has lost a part of the feed: who comes back from before is told that history is lost");
            self.recent.adopt(epoch);
        }
        if floor > before.offset {
            self.recent.metrics.feed_gaps.inc();
            error!(from = %before.offset, to = %floor, "A stretch of the feed is gone before this node has read it");
            self.recent.begin(Position {
                epoch,
                offset: floor,
            });
            self.note_seen(floor);
        }
        Ok(())
    }

    /// Takes the newest entries into memory, as many as it may hold.
    async fn load(&self) -> Result<(), Failure> {
        let floor = self.recent.head();
        let bounds = self.recent.bounds();
        let (mut newest, mut bytes) = (Vec::new(), 0);
        let mut begin = floor;
        let (mut before, mut elder) = (None, None);
        'pages: loop {
            let mut page = self.scripts.newest(before, PAGE).await?;
            elder = disown(page.iter_mut(), elder);
            for entry in self.decode(&page) {
                bytes += cost(&entry.event);
                let is_old = entry.accepted.elapsed() > bounds.keep;
                let place = entry.position.offset;
                if place <= floor {
                    break 'pages;
                }
                if is_old || bytes > bounds.bytes || newest.len() >= bounds.events {
                    begin = place;
                    break 'pages;
                }
                newest.push(entry);
            }
            before = page.last().map(|raw| raw.place);
            if page.len() < PAGE {
                break;
            }
        }
        newest.reverse();
        info!(
            entries = newest.len(),
            "Entries of the feed taken into memory"
        );
        let head = self.recent.load(begin, newest);
        self.note_seen(head);
        self.opened.send_replace(Some(head));
        Ok(())
    }

    /// What is in memory and not yet handed out is never forgotten: rather than that, no
    /// more is read.
    async fn wait_for_room(&self) {
        while !self.recent.has_room() {
            sleep(ROOM).await;
        }
    }

    fn publish(&self, found: Vec<Raw>) {
        let head = self.recent.head();
        let found: Vec<_> = found.into_iter().filter(|raw| raw.place > head).collect();
        let Some(newest) = found.last().map(|raw| raw.place) else {
            return;
        };
        self.note_seen(newest);
        let entries = self.decode(&found);
        let lag = &self.recent.metrics.feed_lag_seconds;
        for entry in &entries {
            lag.observe(age(entry.position.offset).as_secs_f64());
        }
        self.recent.publish_up_to(entries, newest);
    }

    /// The entries of a stretch; what is none is counted.
    pub(super) fn decode(&self, found: &[Raw]) -> Vec<Arc<Entry>> {
        let entries = found.iter().map(|raw| (raw, self.decode_one(raw)));
        let entries = entries.filter_map(|(raw, entry)| match entry {
            Ok(entry) => Some(entry),
            Err(why) => {
                self.recent.metrics.feed_undecodable.inc();
                warn!(place = %raw.place, why, "An entry of the stream is skipped");
                None
            }
        });
        entries.collect()
    }

    fn decode_one(&self, raw: &Raw) -> Result<Arc<Entry>, &'static str> {
        let text = raw.text.as_ref().map_err(|why| *why)?;
        let text = std::str::from_utf8(text).map_err(|_| NO_EVENT)?;
        let (event, at) = codec::decode(text).map_err(|_| NO_EVENT)?;
        let now = Instant::now();
        Ok(Arc::new(Entry {
            position: self.recent.position(raw.place),
            accepted: now.checked_sub(age(raw.place)).unwrap_or(now),
            at,
            event,
        }))
    }

    fn count_connect(&self, result: &'static str) {
        let connects = &self.recent.metrics.feed_connects;
        connects.get_or_create(&Ended { result }).inc();
    }
}

/// How long ago an entry was put into the stream, as far as the clocks agree.
fn age(place: Offset) -> Duration {
    let put = UNIX_EPOCH.checked_add(Duration::from_millis(place.0));
    let since = put.and_then(|put| SystemTime::now().duration_since(put).ok());
    since.unwrap_or_default()
}

/// An epoch that was not there before.
fn new_epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or_default()
}
