//! What all nodes know alike: who is where, what has been told, and who sees to what is to
//! be told next. It is made of nothing but the facts in the order of the feed, so it is the
//! same on every node at the same place.
//!
//! Of each member one transition is told at a time, by one node; the next is decided when
//! that node has said that it is done. Here facts are taken in; `record` decides for one
//! member, `look` answers who asks.

mod look;
mod record;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::fact::{Change, Fact, Info, NodeId, Place, Said, Who, pair};
use crate::event::Offset;

pub(super) use record::{Duty, Record, Task};

/// Members that are known at most; who comes beyond that is not counted, on any node.
const MAX_MEMBERS: usize = 1_000_000;

/// See above.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger {
    /// Where it began.
    pub(super) foundation: (u64, u64),
    /// Numbers arrivals and leavings.
    pub(super) next: u64,
    /// In the order in which they came.
    pub(super) nodes: Vec<Node>,
    keys: HashMap<Arc<str>, Key>,
    members: usize,
}

/// A node that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) info: Info,
    /// The number of its last fact.
    pub(super) number: u64,
    /// It has said that it ends.
    pub(super) bye: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Key {
    pub(super) members: HashMap<Who, Record>,
    /// Who is online, in the order of arrival.
    pub(super) online: BTreeMap<u64, Who>,
}

impl Ledger {
    /// One that begins with a node.
    fn founded(at: Offset, said: &Said, info: &Info) -> Self {
        let node = Node {
            id: said.node,
            info: info.clone(),
            number: said.number,
            bye: false,
        };
        Self {
            foundation: pair(at),
            nodes: vec![node],
            ..Self::default()
        }
    }

    /// Takes in a fact, and says what is to be done about it.
    pub(super) fn apply(&mut self, at: Offset, said: &Said) -> Vec<Duty> {
        let mut duties = Vec::new();
        match &said.fact {
            Fact::Found(info, heard) => {
                if self.foundation <= *heard {
                    *self = Self::founded(at, said, info);
                }
                return duties;
            }
            Fact::Hello(info, _) if !self.has(said.node) => {
                self.greet(said, info, &mut duties);
                return duties;
            }
            Fact::Roll(_) => return duties,
            Fact::Hello(..) | Fact::Changes(_) | Fact::Beat | Fact::Bye | Fact::Gone(_) => {}
        }
        let Some(node) = self.nodes.iter_mut().find(|node| node.id == said.node) else {
            return duties;
        };
        if said.number <= node.number {
            return duties;
        }
        node.number = said.number;
        match &said.fact {
            Fact::Changes(changes) => {
                for change in changes {
                    self.change(said.node, change, &mut duties);
                }
            }
            Fact::Bye => node.bye = true,
            Fact::Gone(gone) if *gone != said.node => self.bury(*gone, said.node, &mut duties),
            Fact::Gone(_) | Fact::Beat | Fact::Hello(..) | Fact::Found(..) | Fact::Roll(_) => {}
        }
        duties
    }

    /// What a node has to do that begins here.
    pub(super) fn duties_of(&self, node: NodeId) -> Vec<Duty> {
        let duty = |(place, record): (Place, &Record)| {
            let what = record.task_of(node)?;
            Some(Duty { node, place, what })
        };
        self.records().filter_map(duty).collect()
    }

    /// A node joins; what it was before it began anew is over.
    fn greet(&mut self, said: &Said, info: &Info, duties: &mut Vec<Duty>) {
        let former = |node: &&Node| node.id.0 == said.node.0;
        let former: Vec<_> = self
            .nodes
            .iter()
            .filter(former)
            .map(|node| node.id)
            .collect();
        if former.iter().any(|id| id.1 > said.node.1) {
            return;
        }
        self.nodes.push(Node {
            id: said.node,
            info: info.clone(),
            number: said.number,
            bye: false,
        });
        for id in former {
            self.bury(id, said.node, duties);
        }
    }

    /// A node is gone; the heir sees to its members.
    fn bury(&mut self, gone: NodeId, heir: NodeId, duties: &mut Vec<Duty>) {
        if !self.has(gone) {
            return;
        }
        self.nodes.retain(|node| node.id != gone);
        let concerned = |(place, record): (Place, &Record)| record.names(gone).then_some(place);
        let mut places: Vec<_> = self.records().filter_map(concerned).collect();
        // The same order on every node: leavings are numbered.
        places.sort_unstable();
        for place in places {
            self.with(&place, duties, |record, next, duties| {
                record.hand_over(gone, heir, &place, duties);
                record.leave(heir, &place, next, duties);
            });
        }
    }

    fn change(&mut self, node: NodeId, change: &Change, duties: &mut Vec<Duty>) {
        match change {
            Change::Came(place, about, known) => {
                if !self.make_room(place) {
                    return;
                }
                self.with(place, duties, |record, _, _| {
                    record.come(node, about, *known);
                });
            }
            Change::Left(place) => self.with(place, duties, |record, next, duties| {
                record.holders.retain(|holder| *holder != node);
                record.leave(node, place, next, duties);
            }),
            Change::Over(place, number) => self.with(place, duties, |record, _, _| {
                record.end_grace(node, *number);
            }),
            Change::Told(place, turn) => self.with(place, duties, |record, _, _| {
                record.telling.take_if(|telling| *telling == (node, *turn));
            }),
        }
    }

    /// Changes what is known of a member, if anything is, and decides what follows.
    fn with(
        &mut self,
        place: &Place,
        duties: &mut Vec<Duty>,
        change: impl FnOnce(&mut Record, &mut u64, &mut Vec<Duty>),
    ) {
        let Some(key) = self.keys.get_mut(&place.key) else {
            return;
        };
        let Some(record) = key.members.get_mut(&place.who) else {
            return;
        };
        change(record, &mut self.next, duties);
        record.settle(place, duties);
        match (record.is_online(), record.shown) {
            (true, None) => {
                record.shown = Some(self.next);
                key.online.insert(self.next, place.who.clone());
                self.next += 1;
            }
            (false, Some(number)) => {
                record.shown = None;
                key.online.remove(&number);
            }
            (true, Some(_)) | (false, None) => {}
        }
        if record.is_over() {
            key.members.remove(&place.who);
            self.members -= 1;
            if key.members.is_empty() {
                self.keys.remove(&place.key);
            }
        }
    }

    /// Makes sure that there is a record, if there may be one more.
    fn make_room(&mut self, place: &Place) -> bool {
        if self.record(place).is_some() {
            return true;
        }
        let fits = self.members < MAX_MEMBERS;
        if fits {
            self.put(place, Record::default());
        }
        fits
    }

    /// Puts a record in, as it is.
    pub(super) fn put(&mut self, place: &Place, record: Record) {
        let key = self.keys.entry(place.key.clone()).or_default();
        if let Some(number) = record.shown {
            key.online.insert(number, place.who.clone());
        }
        key.members.insert(place.who.clone(), record);
        self.members += 1;
    }
}
