//! What is on its way to a client: taken from its outbox or read from the feed, at
//! most an outbox full at a time, and written as fast as the client reads.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{CloseReason, Sessions, socket::Socket};
use crate::{
    event::{Entry, Offset},
    feed::Page,
    hub::{self, Due, Subscriber},
    metrics::{Because, OnEndpoint, Shared},
};

/// Entries read from the feed at a time.
const PAGE: usize = 128;

/// The frames that are written next, and how far they reach in the feed.
pub(super) struct Outgoing {
    frames: VecDeque<Message>,
    /// The socket holds bytes that are not written yet.
    unflushed: bool,
    /// When something was last written, or the first of these frames came.
    moved: Instant,
    /// Texts written that nobody has counted yet.
    written: u64,
    /// The last entry that was taken up, or was seen not to be for this session.
    sent: Offset,
    /// Whose rules hold for entries up to here that are read from the feed.
    older: Option<(Offset, Arc<Subscriber>)>,
}

impl Outgoing {
    /// Nothing; entries up to `since` are not for this session.
    pub(super) fn new(since: Offset) -> Self {
        Self {
            frames: VecDeque::new(),
            unflushed: false,
            moved: Instant::now(),
            written: 0,
            sent: since,
            older: None,
        }
    }

    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.unflushed
    }

    /// How many frames are not written.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Puts a text behind what is there.
    pub(super) fn text(&mut self, text: Utf8Bytes) {
        self.begin();
        self.frames.push_back(Message::Text(text));
    }

    /// Puts a ping before what is there: the answer is awaited from now on.
    pub(super) fn ping(&mut self) {
        self.begin();
        self.frames.push_front(Message::Ping(Bytes::new()));
    }

    /// The socket has something to say itself, as the answer to a ping.
    pub(super) fn flush(&mut self) {
        self.begin();
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
            ready!(socket.poll_ready_unpin(cx))?;
            if let Some(frame) = self.frames.pop_front() {
                self.written += u64::from(frame.is_text());
                self.unflushed = true;
                self.moved = Instant::now();
                socket.start_send_unpin(frame)?;
            }
        }
        if self.unflushed {
            ready!(socket.poll_flush_unpin(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes up what is due next; the outbox wakes again if that was not all.
    pub(super) fn take_up(
        &mut self,
        sessions: &Sessions,
        subscriber: &Subscriber,
    ) -> Result<(), CloseReason> {
        match subscriber.outbox.take() {
            Due::Nothing => {}
            Due::Frames(frames) => self.take_new(frames),
            Due::CatchUp => return self.catch_up(sessions, subscriber),
        }
        Ok(())
    }

    /// What was accepted since a swap may have been handed out by the old rules: from
    /// there on it is read from the feed again, by the new ones.
    pub(super) fn turn_over(&mut self, old: Arc<Subscriber>, since: Offset, offered: Offset) {
        let (frames, was_behind) = old.outbox.cut_after(since);
        self.take_new(frames);
        if !was_behind {
            self.sent = self.sent.max(offered.min(since));
        }
        self.older = Some((since, old));
    }

    fn begin(&mut self) {
        if self.is_empty() {
            self.moved = Instant::now();
        }
    }

    fn take_new(&mut self, frames: VecDeque<hub::Outgoing>) {
        for frame in frames {
            if frame.offset > self.sent {
                self.sent = frame.offset;
                self.text(frame.text);
            }
        }
    }

    /// Reads on in the feed, as much as fits in an outbox. Ephemeral events are never
    /// replayed.
    fn catch_up(
        &mut self,
        sessions: &Sessions,
        subscriber: &Subscriber,
    ) -> Result<(), CloseReason> {
        let endpoint = &subscriber.endpoint;
        let on = OnEndpoint {
            endpoint: Shared(endpoint.name.clone()),
        };
        sessions.metrics.catch_ups.get_or_create(&on).inc();
        let Page::Entries { entries, reached } = sessions.feed.after(self.sent, PAGE) else {
            let dropped = &sessions.metrics.deliveries_dropped;
            Because::count(dropped, &endpoint.name, "history_lost");
            return Err(CloseReason::HistoryLost);
        };
        let mut room = endpoint.limits.outbox_bytes;
        for entry in &entries {
            if let Some(text) = self.frame(entry, subscriber) {
                // A frame larger than the whole outbox may pass when it is alone.
                if text.len() > room && room < endpoint.limits.outbox_bytes {
                    subscriber.outbox.fall_behind();
                    return Ok(());
                }
                room = room.saturating_sub(text.len());
                self.text(text);
            }
            self.sent = entry.position.offset;
        }
        self.sent = reached;
        if entries.len() == PAGE {
            subscriber.outbox.fall_behind();
        } else {
            self.older = None;
        }
        Ok(())
    }

    /// The frame of an entry that is read from the feed, by the rules of its time.
    fn frame(&self, entry: &Entry, subscriber: &Subscriber) -> Option<Utf8Bytes> {
        if entry.event.ephemeral {
            return None;
        }
        let older = self.older.as_ref();
        match older.filter(|(until, _)| entry.position.offset <= *until) {
            Some((_, older)) => older.frame(&entry.event),
            None => subscriber.frame(&entry.event),
        }
    }
}
