//! A session on the feed leg: subscribe, catch up, live.
//!
//! One task per session. It waits for whatever comes first (a frame to write, a
//! message, a deadline, a new table, the stop) and does it in a function of its
//! name. When it fell behind it reads the feed from the last entry it wrote.

use std::{collections::VecDeque, io, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt, stream::FusedStream};
use hyper::upgrade::OnUpgrade;
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{Role, WebSocketConfig},
    },
};
use tracing::debug;

use super::{
    CloseReason, Sessions,
    caller::Caller,
    deadlines::{Act, Deadlines},
    messages::{Bucket, Desk, Work},
    open,
    registry::Place,
    scattered,
};
use crate::{
    event::{Entry, Offset},
    feed::Page,
    frame::Client,
    hub::{Due, Outgoing, Subscriber},
    metrics::{Because, OnEndpoint, Shared},
    routes::{Endpoint, RouteTable, Tables},
    upstream::Stream,
    wire::{Peer, Wire},
};

/// What is read at a time, and what several small frames are put together to: a
/// larger buffer would be zeroed at each read and kept by each idle session.
const BUFFER: usize = 4 * 1024;
/// How long a client may take to answer a close frame.
const GOODBYE: Duration = Duration::from_secs(5);
/// Pings and pongs a second: each ping costs an answer, and none needs so many.
const MAX_CONTROL: u32 = 50;
/// Entries read from the feed at a time.
const PAGE: usize = 128;

/// A client's socket.
pub(super) type Socket = WebSocketStream<Stream>;

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
        older: None,
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

/// Makes a WebSocket of an upgraded connection, with the endpoint's limits.
pub(super) async fn socket(client: OnUpgrade, endpoint: &Endpoint) -> io::Result<Socket> {
    let (stream, early) = Wire::upgraded(client).await?;
    let limits = &endpoint.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER.max(2 * limits.outbox_bytes))
        .max_message_size(Some(limits.max_message))
        .max_frame_size(Some(limits.max_message));
    Ok(
        WebSocketStream::from_partially_read(stream, early.into(), Role::Server, Some(config))
            .await,
    )
}

/// Tungstenite refuses to queue more than this; a single frame of an event must fit.
const MAX_WRITE_BUFFER: usize = 16 * 1024 * 1024;

/// Sends the close frame and reads on until the client has answered, so that
/// what it still sends does not reset the connection before it has read why.
pub(super) async fn say_goodbye(mut socket: Socket, reason: &CloseReason) {
    if *reason == CloseReason::ClientGone || *reason == CloseReason::TooSlow {
        return;
    }
    let goodbye = async {
        if *reason != CloseReason::ClientClosed {
            socket.close(Some(reason.frame())).await?;
        }
        if socket.is_terminated() {
            // After a fault tungstenite reads no more.
            let stream = socket.get_mut();
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        Ok::<_, Error>(())
    };
    // Whoever does not answer is gone; there is nobody left to tell.
    drop(timeout(GOODBYE, goodbye).await);
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
    /// Whose rules hold for entries up to here that are read from the feed.
    older: Option<(Offset, Arc<Subscriber>)>,
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
        match self.subscription.subscriber.outbox.take() {
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
        let lasting = entries.iter().filter(|entry| !entry.event.ephemeral);
        let frames: Vec<_> = lasting.filter_map(|entry| self.frame(entry)).collect();
        self.write(socket, frames).await?;
        self.sent = reached;
        if entries.len() == PAGE {
            subscriber.outbox.fall_behind();
        } else {
            self.older = None;
        }
        Ok(())
    }

    /// The frame of an entry that is read from the feed, by the rules of its time.
    fn frame(&self, entry: &Entry) -> Option<Utf8Bytes> {
        let older = self.older.as_ref();
        match older.filter(|(until, _)| entry.position.offset <= *until) {
            Some((_, subscriber)) => subscriber.frame(&entry.event),
            None => self.subscription.subscriber.frame(&entry.event),
        }
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

    fn on_stop(&mut self) {
        let spread = self.tables.borrow().spread;
        self.go_home_within(CloseReason::GoingAway, spread);
    }

    async fn on_new_table(&mut self, socket: &mut Socket, gone: bool) -> Result<(), CloseReason> {
        if gone {
            self.on_stop();
            return Ok(());
        }
        let table = self.tables.borrow_and_update().clone();
        let old = self.subscription.subscriber.clone();
        if let Some(reason) = self.adapt(&table) {
            self.go_home_within(reason, table.spread);
        }
        let since = table.swapped_after(self.generation);
        self.generation = table.generation;
        if Arc::ptr_eq(&old, &self.subscription.subscriber) {
            return Ok(());
        }
        self.turn_over(socket, old, since).await
    }

    /// What was accepted since the swap may have been handed out by the old rules:
    /// from there on it is read from the feed again, by the new ones.
    async fn turn_over(
        &mut self,
        socket: &mut Socket,
        old: Arc<Subscriber>,
        since: Offset,
    ) -> Result<(), CloseReason> {
        let offered = self.subscription.sessions.hub.handed_out();
        let (frames, was_behind) = old.outbox.cut_after(since);
        self.write_new(socket, frames).await?;
        if !was_behind {
            self.sent = self.sent.max(offered.min(since));
        }
        self.older = Some((since, old));
        Ok(())
    }

    fn go_home_within(&mut self, reason: CloseReason, spread: Duration) {
        let after = scattered(self.subscription.subscriber.session, spread);
        self.deadlines.go_home(reason, Instant::now() + after);
    }

    /// Follows its endpoint into a new table: the new frames, topics and rules from
    /// here on, the same place in the feed. What changed at the door cannot be
    /// followed; the client has to come in anew.
    fn adapt(&mut self, table: &RouteTable) -> Option<CloseReason> {
        let old = self.subscription.subscriber.clone();
        let Some(endpoint) = table.endpoint(&old.endpoint.name) else {
            return Some(CloseReason::Moved);
        };
        if Arc::ptr_eq(endpoint, &old.endpoint) {
            return None;
        }
        match endpoint.path.matches(&self.path) {
            Some(params) if open::admits_alike(&old.endpoint, endpoint) => {
                self.follow(endpoint, params, &old)
            }
            _ => Some(CloseReason::Moved),
        }
    }

    fn follow(
        &mut self,
        endpoint: &Arc<Endpoint>,
        params: open::Params,
        old: &Subscriber,
    ) -> Option<CloseReason> {
        let client = Client {
            params,
            ..Client::clone(&old.client)
        };
        let Ok(topics) = open::topics(endpoint, &client) else {
            return Some(CloseReason::Moved);
        };
        let new = Arc::new(Subscriber {
            session: old.session,
            client: Arc::new(client),
            endpoint: endpoint.clone(),
            topics,
            outbox: old.outbox.clone(),
        });
        self.subscription.sessions.hub.replace(old, &new);
        self.deadlines.follow(endpoint);
        self.subscription.subscriber = new;
        debug!(endpoint = %endpoint.name, session = %old.session, "Session follows its changed endpoint");
        None
    }

    fn on_endpoint(&self) -> OnEndpoint {
        OnEndpoint {
            endpoint: Shared(self.subscription.subscriber.endpoint.name.clone()),
        }
    }
}
