//! A session on the feed leg: subscribe, catch up, live.
//!
//! One task per session. It waits for whatever comes first (the stop, a new table, a
//! deadline, a message, a reply, something to send) and does it in a function of its
//! name, none of which waits. Writing goes on between all that.

mod begin;
mod catch_up;
mod ended;
mod follow;
mod goodbye;
mod rest;
mod stand;
mod subscription;
mod turn;

use std::{pin::pin, sync::Arc, time::SystemTime};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tracing::debug;

use super::{
    CloseReason, Sessions,
    adopt::{Beginning, Stand},
    beats::Beats,
    deadlines::{Act, Deadlines},
    desk::Desk,
    messages::{Bucket, Work},
    open,
    outgoing::{Cold, Outgoing},
    pings::Pings,
    progress::Track,
    registry::Place,
    resume::{Begin, How},
    scattered,
    socket::{Line, Socket},
};
use crate::{
    event::Topic,
    metrics::{Because, OnEndpoint, Shared},
    routes::{RouteTable, Tables},
    wire::Peer,
};

pub(super) use goodbye::say_goodbye;
pub(super) use subscription::Subscription;

use turn::{Turn, turn};

/// Pings and pongs a second: each ping costs an answer, and none needs so many.
const MAX_CONTROL: u32 = 50;

/// Everything a session begins with.
pub(super) struct Start {
    pub(super) client: Line,
    pub(super) path: Box<str>,
    pub(super) subscription: Subscription,
    /// The table by whose rules it came in.
    pub(super) table: Arc<RouteTable>,
    /// Where in the feed it begins, and how far it comes.
    pub(super) begin: (Begin, Track),
    /// Its stand among those of its key, and the topics that the app named for it.
    pub(super) stand: Option<(Stand, Vec<Topic>)>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) place: Place,
    pub(super) peer: Arc<Peer>,
}

/// Runs a session from its 101 to its end.
pub(super) async fn run(sessions: Arc<Sessions>, start: Start) {
    let Start {
        client,
        path,
        subscription,
        table,
        begin: (begin, track),
        stand,
        expires_at,
        place,
        peer,
    } = start;
    let (stand, named) = stand.unzip();
    let endpoint = subscription.subscriber.endpoint.clone();
    let mut live = Live {
        tables: sessions.tables.clone(),
        outgoing: Outgoing::new(begin.at.offset),
        track,
        resuming: begin.how == How::Resumed,
        stand,
        named: named.unwrap_or_default(),
        deciding: None,
        pings: Pings::default(),
        reading: None,
        table,
        work: Work::default(),
        bucket: Bucket::new(endpoint.limits.max_rate),
        control: Bucket::new(MAX_CONTROL),
        deadlines: Deadlines::new(&endpoint, expires_at),
        beats: Beats::new(&endpoint, place.listed().session),
        subscription,
        path,
    };
    let reason = match Box::pin(Socket::open(client, &endpoint)).await {
        Ok(mut socket) => {
            debug!(endpoint = %endpoint.name, session = %place.listed().session, address = %peer.address, "Session opened");
            let reason = live.serve(&mut socket, begin).await;
            live.remember(place.listed(), &reason);
            // Boxed: an open session holds no room for its end.
            Box::pin(live.end(socket, &reason)).await;
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

/// An open session.
struct Live {
    subscription: Subscription,
    tables: Tables,
    /// The table whose rules it follows.
    table: Arc<RouteTable>,
    path: Box<str>,
    outgoing: Outgoing,
    track: Track,
    /// Its client said where it was, and has not been given anything since.
    resuming: bool,
    /// Where one like it is looked for when its client comes back.
    stand: Option<Stand>,
    /// The topics that the app named, until it is known where the session begins.
    named: Vec<Topic>,
    /// Where it begins is not known yet: no entry is written.
    deciding: Option<BoxFuture<'static, Beginning>>,
    pings: Pings,
    /// What memory does not hold any more is being read.
    reading: Option<BoxFuture<'static, Cold>>,
    deadlines: Deadlines,
    work: Work,
    beats: Beats,
    bucket: Bucket,
    control: Bucket,
}

impl Live {
    async fn serve(&mut self, socket: &mut Socket, begin: Begin) -> CloseReason {
        self.take_seat(None);
        if let Err(reason) = self.begin(begin) {
            return reason;
        }
        self.take_stand();
        let stop = self.subscription.sessions.stop.clone();
        let mut stopped = pin!(stop.cancelled().fuse());
        loop {
            if let Err(reason) = self.step(socket, stopped.as_mut()).await {
                return reason;
            }
        }
    }

    /// Does what comes next.
    async fn step(
        &mut self,
        socket: &mut Socket,
        stopped: impl Future<Output = ()>,
    ) -> Result<(), CloseReason> {
        if self.work.is_due() && self.outgoing.takes_replies() {
            let desk = self.desk();
            self.work.start(desk);
        }
        let outbox = self.subscription.subscriber.outbox.clone();
        let (has_room, idle) = (self.work.has_room(), self.outgoing.is_empty());
        let reading = self.reading.is_some();
        let decided = self.deciding.is_none();
        let due = self.next_deadline();
        // In this order: who floods us with messages is stopped by the limits, but
        // there may be something to send without end.
        tokio::select! {
            biased;
            () = stopped => self.on_stop(),
            end = outbox.ended() => return Err(CloseReason::of_end(end)),
            beginning = stand::beginning(&mut self.deciding) => self.on_beginning(beginning),
            changed = self.tables.changed(), if decided => match changed {
                Ok(()) => self.on_new_table(),
                Err(_) => return Err(CloseReason::GoingAway),
            },
            () = stand::knocked(self.stand.as_ref()) => self.pings.want(),
            () = sleep_until(due) => self.on_deadline(socket)?,
            turn = turn(socket, &mut self.outgoing, has_room) => self.on_turn(turn)?,
            reply = self.work.done() => self.on_reply(reply, socket)?,
            reply = self.beats.done() => self.on_reply(reply, socket)?,
            page = catch_up::read(&mut self.reading), if idle => self.on_page(page, socket)?,
            () = outbox.ready(), if idle && decided && !reading => self.on_outbox(socket)?,
        }
        Ok(())
    }

    fn desk(&self) -> Desk {
        let subscriber = &self.subscription.subscriber;
        Desk {
            sessions: self.subscription.sessions.clone(),
            table: Arc::clone(&self.tables.borrow()),
            endpoint: subscriber.endpoint.clone(),
            client: subscriber.client.clone(),
            session: subscriber.session,
            caller: self.subscription.caller.clone(),
            outbox: Some(subscriber.outbox.clone()),
        }
    }

    fn next_deadline(&self) -> Instant {
        let limits = &self.subscription.subscriber.endpoint.limits;
        let next = self.deadlines.next();
        let sooner = self.beats.next().into_iter().chain(self.pings.next());
        let next = sooner.fold(next, Instant::min);
        match self.outgoing.stalls_at(limits.write_timeout) {
            Some(at) => next.min(at),
            None => next,
        }
    }

    fn on_deadline(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let now = Instant::now();
        if self.beats.next().is_some_and(|at| at <= now) {
            let desk = self.desk();
            self.beats.start(now, desk);
        }
        if self.pings.next().is_some_and(|at| at <= now) {
            self.ping();
        }
        let limits = &self.subscription.subscriber.endpoint.limits;
        let stalls_at = self.outgoing.stalls_at(limits.write_timeout);
        if stalls_at.is_some_and(|at| at <= now) {
            return Err(CloseReason::TooSlow);
        }
        // Whoever still has something to read has not come to the ping yet.
        let must_answer = socket.hears() && self.work.has_room() && self.outgoing.is_empty();
        let due = self.deadlines.due(now, must_answer);
        // The pong may be there already.
        if due == Err(CloseReason::NoPong)
            && let Some(message) = socket.next().now_or_never()
        {
            return self.receive(message);
        }
        if due? == Act::Ping {
            self.note_quiet();
            self.tell_position();
            self.ping();
        }
        Ok(())
    }

    fn on_turn(&mut self, turn: Turn) -> Result<(), CloseReason> {
        match turn {
            Turn::Read(message) => self.receive(message),
            Turn::Written(Ok(())) => {
                self.count_written();
                self.want_proof();
                Ok(())
            }
            Turn::Written(Err(_)) => Err(CloseReason::ClientGone),
        }
    }

    fn on_reply(
        &mut self,
        reply: Option<Utf8Bytes>,
        socket: &mut Socket,
    ) -> Result<(), CloseReason> {
        let Some(text) = reply else { return Ok(()) };
        let text = self.form().reply(text);
        self.outgoing.reply(text);
        self.write_now(socket)
    }

    /// Most of the time it can be written at once. The rest has its turn later.
    fn write_now(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        match self.outgoing.write(socket).now_or_never() {
            Some(result) => self.on_turn(Turn::Written(result)),
            None => Ok(()),
        }
    }

    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), CloseReason> {
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
            // Tungstenite has the answer ready.
            Some(Ok(Message::Ping(_))) => {
                self.outgoing.flush();
                Ok(())
            }
            Some(Ok(Message::Pong(payload))) => {
                self.on_pong(&payload);
                Ok(())
            }
            Some(Ok(Message::Frame(_))) => Ok(()),
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

    fn count_written(&mut self) {
        let written = self.outgoing.take_written();
        let metrics = &self.subscription.sessions.metrics;
        let frames_sent = metrics.frames_sent.get_or_create(&self.on_endpoint());
        frames_sent.inc_by(written);
        self.track.give(self.outgoing.given());
    }

    fn on_endpoint(&self) -> OnEndpoint {
        OnEndpoint {
            endpoint: Shared(self.subscription.subscriber.endpoint.name.clone()),
        }
    }
}
