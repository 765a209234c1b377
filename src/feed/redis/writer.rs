//! Appending: what has gathered while Redis was busy with the last call goes with the
//! next, so that how much goes in does not hang on how long a call takes.

use std::time::{Duration, SystemTime};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    super::{Appended, Batch, Unavailable, codec},
    Stream,
    scripts::Group,
};
use crate::{
    event::{Offset, Position},
    redis::Failure,
};

/// Batches that may wait for Redis.
pub(super) const QUEUE: usize = 1024;
/// More events than these do not go together, unless they came together.
const GROUP: usize = 256;
/// The same in bytes.
const GROUP_BYTES: usize = 1 << 20;
/// From handing in to the answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// A batch that waits for Redis, and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    batch: Batch,
    texts: Vec<String>,
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Appended>, Failed>>,
}

/// Why a batch was not appended, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Unopened,
    Away,
    Refused,
    Slow,
    Full,
    Stale,
}

impl Failed {
    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Unopened => "not_reached_yet",
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Slow => "slow",
            Self::Full => "queue_full",
            Self::Stale => "history_changed",
        }
    }
}

impl From<Failed> for Unavailable {
    fn from(failed: Failed) -> Self {
        let reason = match failed {
            Failed::Unopened => "the feed's Redis has not been reached yet",
            Failed::Away => "the feed's Redis is away",
            Failed::Refused => "the feed's Redis refuses to write",
            Failed::Slow => "the feed's Redis does not answer in time",
            Failed::Full => "too much waits for the feed's Redis",
            Failed::Stale => "the feed's Redis has lost something, which is being looked at",
        };
        Self {
            reason,
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Stream {
    /// Puts a batch in the queue, and waits for what becomes of it.
    pub(super) async fn hand_in(&self, batch: Batch) -> Result<Vec<Appended>, Failed> {
        if self.opened.borrow().is_none() {
            return Err(Failed::Unopened);
        }
        let now = SystemTime::now();
        let texts = batch.events.iter().map(|event| codec::encode(event, now));
        let texts: Vec<_> = texts.collect();
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            bytes: texts.iter().map(String::len).sum(),
            batch,
            texts,
            answer,
        };
        self.waiting.try_send(waiting).map_err(|_| Failed::Full)?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(appended)) => appended,
            Ok(Err(_)) => Err(Failed::Away),
            Err(_) => Err(Failed::Slow),
        }
    }

    /// Appends what is handed in, in its order.
    pub(super) async fn write(&self, mut queue: mpsc::Receiver<Waiting>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match queue.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let (mut events, mut bytes) = (first.texts.len(), first.bytes);
            let mut batches = vec![first];
            while let Ok(more) = queue.try_recv() {
                events += more.texts.len();
                bytes += more.bytes;
                if events > GROUP || bytes > GROUP_BYTES {
                    next = Some(more);
                    break;
                }
                batches.push(more);
            }
            self.write_together(batches).await;
        }
    }

    async fn write_together(&self, mut batches: Vec<Waiting>) {
        // Who has ceased to wait tries again with the same ids, or has gone.
        batches.retain(|waiting| !waiting.answer.is_closed());
        let mut group = Group::default();
        let mut waiters = Vec::with_capacity(batches.len());
        for waiting in batches {
            waiters.push((waiting.texts.len(), waiting.answer));
            let ids = waiting.batch.events.into_iter().map(|event| event.id);
            group.ids.extend(ids);
            group.texts.extend(waiting.texts);
            group.cursors.extend(waiting.batch.cursor);
        }
        if waiters.is_empty() {
            return;
        }
        let mut outcome = self.write_group(&group).await.map(Vec::into_iter);
        for (count, answer) in waiters {
            let own = match &mut outcome {
                Ok(appended) => Ok(appended.take(count).collect()),
                Err(failed) => Err(*failed),
            };
            // Nobody there: it counts as a duplicate when it comes again.
            answer.send(own).ok();
        }
    }

    async fn write_group(&self, group: &Group) -> Result<Vec<Appended>, Failed> {
        let epoch = self.recent.position(Offset::ZERO).epoch;
        let seen = self.seen();
        // Ids outlive their entries a little, whatever clock trims them.
        let keep = self.keep + self.keep / 4;
        let asked = self.scripts.append((epoch, seen), keep, group).await;
        let places = asked.map_err(|failure| failed(&failure))?;
        if places.len() != group.texts.len() {
            self.doubt.notify_one();
            return Err(Failed::Stale);
        }
        if let Some((newest, _)) = places.iter().rfind(|(_, new)| *new) {
            self.note_seen(*newest);
        }
        let appended = places.into_iter().map(|(place, new)| {
            let position = Position {
                epoch,
                offset: place,
            };
            match new {
                true => Appended::Accepted(position),
                false => Appended::Duplicate(position),
            }
        });
        Ok(appended.collect())
    }
}

fn failed(failure: &Failure) -> Failed {
    tracing::warn!(error = %failure, "Redis does not take events");
    match failure.lost {
        true => Failed::Away,
        false => Failed::Refused,
    }
}
