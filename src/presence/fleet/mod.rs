//! Who is online on all nodes that share a feed, as one of them knows it.
//!
//! Each node says on the feed which members have their first socket there and which their
//! last no more; all nodes keep the same `ledger` of that. The ledger decides which node
//! tells what and when; [`Effect`]s are what this node has to do. This file is a plain value:
//! no lock, no clock, no task, no feed. The session room runs it.
//!
//! A node that comes asks what the others know and goes on from there (`snapshot`); if
//! nobody answers, all begins with it. Who hears that it was declared dead, or that it is
//! not known, begins anew under another id. Facts of nodes that are not known say nothing.

mod fact;
mod ledger;
mod local;
mod newcomer;
mod silence;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

use std::{collections::VecDeque, sync::Arc};

use tokio::time::{Duration, Instant};

use super::Listed;
use crate::event::Offset;

pub use fact::{About, Fact, Info, NodeId, Place, Said, Turn, Who};
pub use local::Came;
pub use snapshot::Answer;
pub use view::{KeyShown, MemberShown, NodeShown};

use fact::Change;
use ledger::{Duty, Ledger, Task};
use local::Local;
use newcomer::Newcomer;
use silence::Silence;

/// A node that says nothing says so often that it is there.
pub const BEAT: Duration = Duration::from_secs(3);
/// A node that was not heard for so long is gone.
pub const DEAD: Duration = Duration::from_secs(10);
/// Changes in one fact, and about how many bytes of them.
const MAX_CHANGES: usize = 500;
const MAX_BYTES: usize = 48 * 1024;
/// Facts that are taken at once.
const MAX_FACTS: usize = 16;
/// Answers that wait to be given. Who gets none asks again.
const MAX_ANSWERS: usize = 4;

/// What a node has to do. `P` is with whom something is told.
#[derive(Clone, Debug)]
pub enum Effect<P> {
    /// Tell this, and then say [`Fleet::told`].
    Tell {
        /// Of whom.
        place: Place,
        /// What.
        turn: Turn,
        /// With whom, if the member has been here.
        party: Option<P>,
        /// What is known of it in any case.
        about: About,
    },
    /// A node is gone.
    Gone {
        /// What it was called.
        name: Arc<str>,
        /// It has said so itself.
        bye: bool,
        /// This node sees to its members.
        heir: bool,
    },
    /// It has begun anew, for this reason: the others do not know it (any more), or it has
    /// missed something.
    Anew(&'static str),
}

/// One node, and what it knows of all.
#[derive(Debug)]
pub struct Fleet<P> {
    me: NodeId,
    info: Info,
    ledger: Ledger,
    /// What is done until it knows what the others know.
    newcomer: Option<Newcomer>,
    local: Local<P>,
    silence: Silence,
    /// What is to be said besides changes.
    facts: VecDeque<Fact>,
    answers: VecDeque<Answer>,
    /// Of my last fact.
    number: u64,
    beaten: Option<Instant>,
    /// It has greeted, and that has not come back yet.
    greets: bool,
}

impl<P: Clone> Fleet<P> {
    /// A node that has just begun.
    pub fn new(process: u64, info: Info) -> Self {
        Self {
            me: NodeId(process, 0),
            info,
            ledger: Ledger::default(),
            newcomer: Some(Newcomer::default()),
            local: Local::default(),
            silence: Silence::default(),
            facts: VecDeque::new(),
            answers: VecDeque::new(),
            number: 0,
            beaten: None,
            greets: false,
        }
    }

    /// Its id of now.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Whether it knows what the others know.
    pub fn is_synced(&self) -> bool {
        self.newcomer.is_none()
    }

    /// Whether there are other nodes, as far as it knows.
    pub fn is_alone(&self) -> bool {
        let others = |node: &&ledger::Node| node.id != self.me && !node.bye;
        !self.ledger.nodes.iter().any(|node| others(&node))
    }

    /// Whether no socket is here.
    pub fn is_empty(&self) -> bool {
        self.local.has_nobody()
    }

    /// Whether all who were here have left and that has been said; where there is no other
    /// node, whether all that has been told as well.
    pub fn is_done(&self) -> bool {
        match self.is_synced() {
            true => self.local.has_said_all() && (!self.is_alone() || self.local.is_empty()),
            false => self.local.has_nobody(),
        }
    }

    /// A socket comes in.
    pub fn enter(&mut self, place: &Place, about: &About, party: P) -> Came {
        let came = self.local.enter(place, about, party);
        self.local.look(place, &self.ledger);
        came
    }

    /// A socket that had come in leaves. If it was the last here: where the first had come in.
    pub fn leave(&mut self, place: &Place, party: P, grace: Duration) -> Option<Arc<str>> {
        let last = self.local.leave(place, party, grace);
        self.local.look(place, &self.ledger);
        last
    }

    /// What was to be told has been told.
    pub fn told(&mut self, place: &Place, turn: Turn) {
        self.local.say(Change::Told(place.clone(), turn));
    }

    /// Looks at the clock. With `hurry` no grace is waited for.
    pub fn tick(&mut self, now: Instant, hurry: bool) {
        if let Some(newcomer) = &mut self.newcomer {
            let fact = newcomer.tick(now, &self.info);
            self.facts.extend(fact);
            return;
        }
        self.local.end_graces(now, hurry, self.me, &self.ledger);
        let gone = self.silence.gone(now, self.me, &self.ledger);
        self.facts.extend(gone.into_iter().map(Fact::Gone));
        if self.beaten.is_none_or(|at| now >= at + BEAT) {
            self.beaten = Some(now);
            self.facts.push_back(Fact::Beat);
        }
    }

    /// It ends: whoever is still here is handed to the others.
    pub fn bye(&mut self) {
        self.facts.push_back(Fact::Bye);
    }

    /// What is to be appended to the feed now, in this order. What cannot be appended is tried
    /// again until it can.
    pub fn take(&mut self) -> Vec<Said> {
        let mut facts: Vec<_> = self.facts.drain(..).collect();
        // Nobody is told of a farewell before its reasons.
        let bye = facts.pop_if(|fact| *fact == Fact::Bye);
        if self.is_synced() {
            let changes = self.local.changes(self.number + facts.len() as u64);
            facts.extend(changes.into_iter().map(Fact::Changes));
        }
        facts.extend(bye);
        let said = |fact| {
            self.number += 1;
            let (node, number) = (self.me, self.number);
            Said { node, number, fact }
        };
        facts.into_iter().map(said).collect()
    }

    /// An answer for one who has asked.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Takes in a fact that stands in the feed.
    pub fn apply(&mut self, at: Offset, said: Said, now: Instant) -> Vec<Effect<P>> {
        self.silence.heard(&said, self.me, now);
        let Some(newcomer) = &mut self.newcomer else {
            return self.follow(at, &said, now);
        };
        let Some((ledger, missed)) = newcomer.hear(at, said, self.me, now) else {
            return Vec::new();
        };
        self.newcomer = None;
        let goes_on = ledger.foundation == self.ledger.foundation;
        self.ledger = ledger;
        if goes_on {
            self.local.trust(self.me, &self.ledger);
        }
        let duties = self.ledger.duties_of(self.me);
        let mut effects = self.take_up(duties, now);
        effects.extend(self.rejoin(""));
        for (at, said) in missed {
            effects.extend(self.follow(at, &said, now));
        }
        self.local.look_at_all(&self.ledger);
        effects
    }

    /// Something on the feed was missed: it begins anew, and shows meanwhile what it knew.
    pub fn lost(&mut self, why: &'static str) -> Effect<P> {
        self.local.remember(self.me, &self.ledger);
        self.begin_anew();
        self.newcomer = Some(Newcomer::default());
        Effect::Anew(why)
    }

    fn follow(&mut self, at: Offset, said: &Said, now: Instant) -> Vec<Effect<P>> {
        if matches!(said.fact, Fact::Found(..)) {
            self.local.remember(self.me, &self.ledger);
        }
        let gone = match &said.fact {
            Fact::Gone(gone) if self.ledger.has(said.node) => self.ledger.node(*gone).cloned(),
            _ => None,
        };
        let duties = self.ledger.apply(at, said);
        let mut effects = Vec::new();
        match &said.fact {
            Fact::Hello(_, Some(attempt)) if said.node != self.me => {
                self.offer(at, said.node, *attempt, now);
            }
            Fact::Changes(changes) => self.local.heard(changes, said, self.me, &self.ledger),
            Fact::Hello(..) | Fact::Gone(_) | Fact::Found(..) => {}
            Fact::Roll(_) | Fact::Beat | Fact::Bye => {}
        }
        effects.extend(gone.map(|node| Effect::Gone {
            name: node.info.name,
            bye: node.bye,
            heir: said.node == self.me,
        }));
        effects.extend(self.take_up(duties, now));
        effects.extend(self.rejoin("declared_gone"));
        effects
    }

    /// Does what is this node's to do.
    fn take_up(&mut self, duties: Vec<Duty>, now: Instant) -> Vec<Effect<P>> {
        let mut effects = Vec::new();
        for Duty { place, what, .. } in duties.into_iter().filter(|duty| duty.node == self.me) {
            match what {
                Task::Wait(number, about) => self.local.wait(place, (number, &about), now),
                Task::Tell(turn, about) => effects.push(Effect::Tell {
                    party: self.local.party(&place),
                    place,
                    turn,
                    about,
                }),
            }
        }
        effects
    }

    /// If the others do not know this node, it comes anew, with all who are here.
    fn rejoin(&mut self, why: &'static str) -> Vec<Effect<P>> {
        let known = self.ledger.has(self.me);
        self.greets &= !known;
        if known || self.greets {
            return Vec::new();
        }
        self.begin_anew();
        self.greets = true;
        self.facts.push_back(Fact::Hello(self.info.clone(), None));
        self.local.look_at_all(&self.ledger);
        let said = !why.is_empty();
        said.then_some(Effect::Anew(why)).into_iter().collect()
    }

    fn begin_anew(&mut self) {
        self.me.1 += 1;
        self.number = 0;
        self.greets = false;
        self.facts.clear();
        self.answers.clear();
        self.local.announce_anew();
        self.silence.begin_anew();
    }

    /// One of those who are there answers one who asks: another each time.
    fn offer(&mut self, at: Offset, to: NodeId, attempt: u32, now: Instant) {
        let there = |node: &&ledger::Node| {
            node.id != to && (node.id == self.me || self.silence.is_there(node.id, now))
        };
        let there: Vec<_> = self.ledger.nodes.iter().filter(there).collect();
        let turn = there.get(attempt as usize % there.len().max(1));
        if turn.is_some_and(|node| node.id == self.me) && self.answers.len() < MAX_ANSWERS {
            let (from, ledger) = (self.me, self.ledger.clone());
            self.answers.push_back(Answer {
                from,
                to,
                at,
                ledger,
            });
        }
    }

    /// How many are online under a key.
    pub fn count(&self, key: &Arc<str>) -> usize {
        self.ledger.count(key) + self.local.unseen(key).count()
    }

    /// The users who are online under a key, each once.
    pub fn list(&self, key: &Arc<str>) -> Listed {
        let unseen = self.local.unseen(key);
        self.ledger
            .list(key, unseen.filter_map(|about| about.user.as_ref()))
    }
}
