//! What the ledger says to who asks: it changes nothing.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use super::{
    super::{
        super::{Listed, roll::MAX_LISTED},
        fact::{NodeId, Place},
    },
    Key, Ledger, Node, Record,
};

impl Ledger {
    pub(in crate::presence::fleet) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(in crate::presence::fleet) fn has(&self, id: NodeId) -> bool {
        self.node(id).is_some()
    }

    pub(in crate::presence::fleet) fn record(&self, place: &Place) -> Option<&Record> {
        self.keys.get(&place.key)?.members.get(&place.who)
    }

    /// Whether a member is among those who are online.
    pub(in crate::presence::fleet) fn shows(&self, place: &Place) -> bool {
        self.record(place)
            .is_some_and(|record| record.shown.is_some())
    }

    pub(in crate::presence::fleet) fn records(&self) -> impl Iterator<Item = (Place, &Record)> {
        self.keys.iter().flat_map(|(key, members)| {
            members.members.iter().map(|(who, record)| {
                let (key, who) = (key.clone(), who.clone());
                (Place { key, who }, record)
            })
        })
    }

    pub(in crate::presence::fleet) fn keys(&self) -> impl Iterator<Item = (&Arc<str>, &Key)> {
        self.keys.iter()
    }

    pub(in crate::presence::fleet) fn count(&self, key: &str) -> usize {
        self.keys.get(key).map_or(0, |key| key.online.len())
    }

    /// The users who are online under a key, each once, and after them these.
    pub(in crate::presence::fleet) fn list<'a>(
        &'a self,
        key: &str,
        more: impl Iterator<Item = &'a Value>,
    ) -> Listed {
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
