//! What operators see of the nodes and of who is online on all of them.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::{
    super::Shown,
    Fleet,
    fact::{Info, NodeId, Who},
    ledger::{Key, Record},
};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeShown {
    /// Its id.
    pub id: NodeId,
    /// Its name, version, and when it began.
    pub info: Info,
    /// How long ago it was heard; not yet.
    pub heard: Option<Duration>,
    /// How many members it holds.
    pub members: usize,
    /// It is the one that is asked.
    pub is_me: bool,
    /// It is about to end.
    pub is_leaving: bool,
}

/// A key on all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyShown {
    /// As on one node.
    pub shown: Shown,
    /// How many each node holds, by its name.
    pub nodes: Vec<(Arc<str>, usize)>,
}

/// Somebody under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberShown {
    /// The key.
    pub key: Arc<str>,
    /// The user, as the app writes it.
    pub user: Option<Value>,
    /// Where it came in last.
    pub endpoint: Arc<str>,
    /// On which nodes it has sockets; on none: it is leaving.
    pub nodes: Vec<Arc<str>>,
    /// Steps are being done for it.
    pub is_told: bool,
}

impl<P: Clone> Fleet<P> {
    /// The nodes, in the order in which they came.
    pub fn nodes(&self, now: Instant) -> Vec<NodeShown> {
        let mut members: HashMap<NodeId, usize> = HashMap::new();
        for (_, record) in self.ledger.records() {
            for holder in &record.holders {
                *members.entry(*holder).or_default() += 1;
            }
        }
        let nodes = self.ledger.nodes.iter().map(|node| NodeShown {
            id: node.id,
            info: node.info.clone(),
            heard: self.silence.since(node.id, now),
            members: members.get(&node.id).copied().unwrap_or(0),
            is_me: node.id == self.me,
            is_leaving: node.bye,
        });
        nodes.collect()
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.ledger.nodes.len()
    }

    /// How many keys there are, and the first of them with at most so many users in all.
    pub fn show(&self, limit: usize) -> (usize, Vec<KeyShown>) {
        let mut keys: Vec<_> = self.ledger.keys().collect();
        let count = keys.len();
        keys.sort_unstable_by_key(|(name, _)| *name);
        keys.truncate(limit);
        let mut left = limit;
        let shown = keys.into_iter().map(|(name, key)| {
            let users: Vec<_> = users(key).take(left).collect();
            left -= users.len();
            self.key(name, key, users)
        });
        (count, shown.collect())
    }

    /// The keys under which a user is online, at most so many.
    pub fn show_user(&self, user: &str, limit: usize) -> Vec<MemberShown> {
        let who = Who::User(user.into());
        let found = self.ledger.keys().filter_map(|(name, key)| {
            let record = key.members.get(&who)?;
            Some(self.member(name, record))
        });
        let mut found: Vec<_> = found.take(limit).collect();
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        found
    }

    /// Who is online under a key, at most so many.
    pub fn show_key(&self, name: &Arc<str>, limit: usize) -> Vec<MemberShown> {
        let key = self.ledger.keys().find(|(other, _)| *other == name);
        let online = key.into_iter().flat_map(|(_, key)| {
            let who = key.online.values();
            who.filter_map(|who| key.members.get(who))
        });
        let shown = online.map(|record| self.member(name, record));
        shown.take(limit).collect()
    }

    fn key(&self, name: &Arc<str>, key: &Key, users: Vec<Value>) -> KeyShown {
        let held = |id: NodeId| {
            let records = key.members.values();
            records
                .filter(|record| record.holders.contains(&id))
                .count()
        };
        let nodes = self.ledger.nodes.iter();
        let nodes = nodes.map(|node| (node.info.name.clone(), held(node.id)));
        let left = key.members.values().filter(|one| one.holders.is_empty());
        KeyShown {
            shown: Shown {
                key: name.clone(),
                online: key.online.len(),
                leaving: left.count(),
                users,
            },
            nodes: nodes.filter(|(_, held)| *held > 0).collect(),
        }
    }

    fn member(&self, key: &Arc<str>, record: &Record) -> MemberShown {
        let holds = |node: &&super::ledger::Node| record.holders.contains(&node.id);
        let nodes = self.ledger.nodes.iter().filter(|node| holds(node));
        MemberShown {
            key: key.clone(),
            user: record.about.user.clone(),
            endpoint: record.about.endpoint.clone(),
            nodes: nodes.map(|node| node.info.name.clone()).collect(),
            is_told: record.telling.is_some(),
        }
    }
}

fn users(key: &Key) -> impl Iterator<Item = Value> {
    let records = key.online.values().filter_map(|who| key.members.get(who));
    records.filter_map(|record| record.about.user.clone())
}
