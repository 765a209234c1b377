//! What is on its way to a client: taken from its outbox or read from the feed, at
//! most an outbox full at a time, and written as fast as the client reads.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, protocol::CloseFrame};

use super::socket::Socket;
use crate::{
    event::{Entry, Offset},
    feed::{Feed, Page},
    hub::{self, Missed, Outbox, Subscriber},
    metrics::Metrics,
};

/// Replies that may be on their way before no more messages are handled.
const MAX_REPLIES: usize = 16;
/// Entries read from the feed at a time.
const PAGE: usize = 128;

/// The frames that are written next, and how far they reach in the feed.
pub(super) struct Outgoing {
    frames: VecDeque<Frame>,
    /// How many of them are made from entries.
    entries: usize,
    /// The last entry whose frame the socket has.
    given: Offset,
    /// The client has all that is for it up to here: it has answered a ping that came
    /// after that.
    confirmed: Offset,
    /// The socket holds bytes that are not written yet.
    unflushed: bool,
    /// When something was last written, or the first of these frames came.
    moved: Instant,
    /// How many of the frames, at most, are replies.
    replies: usize,
    /// Texts written that nobody has counted yet.
    written: u64,
    /// The last entry that was taken up, or was seen not to be for this session.
    sent: Offset,
    /// The rules of earlier tables, oldest first, and up to where in the feed each holds.
    older: VecDeque<(Offset, Arc<Subscriber>)>,
}

/// A page that took its time.
pub(super) struct Cold {
    pub(super) page: Page,
    /// Where the head was before it was read: what came after that is in the outbox.
    pub(super) until: Offset,
}

impl Cold {
    /// A page out of memory: it ends before its full length only at the head.
    pub(super) fn whole(page: Page) -> Self {
        let until = Offset::ZERO;
        Self { page, until }
    }
}

/// A frame and the entry it was made from, if it was.
struct Frame {
    message: Message,
    entry: Option<Offset>,
}

impl Outgoing {
    /// Nothing; entries up to `since` are not for this session.
    pub(super) fn new(since: Offset) -> Self {
        Self {
            frames: VecDeque::new(),
            entries: 0,
            given: since,
            confirmed: since,
            unflushed: false,
            moved: Instant::now(),
            replies: 0,
            written: 0,
            sent: since,
            older: VecDeque::new(),
        }
    }

    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.unflushed
    }

    /// Puts a text behind what is there.
    pub(super) fn text(&mut self, text: Utf8Bytes) {
        self.push(text, None);
    }

    fn push(&mut self, text: Utf8Bytes, entry: Option<Offset>) {
        self.start();
        self.entries += usize::from(entry.is_some());
        let message = Message::Text(text);
        self.frames.push_back(Frame { message, entry });
    }

    /// Everything up to here that is for this session has been given to the socket.
    pub(super) fn given(&self) -> Offset {
        match self.entries {
            0 => self.sent,
            _ => self.given,
        }
    }

    /// Everything up to here that is for this session has reached the client.
    pub(super) fn confirmed(&self) -> Offset {
        self.confirmed
    }

    /// It begins at a place after all, and reads up to here and there by other rules.
    pub(super) fn begin(&mut self, at: Offset, older: VecDeque<(Offset, Arc<Subscriber>)>) {
        (self.sent, self.given, self.confirmed) = (at, at, at);
        self.older = older;
    }

    /// Whether the client has been given entries and has not said that it has them.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.given > self.confirmed
    }

    /// The rules by which entries are read that the client may not have.
    pub(super) fn older(&self) -> VecDeque<(Offset, Arc<Subscriber>)> {
        self.older.clone()
    }

    /// A pong came with this payload: that of the ping it answers. Says the number that
    /// the ping bore.
    pub(super) fn confirm(&mut self, payload: &[u8]) -> u64 {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let (offset, number) = text.split_once('.').unwrap_or((text, "0"));
        let offset = offset.parse::<Offset>().ok();
        let Some(offset) = offset.filter(|offset| *offset <= self.given()) else {
            return 0;
        };
        self.confirmed = self.confirmed.max(offset);
        let confirmed = self.confirmed;
        self.older.retain(|(until, _)| *until > confirmed);
        number.parse().unwrap_or(0)
    }

    /// Puts the reply to a message behind what is there.
    pub(super) fn reply(&mut self, text: Utf8Bytes) {
        self.replies += 1;
        self.text(text);
    }

    /// Whether another reply may come: a client that sends but does not read has to
    /// wait.
    pub(super) fn takes_replies(&self) -> bool {
        self.replies < MAX_REPLIES
    }

    /// Puts a ping before what is there: the answer is awaited from now on. It carries
    /// how far the client has been given the feed, and a number, if there is one.
    pub(super) fn ping(&mut self, number: u64) {
        self.start();
        let given = self.given();
        let payload = match number {
            0 => given.to_string(),
            number => format!("{given}.{number}"),
        };
        let message = Message::Ping(payload.into());
        let entry = None;
        self.frames.push_front(Frame { message, entry });
    }

    /// Puts the word that the socket ends behind what is there.
    pub(super) fn close(&mut self, why: CloseFrame) {
        self.start();
        let message = Message::Close(Some(why));
        let entry = None;
        self.frames.push_back(Frame { message, entry });
    }

    /// Drops what the socket does not have; what it has can still be confirmed. Says how
    /// many frames these were.
    pub(super) fn let_go(&mut self) -> usize {
        self.sent = self.given();
        (self.entries, self.replies, self.unflushed) = (0, 0, false);
        std::mem::take(&mut self.frames).len()
    }

    /// The socket has something to say itself, as the answer to a ping.
    pub(super) fn flush(&mut self) {
        self.start();
        self.unflushed = true;
    }

    /// How many texts were written since this was last asked.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// When the client is too slow, if it takes nothing until then: each frame has
    /// this much time.
    pub(super) fn stalls_at(&self, limit: Duration) -> Option<Instant> {
        (!self.is_empty()).then(|| self.moved + limit)
    }

    /// Writes until everything is written, with as few system calls as it fits in.
    /// Whoever stops waiting loses nothing.
    pub(super) async fn write(&mut self, socket: &mut Socket) -> Result<(), Error> {
        poll_fn(|cx| self.poll_write(socket, cx)).await
    }

    /// As [`Self::write`].
    pub(super) fn poll_write(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        while !self.frames.is_empty() {
            ready!(socket.poll_ready(cx))?;
            if let Some(Frame { message, entry }) = self.frames.pop_front() {
                self.written += u64::from(message.is_text());
                self.unflushed = true;
                self.moved = Instant::now();
                self.entries -= usize::from(entry.is_some());
                self.given = entry.unwrap_or(self.given);
                socket.send(message)?;
            }
        }
        if self.unflushed {
            ready!(socket.poll_flush(cx))?;
            self.unflushed = false;
        }
        self.replies = 0;
        Poll::Ready(Ok(()))
    }

    /// Puts frames of the outbox behind what is there, but not what is there already.
    /// Says for which ephemeral ones it is too late: what follows them was read from
    /// the feed, which does not give them.
    pub(super) fn take_new(&mut self, frames: VecDeque<hub::Outgoing>) -> Missed {
        let mut late = Missed::default();
        for frame in frames {
            if frame.offset > self.sent {
                self.sent = frame.offset;
                self.push(frame.text, Some(frame.offset));
            } else if frame.ephemeral {
                late.extend([frame.offset]);
            }
        }
        late
    }

    /// Takes what waits up to a place in the feed; from there on it is read again.
    /// `offered` is how far the feed had been handed out before. Says what is lost.
    pub(super) fn cut_after(&mut self, since: Offset, outbox: &Outbox, offered: Offset) -> Missed {
        let cut = outbox.cut_after(since);
        let mut late = self.take_new(cut.frames);
        if !cut.was_behind {
            self.sent = self.sent.max(offered.min(since));
        }
        late.extend(cut.lost);
        late
    }

    /// Entries up to a place, and after those of earlier rules, are read by these rules.
    pub(super) fn rules_until(&mut self, until: Offset, rules: Arc<Subscriber>) {
        self.older.push_back((until, rules));
    }

    /// What the feed has after what is there, if memory can tell.
    pub(super) fn read_on(&self, feed: &Feed) -> Option<Page> {
        feed.recent(self.sent, PAGE)
    }

    /// The same from where the feed is kept, however long that takes.
    pub(super) fn read_store(&self, feed: Arc<Feed>) -> BoxFuture<'static, Cold> {
        let cursor = self.sent;
        let until = feed.head().offset;
        Box::pin(async move {
            let page = feed.after(cursor, PAGE).await;
            Cold { page, until }
        })
    }

    /// Puts as much of a page behind what is there as fits in an outbox; the outbox
    /// wakes again if that was not all. Ephemeral events are never replayed.
    pub(super) fn catch_up(
        &mut self,
        (entries, reached, until): (&[Arc<Entry>], Offset, Offset),
        subscriber: &Subscriber,
        metrics: &Metrics,
    ) {
        let endpoint = &subscriber.endpoint;
        let mut bytes = 0;
        for entry in entries {
            if let Some(text) = self.frame(entry, subscriber) {
                // A frame larger than the whole outbox may pass when it is alone.
                if bytes > 0 && bytes + text.len() > endpoint.limits.outbox_bytes {
                    subscriber.missed(subscriber.outbox.fall_behind(), metrics);
                    return;
                }
                bytes += text.len();
                self.push(text, Some(entry.position.offset));
            }
            self.sent = entry.position.offset;
        }
        self.sent = reached;
        // A store may give less at a time than it has.
        let more = entries.len() == PAGE || (!entries.is_empty() && reached < until);
        // Who proves what has reached it may still need those of before.
        if subscriber.form.tells_position() {
            self.older.retain(|(until, _)| *until > reached);
        }
        if more {
            subscriber.missed(subscriber.outbox.fall_behind(), metrics);
        }
    }

    /// What stands up to a place in the feed cannot be given; this text says so.
    pub(super) fn go_on_at(&mut self, place: Offset, text: Utf8Bytes) {
        self.push(text, Some(place));
        self.sent = place;
        self.older.retain(|(until, _)| *until > place);
    }

    /// How far everything has been given, if that is further than the last frame shows.
    /// The client is told so.
    pub(super) fn moved_on(&mut self) -> Option<Offset> {
        let moved = self.is_empty() && self.sent > self.given;
        moved.then(|| {
            self.given = self.sent;
            self.sent
        })
    }

    /// Lets go of changes of topics that nothing to come depends on. Nothing up to
    /// `quiet_until` that was not taken is for this session.
    pub(super) fn settle(&mut self, subscriber: &Subscriber, quiet_until: Offset) {
        self.sent = self.sent.max(quiet_until);
        // What the client may not have may be read again, for who comes in its place.
        let until = match subscriber.form.tells_position() {
            true => self.sent,
            false => self.sent.min(self.confirmed),
        };
        subscriber.outbox.settle(until, &subscriber.topics);
    }

    /// The frame of an entry that is read from the feed, by the rules of its time.
    fn frame(&self, entry: &Entry, current: &Subscriber) -> Option<Utf8Bytes> {
        if entry.event.ephemeral {
            return None;
        }
        let mut older = self.older.iter();
        let rules = older.find(|(until, _)| entry.position.offset <= *until);
        let rules = rules.map_or(current, |(_, subscriber)| subscriber);
        rules.frame(entry)
    }

    fn start(&mut self) {
        if self.is_empty() {
            self.moved = Instant::now();
        }
    }
}
