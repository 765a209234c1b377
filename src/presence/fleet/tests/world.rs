//! A small world of nodes, clients and a log, in which anything may happen between two steps
//! of 50 milliseconds.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::super::*;

pub(super) const STEP: Duration = Duration::from_millis(50);
pub(super) const GRACE: Duration = Duration::from_secs(2);
pub(super) const USERS: usize = 4;

pub(super) struct World {
    now: Instant,
    pub(super) log: Vec<Said>,
    pub(super) nodes: Vec<Node>,
    /// What the first node to get there knew at each place of the log.
    known: HashMap<usize, Ledger>,
    /// What was told of each user, by whom, and at which place of the log.
    pub(super) told: BTreeMap<usize, Vec<(Turn, NodeId, usize)>>,
    processes: u64,
    /// Steps during which nothing can be appended or read.
    pub(super) away: u32,
}

pub(super) struct Node {
    pub(super) fleet: Option<Fleet<usize>>,
    pub(super) cursor: usize,
    telling: Vec<(Place, Turn, Instant)>,
    pub(super) sockets: [usize; USERS],
    /// Steps during which it does nothing.
    pub(super) frozen: u32,
    /// Taken, and not appended yet.
    pub(super) unsent: Vec<Said>,
}

pub(super) fn place(user: usize) -> Place {
    Place {
        key: "online".into(),
        who: Who::User(user.to_string().into()),
    }
}

fn user_of(place: &Place) -> usize {
    place.who.user().unwrap().as_str().parse().unwrap()
}

pub(super) fn about(user: usize) -> About {
    About {
        endpoint: "here".into(),
        user: Some(json!(user)),
        params: vec![("room".into(), json!(1))],
        grace: u64::try_from(GRACE.as_millis()).unwrap(),
    }
}

impl World {
    pub(super) fn new(nodes: usize) -> Self {
        let mut world = Self {
            now: Instant::now(),
            log: Vec::new(),
            nodes: Vec::new(),
            known: HashMap::new(),
            told: BTreeMap::new(),
            processes: 0,
            away: 0,
        };
        for node in 0..nodes {
            world.add(node);
        }
        world
    }

    pub(super) fn add(&mut self, node: usize) {
        self.nodes.push(Node {
            fleet: None,
            cursor: 0,
            telling: Vec::new(),
            sockets: [0; USERS],
            frozen: 0,
            unsent: Vec::new(),
        });
        self.start(node);
    }

    pub(super) fn start(&mut self, node: usize) {
        self.processes += 1;
        let info = Info {
            name: format!("node-{node}").into(),
            ..Info::default()
        };
        let process = self.processes;
        let at = &mut self.nodes[node];
        if at.fleet.is_none() {
            at.fleet = Some(Fleet::new(process, info));
            at.cursor = self.log.len();
        }
    }

    pub(super) fn kill(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        at.fleet = None;
        at.sockets = [0; USERS];
        at.telling.clear();
        at.unsent.clear();
        at.frozen = 0;
    }

    /// A graceful end: everybody leaves, and it says goodbye.
    pub(super) fn stop(&mut self, node: usize) {
        for user in 0..USERS {
            while self.nodes[node].sockets[user] > 0 {
                self.leave(node, user);
            }
        }
        let at = &mut self.nodes[node];
        if let Some(fleet) = &mut at.fleet {
            fleet.bye();
            let last = fleet.take();
            let unsent = std::mem::take(&mut at.unsent);
            self.log.extend(unsent.into_iter().chain(last));
        }
        self.kill(node);
    }

    pub(super) fn enter(&mut self, node: usize, user: usize) {
        let at = &mut self.nodes[node];
        if let Some(fleet) = &mut at.fleet {
            at.sockets[user] += 1;
            assert_ne!(fleet.enter(&place(user), &about(user), node), Came::Full);
        }
    }

    pub(super) fn leave(&mut self, node: usize, user: usize) {
        let at = &mut self.nodes[node];
        if let Some(fleet) = at.fleet.as_mut().filter(|_| at.sockets[user] > 0) {
            at.sockets[user] -= 1;
            let last = fleet.leave(&place(user), node, GRACE);
            assert_eq!(last.is_some(), at.sockets[user] == 0);
        }
    }

    /// Each node reads what is there, does what it has to, and appends.
    pub(super) fn step(&mut self) {
        self.now += STEP;
        if self.away > 0 {
            self.away -= 1;
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].frozen > 0 {
                self.nodes[node].frozen -= 1;
                continue;
            }
            if self.away == 0 {
                self.read(node);
            }
            self.act(node);
        }
    }

    fn read(&mut self, node: usize) {
        while self.nodes[node].fleet.is_some() && self.nodes[node].cursor < self.log.len() {
            let at = &mut self.nodes[node];
            let said = self.log[at.cursor].clone();
            // Through the form in which it travels.
            let said = Said::of(&said.event()).unwrap().unwrap();
            at.cursor += 1;
            let offset = Offset(0, at.cursor as u64);
            let fleet = at.fleet.as_mut().unwrap();
            let effects = fleet.apply(offset, said, self.now);
            if fleet.is_synced() {
                let first = self.known.entry(at.cursor);
                let first = first.or_insert_with(|| fleet.ledger.clone());
                assert_eq!(*first, fleet.ledger, "two nodes know different things");
            }
            for effect in effects {
                if let Effect::Tell { place, turn, .. } = effect {
                    let me = self.nodes[node].fleet.as_ref().unwrap().me();
                    let told = self.told.entry(user_of(&place)).or_default();
                    told.push((turn, me, self.nodes[node].cursor));
                    let until = self.now + STEP * 3;
                    self.nodes[node].telling.push((place, turn, until));
                }
            }
        }
    }

    fn act(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        let Some(fleet) = &mut at.fleet else { return };
        let (done, telling) = at
            .telling
            .drain(..)
            .partition(|(_, _, until)| *until <= self.now);
        let _: &Vec<_> = &done;
        at.telling = telling;
        for (place, turn, _) in done {
            fleet.told(&place, turn);
        }
        fleet.tick(self.now, false);
        if at.unsent.is_empty() {
            at.unsent = fleet.take();
        }
        if self.away > 0 {
            return;
        }
        self.log.append(&mut at.unsent);
        while let Some(answer) = fleet.answer() {
            self.log.extend(answer.facts());
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.step();
        }
    }

    pub(super) fn online(&self, node: usize) -> Vec<u64> {
        let users = self.nodes[node]
            .fleet
            .as_ref()
            .unwrap()
            .list(&"online".into());
        let mut users: Vec<_> = users
            .users
            .iter()
            .filter_map(|user| user.as_u64())
            .collect();
        users.sort_unstable();
        users
    }

    pub(super) fn turns(&self, user: usize) -> Vec<Turn> {
        let told = self.told.get(&user).into_iter().flatten();
        told.map(|(turn, ..)| *turn).collect()
    }

    pub(super) fn here(&self, user: usize) -> bool {
        self.nodes.iter().any(|node| node.sockets[user] > 0)
    }
}
