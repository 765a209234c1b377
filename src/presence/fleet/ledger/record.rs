//! What is known of one member, and what follows for the nodes: who tells what, and who
//! waits for the end of a grace.

use serde::{Deserialize, Serialize};

use super::super::fact::{About, NodeId, Place, Turn};

/// What is known of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::presence::fleet) struct Record {
    pub(in crate::presence::fleet) about: About,
    /// Where it has sockets, in the order of arrival.
    pub(in crate::presence::fleet) holders: Vec<NodeId>,
    /// Its place among those who are online.
    pub(in crate::presence::fleet) shown: Option<u64>,
    /// The last that was told of it, or is being told, is that it is online.
    pub(in crate::presence::fleet) told: bool,
    /// But who was telling it is gone, and nobody else could: if it comes back it is told
    /// again, and if not, that it is offline.
    pub(in crate::presence::fleet) unsure: bool,
    /// Who is telling what.
    pub(in crate::presence::fleet) telling: Option<(NodeId, Turn)>,
    pub(in crate::presence::fleet) leaving: Option<Leaving>,
}

/// Its last socket has left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::presence::fleet) struct Leaving {
    /// Who waits for the end of the grace.
    pub(in crate::presence::fleet) owner: NodeId,
    pub(in crate::presence::fleet) number: u64,
    /// The grace has passed.
    pub(in crate::presence::fleet) over: bool,
}

/// What a node has to do.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::presence::fleet) struct Duty {
    pub(in crate::presence::fleet) node: NodeId,
    pub(in crate::presence::fleet) place: Place,
    pub(in crate::presence::fleet) what: Task,
}

/// See [`Duty`].
#[derive(Clone, Debug, PartialEq)]
pub(in crate::presence::fleet) enum Task {
    /// Tell this.
    Tell(Turn, About),
    /// Wait for the end of the grace of the leaving with this number.
    Wait(u64, About),
}

impl Record {
    pub(super) fn is_online(&self) -> bool {
        self.told || !self.holders.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        !self.is_online() && self.telling.is_none()
    }

    /// Whether anything here waits for a node.
    pub(in crate::presence::fleet) fn names(&self, node: NodeId) -> bool {
        self.holders.contains(&node)
            || self.telling.is_some_and(|(by, _)| by == node)
            || self.leaving.is_some_and(|leaving| leaving.owner == node)
    }

    /// Its first socket on a node has come. The node may know that it is already told.
    pub(super) fn come(&mut self, node: NodeId, about: &About, known: bool) {
        self.about = about.clone();
        self.leaving = None;
        if !self.holders.contains(&node) {
            self.holders.push(node);
        }
        self.told &= !std::mem::take(&mut self.unsure);
        self.told |= known && self.telling.is_none();
    }

    /// If that was the last socket: who waits for the end of the grace.
    pub(super) fn leave(
        &mut self,
        owner: NodeId,
        place: &Place,
        next: &mut u64,
        duties: &mut Vec<Duty>,
    ) {
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

    /// The grace of this leaving has passed, says who waits for it.
    pub(super) fn end_grace(&mut self, node: NodeId, number: u64) {
        let its = |leaving: &&mut Leaving| leaving.owner == node && leaving.number == number;
        if let Some(leaving) = self.leaving.as_mut().filter(its) {
            leaving.over = true;
        }
    }

    /// A node is gone: the heir sees to what waited for it here.
    pub(super) fn hand_over(
        &mut self,
        gone: NodeId,
        heir: NodeId,
        place: &Place,
        duties: &mut Vec<Duty>,
    ) {
        self.holders.retain(|holder| *holder != gone);
        self.hand_over_telling(gone, heir, place, duties);
        // A grace that has not passed begins again, in `leave`.
        self.leaving
            .take_if(|leaving| leaving.owner == gone && !leaving.over);
        if let Some(leaving) = self
            .leaving
            .as_mut()
            .filter(|leaving| leaving.owner == gone)
        {
            leaving.owner = heir;
        }
    }

    /// What a node that is gone was telling: who else holds the member tells that it is
    /// online, the heir that it is not.
    fn hand_over_telling(
        &mut self,
        gone: NodeId,
        heir: NodeId,
        place: &Place,
        duties: &mut Vec<Duty>,
    ) {
        match self.telling {
            Some((by, Turn::Online)) if by == gone => {
                self.unsure = self.holders.is_empty();
                self.told = self.unsure;
                self.telling = None;
            }
            Some((by, Turn::Offline)) if by == gone => {
                self.telling = Some((heir, Turn::Offline));
                duties.push(self.duty(heir, place, Turn::Offline));
            }
            Some(_) | None => {}
        }
    }

    /// Decides what is told next, if nothing is being told.
    pub(super) fn settle(&mut self, place: &Place, duties: &mut Vec<Duty>) {
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

    /// What a node has to do about it, if it begins now.
    pub(super) fn task_of(&self, node: NodeId) -> Option<Task> {
        match (self.telling, self.leaving) {
            (Some((by, turn)), _) if by == node => Some(Task::Tell(turn, self.about.clone())),
            (_, Some(leaving)) if leaving.owner == node && !leaving.over => {
                Some(Task::Wait(leaving.number, self.about.clone()))
            }
            _ => None,
        }
    }

    fn duty(&self, node: NodeId, place: &Place, turn: Turn) -> Duty {
        Duty {
            node,
            place: place.clone(),
            what: Task::Tell(turn, self.about.clone()),
        }
    }
}
