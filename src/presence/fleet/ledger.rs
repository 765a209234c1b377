//! What all nodes know alike: who is where, what has been told, and who sees to what is to
//! be told next. It is made of nothing but the facts in the order of the feed, so it is the
//! same on every node at the same place.
//!
//! Of each member one transition is told at a time, by one node; the next is decided when
//! that node has said that it is done.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{Listed, roll::MAX_LISTED},
    fact::{About, Change, Fact, Info, NodeId, Place, Said, Turn, Who, pair},
};
use crate::event::Offset;

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

/// What is known of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) about: About,
    /// Where it has sockets, in the order of arrival.
    pub(super) holders: Vec<NodeId>,
    /// Its place among those who are online.
    pub(super) shown: Option<u64>,
    /// The last that was told of it, or is being told, is that it is online.
    pub(super) told: bool,
    /// But who was telling it is gone, and nobody else could: if it comes back it is told
    /// again, and if not, that it is offline.
    pub(super) unsure: bool,
    /// Who is telling what.
    pub(super) telling: Option<(NodeId, Turn)>,
    pub(super) leaving: Option<Leaving>,
}

/// Its last socket has left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Leaving {
    /// Who waits for the end of the grace.
    pub(super) owner: NodeId,
    pub(super) number: u64,
    /// The grace has passed.
    pub(super) over: bool,
}

/// What a node has to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duty {
    pub(super) node: NodeId,
    pub(super) place: Place,
    pub(super) what: Task,
}

/// See [`Duty`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    /// Tell this.
    Tell(Turn, About),
    /// Wait for the end of the grace of the leaving with this number.
    Wait(u64, About),
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
            let what = match (record.telling, record.leaving) {
                (Some((by, turn)), _) if by == node => Task::Tell(turn, record.about.clone()),
                (
                    _,
                    Some(Leaving {
                        owner,
                        number,
                        over,
                    }),
                ) if owner == node && !over => Task::Wait(number, record.about.clone()),
                _ => return None,
            };
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
                record.holders.retain(|holder| *holder != gone);
                if let Some((by, turn)) = &mut record.telling
                    && *by == gone
                {
                    match turn {
                        // Who else holds it tells it.
                        Turn::Online => {
                            record.unsure = record.holders.is_empty();
                            record.told = record.unsure;
                            record.telling = None;
                        }
                        Turn::Offline => {
                            *by = heir;
                            duties.push(record.duty(heir, &place, Turn::Offline));
                        }
                    }
                }
                let orphan = record.leaving.take_if(|leaving| leaving.owner == gone);
                match orphan {
                    Some(leaving) if leaving.over => {
                        let owner = heir;
                        record.leaving = Some(Leaving { owner, ..leaving });
                    }
                    Some(_) | None => record.leave(heir, &place, next, duties),
                }
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
                    record.about = about.clone();
                    record.leaving = None;
                    if !record.holders.contains(&node) {
                        record.holders.push(node);
                    }
                    record.told &= !std::mem::take(&mut record.unsure);
                    record.told |= *known && record.telling.is_none();
                });
            }
            Change::Left(place) => self.with(place, duties, |record, next, duties| {
                record.holders.retain(|holder| *holder != node);
                record.leave(node, place, next, duties);
            }),
            Change::Over(place, number) => self.with(place, duties, |record, _, _| {
                let its =
                    |leaving: &&mut Leaving| leaving.owner == node && leaving.number == *number;
                if let Some(leaving) = record.leaving.as_mut().filter(its) {
                    leaving.over = true;
                }
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

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(super) fn has(&self, id: NodeId) -> bool {
        self.node(id).is_some()
    }

    pub(super) fn record(&self, place: &Place) -> Option<&Record> {
        self.keys.get(&place.key)?.members.get(&place.who)
    }

    /// Whether a member is among those who are online.
    pub(super) fn shows(&self, place: &Place) -> bool {
        self.record(place)
            .is_some_and(|record| record.shown.is_some())
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (Place, &Record)> {
        self.keys.iter().flat_map(|(key, members)| {
            members.members.iter().map(|(who, record)| {
                let (key, who) = (key.clone(), who.clone());
                (Place { key, who }, record)
            })
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&Arc<str>, &Key)> {
        self.keys.iter()
    }

    pub(super) fn count(&self, key: &str) -> usize {
        self.keys.get(key).map_or(0, |key| key.online.len())
    }

    /// The users who are online under a key, each once, and after them these.
    pub(super) fn list<'a>(&'a self, key: &str, more: impl Iterator<Item = &'a Value>) -> Listed {
        let online = self.keys.get(key).into_iter().flat_map(|key| {
            let records = key.online.values().filter_map(|who| key.members.get(who));
            records.filter_map(|record| record.about.user.as_ref())
        });
        let mut seen = HashSet::new();
        let mut distinct = online.chain(more).filter(|user| seen.insert(*user));
        let users = distinct.by_ref().take(MAX_LISTED).cloned().collect();
        Listed {
            users,
            is_whole: distinct.next().is_none(),
        }
    }
}

impl Record {
    fn is_online(&self) -> bool {
        self.told || !self.holders.is_empty()
    }

    fn is_over(&self) -> bool {
        !self.is_online() && self.telling.is_none()
    }

    /// Whether anything here waits for a node.
    pub(super) fn names(&self, node: NodeId) -> bool {
        self.holders.contains(&node)
            || self.telling.is_some_and(|(by, _)| by == node)
            || self.leaving.is_some_and(|leaving| leaving.owner == node)
    }

    /// If that was the last socket: who waits for the end of the grace.
    fn leave(&mut self, owner: NodeId, place: &Place, next: &mut u64, duties: &mut Vec<Duty>) {
        if !self.holders.is_empty() || !self.told || self.leaving.is_some() {
            return;
        }
        let (number, over) = (*next, false);
        *next += 1;
        self.leaving = Some(Leaving {
            owner,
            number,
            over,
        });
        duties.push(Duty {
            node: owner,
            place: place.clone(),
            what: Task::Wait(number, self.about.clone()),
        });
    }

    /// Decides what is told next, if nothing is being told.
    fn settle(&mut self, place: &Place, duties: &mut Vec<Duty>) {
        if self.telling.is_some() {
            return;
        }
        let over = self.leaving.filter(|leaving| leaving.over);
        let (by, turn) = match (self.holders.first(), over) {
            (Some(holder), _) if !self.told => (*holder, Turn::Online),
            (None, Some(leaving)) if self.told => (leaving.owner, Turn::Offline),
            _ => return,
        };
        (self.told, self.unsure) = (turn == Turn::Online, false);
        self.leaving = None;
        self.telling = Some((by, turn));
        duties.push(self.duty(by, place, turn));
    }

    fn duty(&self, node: NodeId, place: &Place, turn: Turn) -> Duty {
        Duty {
            node,
            place: place.clone(),
            what: Task::Tell(turn, self.about.clone()),
        }
    }
}
