//! The ledger in parts, for a node that has just come: it is the ledger of one place of the
//! feed, and the newcomer goes on from there with the facts that came after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    fact::{Fact, NodeId, Place, Roll, Said, pair},
    ledger::{Ledger, Node, Record},
};
use crate::event::Offset;

/// A part is about as long: far from what a feed takes as one event.
const PART: usize = 48 * 1024;
/// Parts of one answer that a newcomer takes at most.
const MAX_PARTS: u32 = 100_000;

/// What a node knew at a place of the feed, for one who asks.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) at: Offset,
    pub(super) ledger: Ledger,
}

#[derive(Serialize, Deserialize)]
struct Head {
    foundation: (u64, u64),
    next: u64,
    nodes: Vec<Node>,
}

impl Answer {
    /// For whom.
    pub fn to(&self) -> NodeId {
        self.to
    }

    /// It as facts, none of them long.
    pub fn facts(&self) -> Vec<Said> {
        let Ledger {
            foundation,
            next,
            nodes,
            ..
        } = &self.ledger;
        let head = Head {
            foundation: *foundation,
            next: *next,
            nodes: nodes.clone(),
        };
        let mut parts = vec![vec![value(&head)]];
        let mut size = 0;
        for (place, record) in self.ledger.records() {
            let record = value(&(place, record));
            size += record.to_string().len();
            if size > PART {
                size = 0;
                parts.push(Vec::new());
            }
            if let Some(part) = parts.last_mut() {
                part.push(record);
            }
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let said = |(part, records)| Said {
            node: self.from,
            number: 0,
            fact: Fact::Roll(Roll {
                to: self.to,
                at: pair(self.at),
                part: (part, count),
                records,
            }),
        };
        (0..count).zip(parts).map(said).collect()
    }
}

fn value(of: &impl Serialize) -> Value {
    // Texts and numbers: nothing can fail.
    serde_json::to_value(of).unwrap_or_default()
}

/// The parts of one answer that have come.
#[derive(Debug, Default)]
pub(super) struct Parts {
    of: Option<(NodeId, (u64, u64))>,
    parts: BTreeMap<u32, Vec<Value>>,
}

impl Parts {
    /// Takes a part, and gives the ledger and its place if that was the last. The parts of
    /// one answer count; a later answer takes the place of one that stays unfinished.
    pub(super) fn take(&mut self, from: NodeId, roll: &Roll) -> Option<(Offset, Ledger)> {
        let (part, count) = roll.part;
        if count > MAX_PARTS || part >= count {
            return None;
        }
        let of = Some((from, roll.at));
        if self.of != of {
            // In the order of the feed, whole answers may stand among each other.
            if part != 0 {
                return None;
            }
            self.of = of;
            self.parts.clear();
        }
        self.parts.insert(part, roll.records.clone());
        if self.parts.len() < count as usize {
            return None;
        }
        let parts = std::mem::take(self).parts;
        let ledger = read(parts.into_values().flatten()).ok()?;
        Some((Offset(roll.at.0, roll.at.1), ledger))
    }
}

fn read(mut values: impl Iterator<Item = Value>) -> Result<Ledger, serde_json::Error> {
    let head: Head = serde_json::from_value(values.next().unwrap_or_default())?;
    let mut ledger = Ledger::default();
    ledger.foundation = head.foundation;
    ledger.next = head.next;
    ledger.nodes = head.nodes;
    for value in values {
        let (place, record): (Place, Record) = serde_json::from_value(value)?;
        ledger.put(&place, record);
    }
    Ok(ledger)
}
