//! Who is on this node, and what of it the others have not been told yet. What comes and
//! goes between two tellings is not told: a storm of reconnects is a few facts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use super::{
    super::roll::MAX_ABSENT,
    MAX_BYTES, MAX_CHANGES, MAX_FACTS,
    fact::{About, Change, NodeId, Place, Said, Who},
    ledger::Ledger,
};

/// A key with all that is known of a member is at most so long; else it is not counted.
const MAX_ABOUT: usize = 4096;

/// What a socket's coming in means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The member has no other here.
    First,
    /// The same, and it had left not long ago.
    Back,
    /// It has others here.
    Also,
    /// Too many have left and are not done with, or there is too much to say of it: it is
    /// not counted.
    Full,
}

/// See above.
#[derive(Debug)]
pub(super) struct Local<P> {
    own: HashMap<Place, Own<P>>,
    /// Members without a socket.
    absent: usize,
    /// Of whom there may be something to say.
    dirty: BTreeSet<Place>,
    /// Who has a socket here, and the ledger does not show it.
    unseen: BTreeSet<Place>,
    /// What is said besides.
    said: VecDeque<Change>,
    graces: BTreeMap<(Instant, u64), Place>,
    /// The number of the last of my facts that stood in the feed.
    heard: u64,
}

/// A member that is here, or that this node still has to see to.
#[derive(Debug)]
struct Own<P> {
    sockets: usize,
    about: About,
    grace: Duration,
    /// With whom it is told.
    party: P,
    /// The last that was said of it is that it came.
    announced: bool,
    /// In which fact.
    fact: u64,
    /// It was online before this node began anew.
    known: bool,
    /// It was leaving then.
    ghost: bool,
}

impl<P> Default for Local<P> {
    fn default() -> Self {
        Self {
            own: HashMap::new(),
            absent: 0,
            dirty: BTreeSet::new(),
            unseen: BTreeSet::new(),
            said: VecDeque::new(),
            graces: BTreeMap::new(),
            heard: 0,
        }
    }
}

impl<P: Clone> Local<P> {
    pub(super) fn enter(&mut self, place: &Place, about: &About, party: P) -> Came {
        let Some(own) = self.own.get_mut(place) else {
            if self.absent >= MAX_ABSENT || size(place, about) > MAX_ABOUT {
                return Came::Full;
            }
            let own = Own {
                sockets: 1,
                about: about.clone(),
                grace: Duration::ZERO,
                party,
                announced: false,
                fact: 0,
                known: false,
                ghost: false,
            };
            self.own.insert(place.clone(), own);
            self.dirty.insert(place.clone());
            return Came::First;
        };
        own.sockets += 1;
        if own.sockets > 1 {
            return Came::Also;
        }
        self.absent -= 1;
        (own.party, own.about) = (party, about.clone());
        self.dirty.insert(place.clone());
        Came::Back
    }

    /// If it was the last here: where the first had come in.
    pub(super) fn leave(&mut self, place: &Place, party: P, grace: Duration) -> Option<Arc<str>> {
        let own = self.own.get_mut(place).filter(|own| own.sockets > 0)?;
        own.sockets -= 1;
        if own.sockets > 0 {
            return None;
        }
        (own.party, own.grace) = (party, grace);
        let endpoint = own.about.endpoint.clone();
        self.absent += 1;
        self.dirty.insert(place.clone());
        Some(endpoint)
    }

    pub(super) fn say(&mut self, change: Change) {
        self.said.push_back(change);
    }

    /// What there is to say, in facts that begin with the number after this one.
    pub(super) fn changes(&mut self, number: u64) -> Vec<Vec<Change>> {
        let mut facts = Facts::new(number);
        while !facts.is_full()
            && let Some(change) = self.said.pop_front()
        {
            facts.push(change, 200);
        }
        while !facts.is_full()
            && let Some(place) = self.dirty.pop_first()
        {
            self.announce(&place, &mut facts);
        }
        facts.all
    }

    fn announce(&mut self, place: &Place, facts: &mut Facts) {
        let Some(own) = self.own.get_mut(place) else {
            return;
        };
        let size = size(place, &own.about);
        let came = own.sockets > 0 && !own.announced || own.ghost;
        let left = own.sockets == 0 && (own.announced || own.ghost);
        if came {
            let change = Change::Came(place.clone(), own.about.clone(), own.known || own.ghost);
            facts.push(change, size);
            (own.announced, own.known, own.ghost) = (true, false, false);
        }
        if left {
            facts.push(Change::Left(place.clone()), size);
            own.announced = false;
        }
        if came || left {
            own.fact = facts.number;
        } else if own.sockets == 0 && own.fact == 0 {
            // It was here so shortly that nobody has heard of it.
            self.forget(place);
        }
    }

    /// Some changes stand in the feed, and the ledger knows them.
    pub(super) fn heard(&mut self, all: &[Change], said: &Said, me: NodeId, ledger: &Ledger) {
        if said.node == me {
            self.heard = self.heard.max(said.number);
        }
        for change in all {
            let place = match change {
                Change::Came(place, ..) | Change::Over(place, _) => place,
                Change::Left(place) | Change::Told(place, _) => place,
            };
            self.look(place, ledger);
            self.tidy(place, me, ledger);
        }
    }

    /// Nothing more is to be done here for who has no socket and is named by nobody.
    fn tidy(&mut self, place: &Place, me: NodeId, ledger: &Ledger) {
        let Some(own) = self.own.get(place) else {
            return;
        };
        let waits = own.sockets > 0 || own.announced || own.fact > self.heard || own.ghost;
        let named = ledger.record(place).is_some_and(|record| record.names(me));
        if !waits && !named {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: &Place) {
        if self.own.remove(place).is_some_and(|own| own.sockets == 0) {
            self.absent -= 1;
        }
        self.dirty.remove(place);
    }

    /// Notes whether the ledger shows somebody who is here.
    pub(super) fn look(&mut self, place: &Place, ledger: &Ledger) {
        let here = self.own.get(place).is_some_and(|own| own.sockets > 0);
        match here && !ledger.shows(place) {
            true => self.unseen.insert(place.clone()),
            false => self.unseen.remove(place),
        };
    }

    pub(super) fn look_at_all(&mut self, ledger: &Ledger) {
        let here = self.own.iter().filter(|(_, own)| own.sockets > 0);
        let unseen = here
            .map(|(place, _)| place)
            .filter(|place| !ledger.shows(place));
        self.unseen = unseen.cloned().collect();
    }

    /// Before another ledger takes the place of this one: who was online by it.
    pub(super) fn remember(&mut self, me: NodeId, ledger: &Ledger) {
        for (place, own) in &mut self.own {
            let record = ledger.record(place);
            own.known |= own.sockets > 0 && record.is_some_and(|record| record.told);
            let leaving = record.and_then(|record| record.leaving);
            own.ghost |= own.sockets == 0 && leaving.is_some_and(|one| one.owner == me);
        }
    }

    /// The ledger goes on from what this node knew: what it says now is true, and nothing
    /// that was remembered.
    pub(super) fn trust(&mut self, me: NodeId, ledger: &Ledger) {
        let named = |place: &Place| ledger.record(place).is_some_and(|record| record.names(me));
        self.own
            .retain(|place, own| own.sockets > 0 || named(place));
        self.absent = self.own.values().filter(|own| own.sockets == 0).count();
        for own in self.own.values_mut().filter(|own| own.known || own.ghost) {
            // Not one that was never heard of.
            (own.known, own.ghost, own.fact) = (false, false, 1);
        }
    }

    /// All who are here are said again, under another id.
    pub(super) fn announce_anew(&mut self) {
        self.own.retain(|_, own| own.sockets > 0 || own.ghost);
        self.absent = self.own.values().filter(|own| own.sockets == 0).count();
        for own in self.own.values_mut() {
            (own.announced, own.fact) = (false, 0);
        }
        self.dirty = self.own.keys().cloned().collect();
        self.said.clear();
        self.graces.clear();
        self.heard = 0;
    }

    pub(super) fn wait(&mut self, place: Place, (number, about): (u64, &About), now: Instant) {
        let own = self.own.get(&place).map(|own| own.grace);
        let grace = own.unwrap_or(Duration::from_millis(about.grace));
        self.graces.insert((now + grace, number), place);
    }

    pub(super) fn end_graces(&mut self, now: Instant, hurry: bool, me: NodeId, ledger: &Ledger) {
        while let Some(first) = self.graces.first_entry()
            && (first.key().0 <= now || hurry)
        {
            let ((_, number), place) = first.remove_entry();
            let leaving = ledger.record(&place).and_then(|record| record.leaving);
            let its = leaving.is_some_and(|one| one.owner == me && one.number == number);
            if its {
                self.said.push_back(Change::Over(place, number));
            }
        }
    }

    pub(super) fn party(&self, place: &Place) -> Option<P> {
        self.own.get(place).map(|own| own.party.clone())
    }

    /// Who is here under a key and not in the ledger.
    pub(super) fn unseen<'a>(
        &'a self,
        key: &Arc<str>,
    ) -> impl Iterator<Item = &'a About> + use<'a, P> {
        let (from, key) = (
            Place {
                key: key.clone(),
                who: Who::Socket(0, 0),
            },
            key.clone(),
        );
        let under = self
            .unseen
            .range(from..)
            .take_while(move |place| place.key == key);
        under.filter_map(|place| self.own.get(place).map(|own| &own.about))
    }

    /// Nobody is here, and the others know it, or will by what has been taken.
    pub(super) fn has_said_all(&self) -> bool {
        self.has_nobody() && self.dirty.is_empty() && self.said.is_empty()
    }

    pub(super) fn has_nobody(&self) -> bool {
        self.own.len() == self.absent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.said.is_empty()
    }
}

/// Changes, by facts of a bounded length.
struct Facts {
    /// Of the last one.
    number: u64,
    all: Vec<Vec<Change>>,
    bytes: usize,
}

impl Facts {
    fn new(number: u64) -> Self {
        Self {
            number,
            all: Vec::new(),
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.all.len() >= MAX_FACTS
    }

    fn push(&mut self, change: Change, size: usize) {
        self.bytes += size;
        match self.all.last_mut() {
            Some(last) if last.len() < MAX_CHANGES && self.bytes <= MAX_BYTES => last.push(change),
            _ => {
                self.all.push(vec![change]);
                (self.bytes, self.number) = (size, self.number + 1);
            }
        }
    }
}

/// About how long a change is in JSON.
fn size(place: &Place, about: &About) -> usize {
    let who = match &place.who {
        Who::User(user) => user.len(),
        Who::Socket(..) => 0,
    };
    let value = |value: &serde_json::Value| value.to_string().len();
    let params = about.params.iter();
    let params: usize = params.map(|(name, of)| name.len() + value(of)).sum();
    200 + place.key.len() + who + about.user.as_ref().map_or(0, value) + params
}
