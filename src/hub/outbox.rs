//! What waits to be written to one socket.
//!
//! The queue and its `behind` mark are under one lock: with two there is a moment
//! in which neither side sees that the other has work to do. A full queue is not
//! grown and nothing in it is skipped: the session has fallen behind and will read
//! what it missed from the feed, which remembers for it.

mod topics;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Missed, joined::Joined, missed::Remembered};
use crate::{event::Offset, order::Farewell};

/// A frame and the entry it was made from.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where the entry stands.
    pub offset: Offset,
    /// The text, shared by all who are sent it.
    pub text: Utf8Bytes,
    /// The feed will not give it again.
    pub ephemeral: bool,
}

/// A bounded queue of frames.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
    ended: Notify,
    /// Lasts as long as the session, whatever subscription is in force.
    joined: Mutex<Joined>,
    /// The newest entry that was known when the session subscribed.
    subscribed: Offset,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    /// The newest entry that was offered and taken.
    last: Offset,
    /// The newest entry known to be for the session, taken or not.
    newest: Offset,
    behind: bool,
    /// What waits is not due for so many reasons.
    holds: usize,
    /// Nothing after this place is for the session, and why.
    end: Option<Box<(Offset, End)>>,
    /// Only who has missed something has this.
    missed: Option<Box<Remembered>>,
}

/// Why the hub ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The app said so.
    Asked(Farewell),
    /// So many topics came and went that it cannot be told what it has missed.
    TooManyChanges,
}

/// While this lasts, what comes for a session waits.
#[derive(Debug)]
pub struct Hold(Arc<Outbox>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
        self.0.wake.notify_one();
    }
}

/// What there is to do for the session.
#[derive(Debug)]
pub enum Due {
    /// Write these.
    Frames(VecDeque<Outgoing>),
    /// The queue is empty and something was left out: read the feed.
    CatchUp,
    /// Nothing.
    Nothing,
}

/// What waited up to a place of the feed, cut off from the rest.
#[derive(Debug)]
pub struct Cut {
    /// It.
    pub frames: VecDeque<Outgoing>,
    /// Whether something had been left to the feed before.
    pub was_behind: bool,
    /// What of the rest was ephemeral.
    pub lost: Missed,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It waits to be written.
    Queued,
    /// The session will read it from the feed.
    Behind,
    /// The session has it already.
    Known,
}

impl Outbox {
    /// An empty one; entries up to `since` are not for it.
    pub fn new(since: Offset, max_frames: usize, max_bytes: usize) -> Self {
        let queue = Queue {
            frames: VecDeque::new(),
            bytes: 0,
            last: since,
            newest: since,
            behind: false,
            holds: 0,
            end: None,
            missed: None,
        };
        Self {
            queue: Mutex::new(queue),
            wake: Notify::new(),
            ended: Notify::new(),
            joined: Mutex::default(),
            subscribed: since,
            max_frames,
            max_bytes,
        }
    }

    /// Of a session that subscribes when entries up to here are known.
    #[must_use]
    pub fn subscribed_at(mut self, known: Offset) -> Self {
        self.subscribed = known;
        self
    }

    /// Whether what the app said at a place of the feed is older than the session. It may
    /// be handed out later all the same.
    pub(super) fn is_newer_than(&self, place: Offset) -> bool {
        place <= self.subscribed
    }

    /// Offers a frame; never waits.
    pub fn offer(&self, frame: Outgoing) -> Offered {
        let (offset, length) = (frame.offset, frame.text.len());
        let mut queue = self.lock();
        queue.newest = offset;
        if queue.behind && queue.end.is_none() {
            return Offered::Behind;
        }
        if offset <= queue.last || queue.end.is_some() {
            return Offered::Known;
        }
        let full = queue.frames.len() >= self.max_frames || queue.bytes + length > self.max_bytes;
        // A frame larger than the whole queue may pass when it is alone.
        if full && !queue.frames.is_empty() {
            queue.behind = true;
        } else {
            queue.last = offset;
            queue.bytes += length;
            queue.frames.push_back(frame);
        }
        let offered = if queue.behind {
            Offered::Behind
        } else {
            Offered::Queued
        };
        drop(queue);
        self.wake.notify_one();
        offered
    }

    /// Takes what is due next. The `behind` mark is cleared before the feed is read:
    /// what arrives in between is then seen twice and dropped by its offset,
    /// never missed.
    pub fn take(&self) -> Due {
        let mut queue = self.lock();
        if !queue.frames.is_empty() {
            if queue.behind {
                self.wake.notify_one();
            }
            queue.bytes = 0;
            return Due::Frames(std::mem::take(&mut queue.frames));
        }
        if std::mem::take(&mut queue.behind) {
            return Due::CatchUp;
        }
        Due::Nothing
    }

    /// Gives back what was taken and not done. Says what is lost by that.
    pub fn put_back(&self, due: Due) -> Missed {
        let mut queue = self.lock();
        let mut frames = match due {
            Due::Nothing => return Missed::default(),
            Due::CatchUp => {
                drop(queue);
                return self.fall_behind();
            }
            Due::Frames(frames) => frames,
        };
        frames.append(&mut queue.frames);
        queue.frames = frames;
        queue.bytes = queue.frames.iter().map(|frame| frame.text.len()).sum();
        drop(queue);
        self.wake.notify_one();
        Missed::default()
    }

    /// Leaves all that waits and all that comes to the feed: it is read next. Says what
    /// is lost by that.
    pub fn fall_behind(&self) -> Missed {
        self.cut_after(Offset::ZERO).lost
    }

    /// Takes what waits up to an entry, and leaves all that follows to the feed.
    pub fn cut_after(&self, last: Offset) -> Cut {
        let mut queue = self.lock();
        let mut frames = std::mem::take(&mut queue.frames);
        queue.bytes = 0;
        let was_behind = std::mem::replace(&mut queue.behind, true);
        // What is read may hold more than was offered.
        queue.newest = Offset(u64::MAX, u64::MAX);
        drop(queue);
        self.wake.notify_one();
        let rest = frames.split_off(frames.partition_point(|frame| frame.offset <= last));
        Cut {
            frames,
            was_behind,
            lost: rest
                .iter()
                .filter(|frame| frame.ephemeral)
                .map(|frame| frame.offset)
                .collect(),
        }
    }

    /// Waits until something may be due.
    pub async fn ready(&self) {
        loop {
            self.wake.notified().await;
            if self.lock().holds == 0 {
                return;
            }
        }
    }

    /// Nothing is due until this is dropped; for what takes no time.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.lock().holds += 1;
        Hold(self.clone())
    }

    /// Ends the session at a place of the feed. The first end counts.
    pub(super) fn end(&self, at: Offset, end: End) -> bool {
        let mut queue = self.lock();
        let first = queue.end.is_none();
        if first {
            queue.end = Some(Box::new((at, end)));
        }
        drop(queue);
        self.ended.notify_one();
        first
    }

    /// Waits until the session is to end, and says why.
    pub async fn ended(&self) -> End {
        loop {
            if let Some(end) = &self.lock().end {
                return end.1.clone();
            }
            self.ended.notified().await;
        }
    }

    /// Remembers what the session will never be sent.
    pub(super) fn note_missed(&self, missed: Missed) {
        self.lock().missed.get_or_insert_default().add(missed);
    }

    /// Whether the ephemeral entry at a place was lost; `None` if that is forgotten.
    pub fn has_missed(&self, place: Offset) -> Option<bool> {
        let queue = self.lock();
        let missed = queue.missed.as_ref();
        missed.map_or(Some(false), |missed| missed.has(place))
    }

    /// All that is known of what was lost.
    pub(super) fn missed(&self) -> Option<Box<Remembered>> {
        self.lock().missed.clone()
    }

    /// Whether an entry that is for the session, and that its socket does not have, was
    /// left to the feed.
    pub fn is_behind(&self, place: Offset) -> bool {
        place > self.lock().last
    }

    /// Whether nothing after a place was ever queued.
    pub fn has_offered_only(&self, place: Offset) -> bool {
        self.lock().last <= place
    }

    /// Whether the session was ended before a place of the feed.
    pub(super) fn ended_before(&self, place: Offset) -> bool {
        self.end_at().is_some_and(|end| end < place)
    }

    /// The place of the feed at which the session was ended.
    pub(super) fn end_at(&self) -> Option<Offset> {
        self.lock().end.as_ref().map(|end| end.0)
    }

    /// The session has something to look after.
    pub(super) fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Whether nothing after a place has been for the session; in doubt there has.
    pub fn is_settled(&self, place: Offset) -> bool {
        self.lock().newest <= place
    }

    /// Nothing is offered to the session from now on, whatever is for it.
    pub(super) fn leave(&self) {
        self.lock().newest = Offset(u64::MAX, u64::MAX);
    }

    /// Whether all that was offered has been taken.
    pub fn is_quiet(&self) -> bool {
        let queue = self.lock();
        queue.frames.is_empty() && !queue.behind
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.lock().frames.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
