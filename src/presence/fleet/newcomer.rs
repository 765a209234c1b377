//! A node that does not know yet what the others know: it asks, and keeps what it hears
//! meanwhile. If nobody is heard it says that all begins with it; the first who says so
//! is believed by all, also by itself.

use tokio::time::{Duration, Instant};

use super::{
    DEAD,
    fact::{Fact, Info, NodeId, Said, pair},
    ledger::Ledger,
    snapshot::Parts,
};
use crate::event::Offset;

/// How long an answer is waited for before another node is asked.
const ANSWER: Duration = Duration::from_millis(500);
/// How long it asks while it hears nobody.
const NOBODY: Duration = Duration::from_millis(1200);
/// How long until it asks again though its question has not come back from the feed.
const UNHEARD: Duration = Duration::from_secs(10);
/// Facts that are kept meanwhile, by their changes; beyond that it asks anew.
const MAX_KEPT: usize = 200_000;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Newcomer {
    /// How often it has asked.
    attempt: u32,
    /// When it has asked last.
    asked: Option<Instant>,
    /// When its first question stood in the feed, and when the last one did.
    first: Option<Instant>,
    stood: Option<Instant>,
    /// It has said that all begins with it.
    founds: bool,
    /// When it last heard a node that knows.
    heard: Option<Instant>,
    /// Where somebody else said that all begins with them.
    found: (u64, u64),
    /// The last place of which it knows.
    at: Offset,
    /// Everything after this is kept.
    since: Offset,
    kept: Vec<(Offset, Said)>,
    size: usize,
    parts: Parts,
}

/// What it then knows, and what it has heard that came after.
type Known = (Ledger, Vec<(Offset, Said)>);

impl Newcomer {
    /// What is to be said now.
    pub(super) fn tick(&mut self, now: Instant, info: &Info) -> Option<Fact> {
        let Some(asked) = self.asked else {
            return Some(self.ask(now, info));
        };
        let Some(stood) = self.stood else {
            return (now >= asked + UNHEARD).then(|| self.ask(now, info));
        };
        let pause = ANSWER * (1 << self.attempt.min(4)) / 2;
        if now < stood + pause {
            return None;
        }
        let alone = match (self.first, self.heard) {
            (_, Some(heard)) => now >= heard + DEAD,
            (Some(first), None) => now >= first + NOBODY,
            (None, None) => false,
        };
        if !alone {
            return Some(self.ask(now, info));
        }
        // It may turn out to be the second: then it asks on.
        (self.stood, self.asked, self.heard) = (None, Some(now), None);
        self.founds = true;
        Some(Fact::Found(info.clone(), pair(self.at)))
    }

    fn ask(&mut self, now: Instant, info: &Info) -> Fact {
        let fact = Fact::Hello(info.clone(), Some(self.attempt));
        (self.asked, self.stood, self.founds) = (Some(now), None, false);
        self.attempt += 1;
        fact
    }

    /// Hears a fact; it may be the last that was missing.
    pub(super) fn hear(
        &mut self,
        at: Offset,
        said: Said,
        me: NodeId,
        now: Instant,
    ) -> Option<Known> {
        self.at = at;
        if said.node.0 != me.0 && !matches!(said.fact, Fact::Hello(..)) {
            self.heard = Some(now);
        }
        match &said.fact {
            Fact::Roll(roll) if roll.to == me => {
                let (from, ledger) = self.parts.take(said.node, roll)?;
                // It must not be older than what is kept.
                return (from >= self.since).then(|| self.go_on(from, ledger));
            }
            Fact::Roll(_) => return None,
            Fact::Hello(..) if said.node == me => {
                self.first.get_or_insert(now);
                self.stood = Some(now);
            }
            Fact::Found(_, heard) if said.node == me && self.found <= *heard => {
                let mut ledger = Ledger::default();
                ledger.apply(at, &said);
                return Some((ledger, Vec::new()));
            }
            Fact::Found(..) if said.node == me => self.stood = Some(now),
            Fact::Found(..) => self.found = pair(at),
            Fact::Hello(..) | Fact::Changes(_) | Fact::Beat | Fact::Bye | Fact::Gone(_) => {}
        }
        self.keep(at, said);
        None
    }

    fn keep(&mut self, at: Offset, said: Said) {
        self.size += match &said.fact {
            Fact::Changes(changes) => changes.len(),
            _ => 1,
        };
        self.kept.push((at, said));
        if self.size > MAX_KEPT {
            self.kept = Vec::new();
            self.parts = Parts::default();
            (self.size, self.since, self.asked) = (0, at, None);
        }
    }

    fn go_on(&mut self, from: Offset, ledger: Ledger) -> Known {
        let kept = std::mem::take(&mut self.kept);
        let after = kept.into_iter().filter(|(at, _)| *at > from);
        (ledger, after.collect())
    }
}
