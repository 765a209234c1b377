//! A session on the feed leg: subscribe, catch up, live.
//!
//! One task per session. It waits for whatever comes first (a frame to write, a
//! message, a deadline, a new table, the stop) and does it in a function of its
//! name. When it fell behind it reads the feed from the last entry it wrote.

mod follow;

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tracing::debug;

use super::{
    CloseReason, Sessions,
    ask::Caller,
    deadlines::{Act, Deadlines},
    messages::{Bucket, Desk, Work},
    open,
    registry::Place,
    scattered,
    socket::{Socket, say_goodbye, socket},
};
use crate::{
    event::{Entry, Offset},
    feed::Page,
    hub::{Due, Outgoing, Subscriber},
    metrics::{Because, OnEndpoint, Shared},
    routes::Tables,
    wire::Peer,
};

/// Pings and pongs a second: each ping costs an answer, and none needs so many.
const MAX_CONTROL: u32 = 50;
/// Entries read from the feed at a time.
const PAGE: usize = 128;

/// Everything a session begins with.
pub(super) struct Start {
    pub(super) client: OnUpgrade,
    pub(super) path: Box<str>,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) subscriber: Arc<Subscriber>,
    /// The table by whose rules it came in.
    pub(super) generation: u64,
    /// Entries up to here are not for it.
    pub(super) since: Offset,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) place: Place,
    pub(super) peer: Arc<Peer>,
}

/// Runs a session from its 101 to its end.
pub(super) async fn run(sessions: Arc<Sessions>, start: Start) {
    let Start {
        client,
        path,
        caller,
        subscriber,
        generation,
        since,
        expires_at,
        place,
        peer,
    } = start;
    let endpoint = subscriber.endpoint.clone();
    let mut live = Live {
        tables: sessions.tables.clone(),
        sent: since,
        generation,
        older: VecDeque::new(),
        work: Work::default(),
        bucket: Bucket::new(endpoint.limits.max_rate),
        control: Bucket::new(MAX_CONTROL),
        deadlines: Deadlines::new(&endpoint, expires_at),
        subscription: Subscription {
            sessions: sessions.clone(),
            subscriber,
        },
        caller,
        path,
    };
    let reason = match socket(client, &endpoint).await {
        Ok(mut socket) => {
            debug!(endpoint = %endpoint.name, session = %place.listed().session, address = %peer.address, "Session opened");
            let reason = live.run(&mut socket).await;
            let (work, desk) = (std::mem::take(&mut live.work), live.desk());
            drop(live);
            tokio::join!(say_goodbye(socket, &reason), work.finish(desk));
            reason
        }
        Err(_) => CloseReason::ClientGone,
    };
    Because::count(
        &sessions.metrics.sessions_closed,
        &endpoint.name,
        reason.metric(),
    );
    debug!(endpoint = %endpoint.name, session = %place.listed().session, reason = reason.metric(), "Session closed");
}

/// A subscription that ends with the session, however that ends.
struct Subscription {
    sessions: Arc<Sessions>,
    subscriber: Arc<Subscriber>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.sessions.hub.leave(&self.subscriber);
    }
}

struct Live {
    subscription: Subscription,
    tables: Tables,
    caller: Option<Arc<Caller>>,
    path: Box<str>,
    /// The last entry that was written, or was seen not to be for this session.
    sent: Offset,
    /// The table whose rules it follows.
    generation: u64,
    /// The rules of earlier tables, oldest first, and up to where in the feed each holds.
    older: VecDeque<(Offset, Arc<Subscriber>)>,
    work: Work,
    bucket: Bucket,
    control: Bucket,
    deadlines: Deadlines,
}

impl Live {
    async fn run(&mut self, socket: &mut Socket) -> CloseReason {
        let reason = match self.begin(socket).await {
            Ok(()) => self.serve(socket).await,
            Err(reason) => reason,
        };
        if let Some(left) = Some(self.subscription.subscriber.outbox.len()).filter(|left| *left > 0)
        {
            debug!(left, "Frames were not written before the session ended");
        }
        reason
    }

    async fn begin(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        if let Some(text) = self.desk().welcome() {
            self.write(socket, [text]).await?;
        }
        self.on_new_table(socket, false).await
    }

    async fn serve(&mut self, socket: &mut Socket) -> CloseReason {
        let stop = self.subscription.sessions.stop.clone();
        let mut told = false;
        loop {
            if self.work.is_due() {
                let desk = self.desk();
                self.work.start(desk);
            }
            let outbox = self.subscription.subscriber.outbox.clone();
            let has_room = self.work.has_room();
            let done = tokio::select! {
                () = outbox.ready() => self.deliver(socket).await,
                reply = self.work.done() => self.write(socket, reply).await,
                message = socket.next(), if has_room => self.receive(socket, message).await,
                () = sleep_until(self.deadlines.next()) => self.on_deadline(socket).await,
                changed = self.tables.changed() => self.on_new_table(socket, changed.is_err()).await,
                () = stop.cancelled(), if !told => { told = true; self.on_stop(); Ok(()) }
            };
            if let Err(reason) = done {
                return reason;
            }
        }
    }

    fn desk(&self) -> Desk {
        Desk {
            sessions: self.subscription.sessions.clone(),
            table: Arc::clone(&self.tables.borrow()),
            subscriber: self.subscription.subscriber.clone(),
            caller: self.caller.clone(),
        }
    }

    /// Writes what is due next; the outbox wakes again if that was not all. However
    /// much there is, everything else has its turn in between.
    async fn deliver(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let due = self.subscription.subscriber.outbox.take();
        // Looked at after taking: what was accepted under a newer table is not
        // written by the rules of this one.
        if self.table_changed() {
            self.subscription.subscriber.outbox.put_back(due);
            return self.on_new_table(socket, false).await;
        }
        match due {
            Due::Nothing => Ok(()),
            Due::Frames(frames) => self.write_new(socket, frames).await,
            Due::CatchUp => self.catch_up(socket).await,
        }
    }

    async fn write_new(
        &mut self,
        socket: &mut Socket,
        frames: VecDeque<Outgoing>,
    ) -> Result<(), CloseReason> {
        let sent = self.sent;
        if let Some(last) = frames.back() {
            self.sent = sent.max(last.offset);
        }
        let new = frames.into_iter().filter(|frame| frame.offset > sent);
        self.write(socket, new.map(|frame| frame.text)).await
    }

    /// Reads on in the feed from the last entry that was written. Ephemeral events
    /// are never replayed.
    async fn catch_up(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let sessions = self.subscription.sessions.clone();
        sessions
            .metrics
            .catch_ups
            .get_or_create(&self.on_endpoint())
            .inc();
        let subscriber = self.subscription.subscriber.clone();
        let Page::Entries { entries, reached } = sessions.feed.after(self.sent, PAGE) else {
            Because::count(
                &sessions.metrics.deliveries_dropped,
                &subscriber.endpoint.name,
                "history_lost",
            );
            return Err(CloseReason::HistoryLost);
        };
        if self.table_changed() {
            subscriber.outbox.fall_behind();
            return Ok(());
        }
        let lasting = entries.iter().filter(|entry| !entry.event.ephemeral);
        let frames: Vec<_> = lasting.filter_map(|entry| self.frame(entry)).collect();
        self.write(socket, frames).await?;
        self.sent = reached;
        if entries.len() == PAGE {
            self.older.retain(|(until, _)| *until > reached);
            subscriber.outbox.fall_behind();
        } else {
            self.older.clear();
        }
        Ok(())
    }

    /// The frame of an entry that is read from the feed, by the rules of its time.
    fn frame(&self, entry: &Entry) -> Option<Utf8Bytes> {
        let mut older = self.older.iter();
        let rules = older.find(|(until, _)| entry.position.offset <= *until);
        let current = &self.subscription.subscriber;
        rules
            .map_or(current, |(_, subscriber)| subscriber)
            .frame(&entry.event)
    }

    /// Writes texts with as few system calls as they fit in, within the time limit.
    async fn write(
        &mut self,
        socket: &mut Socket,
        texts: impl IntoIterator<Item = Utf8Bytes>,
    ) -> Result<(), CloseReason> {
        let limit = self.subscription.subscriber.endpoint.limits.write_timeout;
        let mut written = 0;
        let writing = async {
            for text in texts {
                socket.feed(Message::Text(text)).await?;
                written += 1;
            }
            socket.flush().await
        };
        let result = timeout(limit, writing).await;
        self.subscription
            .sessions
            .metrics
            .frames_sent
            .get_or_create(&self.on_endpoint())
            .inc_by(written);
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CloseReason::ClientGone),
            Err(_) => Err(CloseReason::TooSlow),
        }
    }

    async fn receive(
        &mut self,
        socket: &mut Socket,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), CloseReason> {
        self.deadlines.heard();
        if matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_))))
            && !self.control.take(MAX_CONTROL)
        {
            return Err(CloseReason::TooFast);
        }
        match message {
            None => Err(CloseReason::ClientGone),
            Some(Err(error)) => Err(CloseReason::of_read(&error)),
            Some(Ok(Message::Text(text))) => self.receive_text(text),
            Some(Ok(Message::Binary(_))) => Err(CloseReason::Binary),
            Some(Ok(Message::Close(_))) => Err(CloseReason::ClientClosed),
            // The answer is queued by tungstenite and goes out with a flush.
            Some(Ok(Message::Ping(_))) => self.write(socket, []).await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
        }
    }

    fn receive_text(&mut self, text: Utf8Bytes) -> Result<(), CloseReason> {
        let metrics = &self.subscription.sessions.metrics;
        metrics
            .messages_received
            .get_or_create(&self.on_endpoint())
            .inc();
        if !self
            .bucket
            .take(self.subscription.subscriber.endpoint.limits.max_rate)
        {
            self.desk().dropped("too_fast");
            return Err(CloseReason::TooFast);
        }
        self.work.push(text);
        Ok(())
    }

    async fn on_deadline(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let due = self.deadlines.due(Instant::now(), self.work.has_room());
        // The pong may have come while a write held everything up.
        if due == Err(CloseReason::NoPong)
            && let Some(message) = socket.next().now_or_never()
        {
            return self.receive(socket, message).await;
        }
        match due? {
            Act::Ping => {
                let limit = self.subscription.subscriber.endpoint.limits.write_timeout;
                match timeout(limit, socket.send(Message::Ping(Bytes::new()))).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(CloseReason::ClientGone),
                    Err(_) => Err(CloseReason::TooSlow),
                }
            }
            Act::Nothing => Ok(()),
        }
    }

    fn on_endpoint(&self) -> OnEndpoint {
        OnEndpoint {
            endpoint: Shared(self.subscription.subscriber.endpoint.name.clone()),
        }
    }
}
