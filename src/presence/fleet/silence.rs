//! Which nodes are not heard any more. Time counts only while the feed moves: a node is
//! gone when it was silent for ten seconds, and this one has heard several of its own
//! beats meanwhile. While the feed stands still nobody is heard, oneself neither.

use std::collections::{HashMap, HashSet};

use tokio::time::{Duration, Instant};

use super::{
    BEAT, DEAD,
    fact::{Fact, NodeId, Said},
    ledger::Ledger,
};

/// So many own beats must stand in the feed after another node's last word.
const BEATS: u32 = 3;
/// The nodes do not all say at once that another is gone: each waits for its turn.
const TURN: Duration = Duration::from_millis(500);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Silence {
    last: HashMap<NodeId, Heard>,
    /// When my own beat was heard.
    beat: Option<Instant>,
    /// Of whom I have said that they are gone.
    accused: HashSet<NodeId>,
}

/// When a node was heard last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    /// My beats since.
    beats: u32,
}

impl Silence {
    pub(super) fn heard(&mut self, said: &Said, me: NodeId, now: Instant) {
        self.last.insert(said.node, Heard { at: now, beats: 0 });
        if said.node != me || said.fact != Fact::Beat {
            return;
        }
        let paused = self.beat.is_none_or(|at| now > at + BEAT * 2);
        self.beat = Some(now);
        for heard in self.last.values_mut() {
            heard.beats += 1;
            if paused {
                // The feed stood still, or I did: everybody has their time again.
                *heard = Heard { at: now, beats: 0 };
            }
        }
    }

    /// Whoever it has said it of is not known to it any more.
    pub(super) fn begin_anew(&mut self) {
        self.accused.clear();
    }

    /// Whether a node was heard lately.
    pub(super) fn is_there(&self, node: NodeId, now: Instant) -> bool {
        let heard = self.last.get(&node);
        heard.is_some_and(|heard| now < heard.at + BEAT * 2)
    }

    /// How long ago a node was heard.
    pub(super) fn since(&self, node: NodeId, now: Instant) -> Option<Duration> {
        let heard = self.last.get(&node)?;
        Some(now.saturating_duration_since(heard.at))
    }

    /// Who is gone, as far as this node has to say it now.
    pub(super) fn gone(&mut self, now: Instant, me: NodeId, ledger: &Ledger) -> Vec<NodeId> {
        self.last.retain(|id, _| *id == me || ledger.has(*id));
        self.accused.retain(|id| ledger.has(*id));
        let moves = self.beat.is_some_and(|at| now < at + BEAT * 2);
        let mut gone = Vec::new();
        for node in ledger.nodes.iter().filter(|node| node.id != me) {
            let heard = *self
                .last
                .entry(node.id)
                .or_insert(Heard { at: now, beats: 0 });
            let turn = TURN * rank(me, ledger);
            let silent = moves && heard.beats >= BEATS && now >= heard.at + DEAD + turn;
            let left = node.bye && now >= heard.at + turn;
            if (silent || left) && self.accused.insert(node.id) {
                gone.push(node.id);
            }
        }
        gone
    }
}

/// How many nodes that stay are older.
fn rank(me: NodeId, ledger: &Ledger) -> u32 {
    let stay = ledger.nodes.iter().filter(|node| !node.bye);
    let older = stay.take_while(|node| node.id != me).count();
    u32::try_from(older).unwrap_or(u32::MAX).min(10)
}
