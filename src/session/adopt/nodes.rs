//! The same where nodes share the feed: who comes to this one may have been at another.
//! Where everybody is and who has died is in Redis, and one step there takes a place;
//! here is only who answers.

mod answer;
mod callers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join},
};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Adopted, Adoptions, Beginning, Key, Newcomer, Past, Stand, Standing, decide::Begins};
use crate::{
    event::{Offset, Position, SessionName},
    feed::{
        Feed,
        places::{Answer, Ask, Comer, Places, Stands},
    },
    hub::Hub,
    metrics::{Because, Metrics},
    redis::Failure,
};

pub(super) use callers::Caller;

/// A handshake waits so long for Redis to know of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What Redis says to who comes; nothing, if it is away.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    nodes: Arc<Nodes>,
    comer: Comer,
    stands: Shared<BoxFuture<'static, Option<Stands>>>,
}

/// Who is here, on this node.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) places: Arc<Places>,
    here: Mutex<HashMap<SessionName, Arc<Standing>>>,
    feed: Arc<Feed>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
}

impl Nodes {
    /// Of a feed that is shared.
    pub(super) fn of(
        hub: &Arc<Hub>,
        feed: &Arc<Feed>,
        metrics: &Arc<Metrics>,
    ) -> Option<Arc<Self>> {
        let places = feed.places()?.clone();
        Some(Arc::new(Self {
            places,
            here: Mutex::default(),
            feed: feed.clone(),
            hub: hub.clone(),
            metrics: metrics.clone(),
        }))
    }

    /// A session is here, and Redis is to know it.
    fn arrive(self: &Arc<Self>, newcomer: Newcomer<'_>) -> (Arc<Standing>, Arriving) {
        let window = newcomer.window;
        let standing = Standing::new(newcomer);
        self.lock().insert(standing.name, standing.clone());
        let comer = Comer {
            name: standing.name,
            key: self.places.key(&standing.key.text()),
            head: self.position(standing.head),
            window,
        };
        let (nodes, key) = (self.clone(), standing.key.clone());
        let comes = comer.clone();
        let stands = async move {
            let stands = nodes.places.arrive(&comes).await;
            nodes.known(&key, stands)
        };
        let arriving = Arriving {
            nodes: self.clone(),
            comer,
            stands: stands.boxed().shared(),
        };
        (standing, arriving)
    }

    fn known(&self, key: &Key, stands: Result<Stands, Failure>) -> Option<Stands> {
        match stands {
            Ok(stands) => {
                let count = |result, number| {
                    (0..number).for_each(|_| self.count(key, result));
                };
                count("expired", stands.expired);
                count("dropped", stands.dropped);
                Some(stands)
            }
            Err(error) => {
                warn!(%error, endpoint = %key.endpoint, "It is not known where a client was: it begins with what comes");
                self.count(key, "unknown");
                None
            }
        }
    }

    /// Asks those who seem to be here, wherever they are, and takes the place of one who
    /// is not.
    async fn decide(self: Arc<Self>, standing: Arc<Standing>, arriving: Arriving) -> Beginning {
        let Arriving { comer, stands, .. } = arriving;
        let (stands, answered) = match stands.await {
            Some(stands) if stands.decided => (Some(stands), false),
            Some(stands) => self.ask(&standing, &comer, &stands).await,
            None => (None, false),
        };
        let Some(stands) = stands else {
            return Beginning::Head;
        };
        if stands.is_taken {
            standing.lose();
        }
        self.begin(&standing.key, stands.at, answered)
    }

    async fn ask(
        self: &Arc<Self>,
        standing: &Standing,
        comer: &Comer,
        stands: &Stands,
    ) -> (Option<Stands>, bool) {
        let key = &standing.key;
        let answer = match self.hear_all(comer, stands).await {
            Ok(answer) => answer,
            Err(error) => return (self.known(key, Err(error)), false),
        };
        for node in &answer.unanswered {
            warn!(%node, "A node does not say who is there: nobody is");
            self.count(key, "unanswered");
        }
        let stands = self.places.take(comer, &answer).await;
        (self.known(key, stands), answer.answered)
    }

    /// This node's answer and those of others.
    async fn hear_all(self: &Arc<Self>, comer: &Comer, stands: &Stands) -> Result<Answer, Failure> {
        let node = self.places.node();
        let here = stands.here.iter().cloned();
        let (own, others): (Vec<_>, Vec<_>) = here.partition(|(_, at)| at == node);
        let ask = Ask {
            newcomer: comer.name.to_string(),
            node: node.clone(),
            head: comer.head.offset.to_string(),
            of: own.iter().map(|(name, _)| name.to_string()).collect(),
        };
        let others = self.places.ask(&ask, &others);
        let (mut answer, others) = join(self.answer(ask.clone()), others).await;
        answer.add(others?);
        Ok(answer)
    }

    fn begin(&self, key: &Key, at: Option<Position>, answered: bool) -> Beginning {
        let Some(at) = at else {
            if answered {
                self.count(key, "second_tab");
            }
            return Beginning::Head;
        };
        let Some(at) = self.feed.place(at) else {
            self.count(key, "lost");
            return Beginning::Lost;
        };
        self.count(key, "adopted");
        // It may be known at another node by rules that are not known here.
        let past = Past::default();
        Beginning::Adopted(Adopted { at, past })
    }

    /// Somebody else stands in a session's place, as long as its client does not prove
    /// that it is there.
    fn lose(&self, session: SessionName) {
        if let Some(standing) = self.lock().get(&session).cloned() {
            standing.lose();
        }
    }

    /// A pong has come.
    pub(super) fn confirmed(&self, standing: &Standing, (at, answers): (Offset, bool)) {
        let at = self.position(at);
        match answers {
            true => self.places.prove(standing.name, at, standing.callers()),
            false => self.places.move_to(standing.name, at),
        }
    }

    /// It is known where a session begins.
    pub(super) fn begun(&self, standing: &Standing, at: Offset) {
        self.places.move_to(standing.name, self.position(at));
    }

    /// A session is here no more; its client may come back within a window.
    pub(super) fn depart(&self, standing: &Standing, window: Duration) {
        let decided = standing.lock().decided;
        let place = standing.end(!window.is_zero());
        self.lock().remove(&standing.name);
        let is_noted = match place {
            Some(at) => {
                let at = decided.then(|| self.position(at));
                self.places.end(standing.name, at)
            }
            None => self.places.remove(standing.name),
        };
        if !is_noted {
            warn!(endpoint = %standing.key.endpoint, "It is not noted where a client was: too many have left since Redis is away");
            self.count(&standing.key, "dropped");
        }
    }

    fn position(&self, offset: Offset) -> Position {
        let epoch = self.feed.head().epoch;
        Position { epoch, offset }
    }

    fn count(&self, key: &Key, result: &'static str) {
        Because::count(&self.metrics.adoptions, &key.endpoint, result);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionName, Arc<Standing>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adoptions {
    /// A session takes its stand among those of all nodes.
    pub(super) fn arrive_among(
        self: &Arc<Self>,
        nodes: &Arc<Nodes>,
        newcomer: Newcomer<'_>,
    ) -> Stand {
        let window = newcomer.window;
        let (standing, arriving) = nodes.arrive(newcomer);
        Stand::new(self.clone(), (standing, window), Begins::Among(arriving))
    }

    /// Writes where the sessions of this node are and answers other nodes, until it is
    /// told to stop. Where the feed is not shared it ends at once.
    pub(in crate::session) async fn run(&self, stop: CancellationToken) {
        let Some(nodes) = &self.nodes else { return };
        let answer = |ask| nodes.answer(ask);
        let lose = |session| nodes.lose(session);
        nodes.places.run(stop, answer, lose).await;
    }
}

impl Arriving {
    /// Waits until Redis knows of it, but not for long.
    pub(super) async fn announced(&self) {
        // Whoever waits in vain learns later where it begins.
        timeout(PATIENCE, self.stands.clone()).await.ok();
    }

    /// Waits until it is known where the session begins.
    pub(super) fn decide(self, standing: &Arc<Standing>) -> BoxFuture<'static, Beginning> {
        let nodes = self.nodes.clone();
        nodes.decide(standing.clone(), self).boxed()
    }
}
