//! Resume for clients that cannot say where they were.
//!
//! A session that ends otherwise than by its client's own word leaves an orphan: the
//! place up to which its client is known to have everything. The next session of the
//! same user on the same path adopts it and begins there. A socket that died silently
//! is still open here when its client comes back: then the old session is asked with a
//! ping, and who does not answer counts as gone.
//!
//! Who comes begins at the lowest of the places that may be its own, so that nobody
//! loses anything, and uses up the highest: as many begin at an old place as have died.

mod decide;
mod nodes;
mod orphans;
mod standing;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Duration, Instant};

use crate::{
    event::{Offset, Position, SessionName, UserId},
    feed::{Feed, Mark},
    frame::Client,
    hub::{Hub, Outbox},
    metrics::{Because, Metrics},
    routes::Endpoint,
};

pub(super) use decide::{Adopted, Beginning};
pub(super) use orphans::Past;
pub(super) use standing::Stand;

use decide::{Begins, Question};
use nodes::Nodes;
use orphans::Orphans;
use standing::{Standing, Turn};

/// How long a session that may be gone has for its pong.
const ANSWER: Duration = Duration::from_secs(1);

/// Sessions of the same key may be those of one client, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    endpoint: Arc<str>,
    /// The path's parameters with their values, as JSON.
    params: Box<str>,
    user: UserId,
}

impl Key {
    /// The key of a client whose sessions on the endpoint can be adopted.
    pub(super) fn of(endpoint: &Endpoint, client: &Client) -> Option<Self> {
        let user = client.user.clone()?;
        let params: Vec<_> = client.params.iter().map(|(_, value)| value).collect();
        (!endpoint.resume.window.is_zero()).then(|| Self {
            endpoint: endpoint.name.clone(),
            // Values are JSON already: nothing can fail.
            params: serde_json::to_string(&params).unwrap_or_default().into(),
            user,
        })
    }

    /// Another for each.
    fn text(&self) -> String {
        let parts = (&*self.endpoint, &*self.params, self.user.as_str());
        // Texts alone: nothing can fail.
        serde_json::to_string(&parts).unwrap_or_default()
    }
}

/// Who is here and who has died, by key.
#[derive(Debug)]
pub(super) struct Adoptions {
    families: Mutex<Families>,
    /// Where nodes share the feed, the rest of this is empty.
    nodes: Option<Arc<Nodes>>,
    feed: Arc<Feed>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Families {
    /// Those who are here, in the order in which they came.
    live: HashMap<Key, Vec<Arc<Standing>>>,
    orphans: Orphans,
}

/// Who comes.
pub(super) struct Newcomer<'a> {
    pub(super) name: SessionName,
    pub(super) window: Duration,
    pub(super) key: Key,
    /// The head of the feed when it subscribed.
    pub(super) head: Offset,
    pub(super) outbox: &'a Arc<Outbox>,
    /// The table by whose rules it came in.
    pub(super) generation: u64,
}

impl Adoptions {
    pub(super) fn new(hub: Arc<Hub>, feed: Arc<Feed>, metrics: Arc<Metrics>) -> Arc<Self> {
        let mut families = Families::default();
        let marks = feed.marks();
        for (name, now) in families.orphans.restore(marks.take_found()) {
            match now {
                Some(at) => marks.move_to(name, at),
                None => marks.remove(name),
            }
        }
        let adoptions = Self {
            families: Mutex::new(families),
            nodes: Nodes::of(&hub, &feed, &metrics),
            feed,
            hub,
            metrics,
        };
        adoptions.gauge(&adoptions.lock());
        Arc::new(adoptions)
    }

    /// A session takes its stand among those of its key. Those who may be gone are
    /// asked from now on; [`Stand::decide`] waits for what they say.
    pub(super) fn arrive(self: &Arc<Self>, newcomer: Newcomer<'_>) -> Stand {
        if let Some(nodes) = &self.nodes {
            return self.arrive_among(nodes, newcomer);
        }
        // Asked first: all of that is in the outboxes then.
        let all_offered = self.hub.handed_out() >= newcomer.head;
        let turn = Turn::new();
        let mut families = self.lock();
        let skips_settled = all_offered && !families.orphans.has_passed(&newcomer.key);
        let live = families.live.entry(newcomer.key.clone()).or_default();
        let mut asked = Vec::new();
        for elder in live.iter() {
            let is_skipped = skips_settled && elder.is_settled();
            let knock = elder.knock(&turn);
            self.feed.marks().doubt(elder.name, true);
            if !is_skipped {
                asked.push((elder.clone(), knock));
            }
        }
        let (window, standing) = (newcomer.window, Standing::new(newcomer));
        live.push(standing.clone());
        let question = Question {
            standing: standing.clone(),
            asked,
            turn,
            window,
        };
        // Known before the 101: a process that dies after it finds one place, not two.
        let begins = match question.asked.is_empty() {
            true => Begins::There(self.pick(&mut families, &question)),
            false => {
                let at = self.position(standing.head);
                self.feed.marks().put(standing.name, || Mark {
                    undecided: true,
                    ..standing.mark(at, window)
                });
                Begins::Asked(question)
            }
        };
        drop(families);
        Stand::new(self.clone(), (standing, window), begins)
    }

    /// Notes where a session is, for the process that comes after this one.
    fn mark(&self, standing: &Standing, (at, window): (Offset, Duration)) {
        let mark = || standing.mark(self.position(at), window);
        self.feed.marks().put(standing.name, mark);
    }

    fn mark_moved(&self, standing: &Standing, at: Offset) {
        let marks = self.feed.marks();
        marks.move_to(standing.name, self.position(at));
    }

    fn position(&self, offset: Offset) -> Position {
        let epoch = self.feed.head().epoch;
        Position { epoch, offset }
    }

    /// Forgets the orphans whose time is over, and those who have not answered for so
    /// long that somebody stands in their place.
    pub(super) fn sweep(&self) {
        let mut families = self.lock();
        self.sweep_in(&mut families);
        let replaced = families.live.values().flatten();
        for elder in replaced.filter(|elder| elder.is_replaced()) {
            self.feed.marks().remove(elder.name);
        }
    }

    fn sweep_in(&self, families: &mut Families) {
        for (key, name) in families.orphans.expire(Instant::now()) {
            self.feed.marks().remove(name);
            self.count(&key, "expired");
        }
        self.gauge(families);
    }

    fn gauge(&self, families: &Families) {
        let orphans = i64::try_from(families.orphans.len()).unwrap_or(i64::MAX);
        self.metrics.orphans.set(orphans);
    }

    fn count(&self, key: &Key, result: &'static str) {
        Because::count(&self.metrics.adoptions, &key.endpoint, result);
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
