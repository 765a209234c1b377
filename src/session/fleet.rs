//! Who is online on all nodes that share a feed: runs [`presence::fleet`](crate::presence::fleet)
//! on the feed. One task reads what the nodes say, in the feed's order, and appends what this
//! one has to say, a batch every 50 milliseconds. Where the feed is not shared none of it runs.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::watch,
    time::{Duration, Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Sessions,
    desk::Desk,
    seat::{Party, tell},
};
use crate::{
    event::{Entry, Event, Offset, SessionId},
    feed::{Feed, Page},
    frame::Client,
    metrics::{Because, Ended, OfKind},
    presence::{
        Member, Seat,
        fleet::{
            About, Came, Effect, Fleet, Info, KeyShown, MemberShown, NodeShown, Place, Said, Turn,
            Who,
        },
    },
    routes::Endpoint,
};

/// How often there is something to say.
const TICK: Duration = Duration::from_millis(50);
/// Entries that are read at a time.
const PAGE: usize = 256;
/// A handshake waits so long for what the others know.
const KNOWN: Duration = Duration::from_secs(1);
/// One attempt to append.
const APPEND: Duration = Duration::from_secs(5);
/// The pause after one that failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How long, once everybody has left, the end waits for the others to know it.
const FAREWELL: Duration = Duration::from_secs(5);

/// This node among the others.
#[derive(Debug)]
pub struct Room {
    fleet: Mutex<Fleet<Party>>,
    /// Whether it knows what the others know.
    synced: watch::Sender<bool>,
    /// Sockets are told apart by it.
    process: u64,
}

/// How far the feed has been read.
struct Read {
    epoch: u64,
    cursor: Offset,
}

impl Room {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let info = Info {
            name: name(),
            version: env!("CARGO_PKG_VERSION").into(),
            since: since.unwrap_or_default().as_secs(),
        };
        // Half of the number is as good as random.
        let process = (super::random() >> 64) as u64;
        Self {
            fleet: Mutex::new(Fleet::new(process, info)),
            synced: watch::Sender::new(false),
            process,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Fleet<Party>> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes, in the order in which they came.
    pub fn nodes(&self) -> Vec<NodeShown> {
        self.lock().nodes(Instant::now())
    }

    /// How many keys there are, and the first of them with at most so many users.
    pub fn online(&self, limit: usize) -> (usize, Vec<KeyShown>) {
        self.lock().show(limit)
    }

    /// Where a user is online.
    pub fn of_user(&self, user: &str, limit: usize) -> Vec<MemberShown> {
        self.lock().show_user(user, limit)
    }

    /// Who is online under a key.
    pub fn of_key(&self, key: &str, limit: usize) -> Vec<MemberShown> {
        self.lock().show_key(&key.into(), limit)
    }

    /// Whether it knows what the others know.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn place(&self, seat: &Seat) -> Place {
        let who = match &seat.member {
            Member::User(user) => Who::User(user.as_str().into()),
            Member::Socket(session) => Who::Socket(self.process, session.0),
        };
        Place {
            key: seat.key.clone(),
            who,
        }
    }
}

impl Sessions {
    /// Takes part in what the nodes of a shared feed tell each other, until it is told to
    /// stop; then it says goodbye. Where the feed is not shared it ends at once.
    pub async fn run_fleet(self: Arc<Self>, stop: CancellationToken) {
        let Some(room) = &self.fleet else { return };
        self.tracker.spawn(self.clone().see_out());
        if stop.run_until_cancelled(self.feed.opened()).await.is_none() {
            return;
        }
        let head = self.feed.head();
        let mut read = Read {
            epoch: head.epoch,
            cursor: head.offset,
        };
        let mut heads = self.feed.watch();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut appending: Option<BoxFuture<'static, ()>> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = finished(&mut appending) => appending = None,
                changed = heads.changed() => match changed {
                    Ok(()) => self.read_facts(room, &mut read),
                    Err(_) => return,
                },
                _ = tick.tick() => {
                    let hurry = self.stop.is_cancelled() && room.lock().is_alone();
                    room.lock().tick(Instant::now(), hurry);
                    if appending.is_none() {
                        appending = self.next_facts(room);
                    }
                }
            }
        }
        finished_if_any(appending).await;
        room.lock().bye();
        finished_if_any(self.next_facts(room)).await;
    }

    /// What there is to append, if anything, as the doing of it.
    fn next_facts(&self, room: &Room) -> Option<BoxFuture<'static, ()>> {
        let said = room.lock().take();
        let events: VecDeque<_> = match said.is_empty() {
            false => [said.iter().map(Said::event).collect()].into(),
            true => {
                let answer = room.lock().answer()?;
                debug!(to = %answer.to(), "Telling another node what is known here");
                answer
                    .facts()
                    .iter()
                    .map(|said| vec![said.event()])
                    .collect()
            }
        };
        Some(append(self.feed.clone(), events).boxed())
    }

    /// Takes in what stands in the feed.
    fn read_facts(self: &Arc<Self>, room: &Room, read: &mut Read) {
        loop {
            let head = self.feed.head();
            let page = self.feed.recent(read.cursor, PAGE);
            let same = |entries: &[Arc<Entry>]| {
                let mut epochs = entries.iter().map(|entry| entry.position.epoch);
                head.epoch == read.epoch && epochs.all(|epoch| epoch == read.epoch)
            };
            let entries = match page {
                Some(Page::Entries { entries, .. }) if same(&entries) => Ok(entries),
                Some(Page::Lost { .. }) | None if head.epoch == read.epoch => {
                    Err("not_read_in_time")
                }
                Some(Page::Entries { .. } | Page::Lost { .. }) | None => Err("lost_history"),
            };
            match entries {
                Ok(entries) if entries.is_empty() => return,
                Ok(entries) => {
                    for entry in entries {
                        read.cursor = entry.position.offset;
                        if let Some(said) = Said::of(&entry.event) {
                            self.hear(room, read.cursor, said);
                        }
                    }
                }
                Err(why) => {
                    (read.epoch, read.cursor) = (head.epoch, head.offset);
                    let anew = room.lock().lost(why);
                    self.act(anew);
                    room.synced.send_replace(false);
                    return;
                }
            }
        }
    }

    fn hear(self: &Arc<Self>, room: &Room, at: Offset, said: serde_json::Result<Said>) {
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                self.count_fact("unreadable");
                warn!(%error, "What another node says cannot be read; is it another version?");
                return;
            }
        };
        self.count_fact(said.fact.word());
        let (effects, synced, nodes) = {
            let mut fleet = room.lock();
            let effects = fleet.apply(at, said, Instant::now());
            (effects, fleet.is_synced(), fleet.node_count())
        };
        self.metrics
            .nodes
            .set(i64::try_from(nodes).unwrap_or(i64::MAX));
        let knew = room
            .synced
            .send_if_modified(|knows| std::mem::replace(knows, synced) != synced);
        if knew && synced {
            info!(nodes, "Knows who is online on all nodes");
        }
        for effect in effects {
            self.act(effect);
        }
    }

    fn count_fact(&self, kind: &'static str) {
        self.metrics
            .node_facts
            .get_or_create(&OfKind { kind })
            .inc();
    }

    fn act(self: &Arc<Self>, effect: Effect<Party>) {
        match effect {
            Effect::Tell {
                place,
                turn,
                party,
                about,
            } => {
                let party = party.or_else(|| self.stand_in(&about, &place));
                self.tell_of(place, turn, party);
            }
            Effect::Gone { name, bye, heir } => {
                if heir && !bye {
                    self.metrics.nodes_lost.inc();
                }
                let why = if bye { "ended" } else { "silent" };
                info!(node = %name, why, heir, "A node is gone");
            }
            Effect::Anew(why) => {
                let result = why;
                self.metrics
                    .node_rejoins
                    .get_or_create(&Ended { result })
                    .inc();
                info!(why, "Begins anew among the nodes");
            }
        }
    }

    /// Does the steps, and then says that it has.
    fn tell_of(self: &Arc<Self>, place: Place, turn: Turn, party: Option<Party>) {
        let sessions = self.clone();
        let Some(desk) = party else {
            return self.told(&place, turn);
        };
        let stopping = self.stop.is_cancelled() && self.fleet_is_alone();
        let endpoint = desk.endpoint.clone();
        let moment = match turn {
            Turn::Online => "online",
            Turn::Offline => "offline",
        };
        Because::count(&self.metrics.presence, &endpoint.name, moment);
        let told = self.tracker.spawn(async move {
            let presence = endpoint.presence.as_ref();
            let steps = presence.map(|presence| match turn {
                Turn::Online => presence.online.as_slice().into(),
                Turn::Offline => presence.offline_steps(stopping),
            });
            tell(desk, moment, &steps.unwrap_or_default()).await;
        });
        self.tracker.spawn(async move {
            if told.await.is_err() {
                error!("Steps of presence have panicked");
            }
            sessions.told(&place, turn);
        });
    }

    fn told(&self, place: &Place, turn: Turn) {
        if let Some(room) = &self.fleet {
            room.lock().told(place, turn);
        }
    }

    fn fleet_is_alone(&self) -> bool {
        self.fleet
            .as_ref()
            .is_none_or(|room| room.lock().is_alone())
    }

    /// With whom a member of another node is told: what is known of it, and no credentials.
    fn stand_in(self: &Arc<Self>, about: &About, place: &Place) -> Option<Party> {
        let table = Arc::clone(&self.tables.borrow());
        let endpoint = table.endpoint(&about.endpoint)?.clone();
        let client = Client {
            user: place.who.user(),
            user_value: about.user.clone(),
            params: about.params.clone(),
            ..Client::default()
        };
        Some(Box::new(Desk {
            sessions: self.clone(),
            table,
            endpoint,
            client: Arc::new(client),
            session: SessionId(0),
            caller: None,
            outbox: None,
        }))
    }

    /// Waits until what the others know is known here, but not long.
    pub(super) async fn know_the_others(&self, endpoint: &Endpoint) {
        let Some(room) = self.fleet.as_ref().filter(|_| endpoint.presence.is_some()) else {
            return;
        };
        let mut synced = room.synced.subscribe();
        if timeout(KNOWN, synced.wait_for(|synced| *synced))
            .await
            .is_err()
        {
            debug!(endpoint = %endpoint.name, "Who is online on other nodes is not known yet");
        }
    }

    /// A session takes its seat. Whether it is counted.
    pub(super) fn sit_among_nodes(&self, room: &Room, seat: &Seat, desk: Party) -> bool {
        let (endpoint, client) = (desk.endpoint.clone(), desk.client.clone());
        let grace = endpoint.presence.as_ref().map(|presence| presence.grace);
        let about = About {
            endpoint: endpoint.name.clone(),
            user: client.user_value.clone(),
            params: client.params.clone(),
            grace: u64::try_from(grace.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        };
        let came = room.lock().enter(&room.place(seat), &about, desk);
        match came {
            Came::First | Came::Back => self.gauge(&endpoint.name, 1),
            Came::Also => {}
            Came::Full => {
                warn!(endpoint = %endpoint.name, "A session is not counted: too many have left and are not done with, or its key and user are too long");
                Because::count(&self.metrics.presence, &endpoint.name, "not_counted");
            }
        }
        if came == Came::Back {
            Because::count(&self.metrics.presence, &endpoint.name, "back");
        }
        came != Came::Full
    }

    /// A session that is counted leaves its seat.
    pub(super) fn rise_among_nodes(&self, room: &Room, seat: &Seat, desk: Party, grace: Duration) {
        let left = room.lock().leave(&room.place(seat), desk, grace);
        if let Some(endpoint) = left {
            self.gauge(&endpoint, -1);
        }
    }

    /// Holds up the end of the process until the others know that all have left; where
    /// there are none, until that has been told.
    async fn see_out(self: Arc<Self>) {
        self.stop.cancelled().await;
        let mut until = None;
        while let Some(room) = &self.fleet {
            let (done, empty) = {
                let fleet = room.lock();
                (fleet.is_done(), fleet.is_empty())
            };
            if empty && until.is_none() {
                until = Some(Instant::now() + FAREWELL);
            }
            if done || until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            sleep(TICK).await;
        }
    }
}

/// What people call this process: its host, in Kubernetes the pod, and its number there.
fn name() -> Arc<str> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (host, process) = (host.trim(), std::process::id());
    format!("{host}:{process}").into()
}

/// Appends batch after batch, each until it is taken.
async fn append(feed: Arc<Feed>, mut batches: VecDeque<Vec<Event>>) {
    while let Some(events) = batches.front() {
        match timeout(APPEND, feed.append(events.clone())).await {
            Ok(Ok(_)) => {
                batches.pop_front();
            }
            Ok(Err(error)) => {
                debug!(%error, "What this node has to say waits");
                sleep(PAUSE).await;
            }
            Err(_) => debug!("What this node has to say waits: the feed does not answer"),
        }
    }
}

async fn finished(appending: &mut Option<BoxFuture<'static, ()>>) {
    match appending {
        Some(appending) => appending.await,
        None => pending().await,
    }
}

async fn finished_if_any(appending: Option<BoxFuture<'static, ()>>) {
    if let Some(appending) = appending {
        appending.await;
    }
}
