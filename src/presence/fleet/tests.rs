//! What several nodes on one feed promise: a small world of nodes, clients and a log, in
//! which anything may happen between two steps of 50 milliseconds.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde_json::json;

use super::*;

const STEP: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(2);
const USERS: usize = 4;

struct World {
    now: Instant,
    log: Vec<Said>,
    nodes: Vec<Node>,
    /// What the first node to get there knew at each place of the log.
    known: HashMap<usize, Ledger>,
    /// What was told of each user, by whom, and at which place of the log.
    told: BTreeMap<usize, Vec<(Turn, NodeId, usize)>>,
    processes: u64,
    /// Steps during which nothing can be appended or read.
    away: u32,
}

struct Node {
    fleet: Option<Fleet<usize>>,
    cursor: usize,
    telling: Vec<(Place, Turn, Instant)>,
    sockets: [usize; USERS],
    /// Steps during which it does nothing.
    frozen: u32,
    /// Taken, and not appended yet.
    unsent: Vec<Said>,
}

fn place(user: usize) -> Place {
    Place {
        key: "online".into(),
        who: Who::User(user.to_string().into()),
    }
}

fn user_of(place: &Place) -> usize {
    place.who.user().unwrap().as_str().parse().unwrap()
}

fn about(user: usize) -> About {
    About {
        endpoint: "here".into(),
        user: Some(json!(user)),
        params: vec![("room".into(), json!(1))],
        grace: u64::try_from(GRACE.as_millis()).unwrap(),
    }
}

impl World {
    fn new(nodes: usize) -> Self {
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

    fn add(&mut self, node: usize) {
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

    fn start(&mut self, node: usize) {
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

    fn kill(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        at.fleet = None;
        at.sockets = [0; USERS];
        at.telling.clear();
        at.unsent.clear();
        at.frozen = 0;
    }

    /// A graceful end: everybody leaves, and it says goodbye.
    fn stop(&mut self, node: usize) {
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

    fn enter(&mut self, node: usize, user: usize) {
        let at = &mut self.nodes[node];
        if let Some(fleet) = &mut at.fleet {
            at.sockets[user] += 1;
            assert_ne!(fleet.enter(&place(user), &about(user), node), Came::Full);
        }
    }

    fn leave(&mut self, node: usize, user: usize) {
        let at = &mut self.nodes[node];
        if let Some(fleet) = at.fleet.as_mut().filter(|_| at.sockets[user] > 0) {
            at.sockets[user] -= 1;
            let last = fleet.leave(&place(user), node, GRACE);
            assert_eq!(last.is_some(), at.sockets[user] == 0);
        }
    }

    /// Each node reads what is there, does what it has to, and appends.
    fn step(&mut self) {
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

    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.step();
        }
    }

    fn online(&self, node: usize) -> Vec<u64> {
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

    fn turns(&self, user: usize) -> Vec<Turn> {
        let told = self.told.get(&user).into_iter().flatten();
        told.map(|(turn, ..)| *turn).collect()
    }

    fn here(&self, user: usize) -> bool {
        self.nodes.iter().any(|node| node.sockets[user] > 0)
    }
}

use Turn::{Offline, Online};

/// Two nodes that know each other.
fn two() -> World {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    world.add(1);
    world.pass(Duration::from_millis(300));
    for node in &world.nodes {
        assert!(node.fleet.as_ref().unwrap().is_synced());
    }
    world
}

#[test]
fn a_member_on_two_nodes_is_told_once_and_moves_without_being_told() {
    let mut world = two();
    world.enter(0, 1);
    assert_eq!(world.online(0), [1], "whoever comes is in its own list");
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.turns(1), [Online]);
    assert_eq!((world.online(0), world.online(1)), (vec![1], vec![1]));
    world.leave(0, 1);
    world.pass(GRACE * 2);
    world.leave(1, 1);
    world.pass(GRACE / 2);
    world.enter(0, 1);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(1), [Online]);
    world.leave(0, 1);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(1), [Online, Offline]);
    assert_eq!((world.online(0), world.online(1)), (vec![], vec![]));
    for node in &world.nodes {
        let fleet = node.fleet.as_ref().unwrap();
        assert_eq!(fleet.ledger.records().count(), 0);
        assert!(fleet.is_done() && fleet.local.is_empty());
    }
}

#[test]
fn a_newcomer_knows_who_is_online_and_the_grace_of_who_left_goes_on() {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    world.enter(0, 1);
    world.enter(0, 2);
    world.pass(Duration::from_secs(1));
    world.leave(0, 2);
    world.pass(GRACE / 2);
    world.add(1);
    world.pass(Duration::from_millis(300));
    assert_eq!(world.online(1), [1, 2]);
    world.enter(1, 2);
    world.pass(GRACE * 2);
    assert_eq!(world.turns(2), [Online]);
}

#[test]
fn a_node_that_dies_takes_its_members_offline_once_but_for_those_who_came_elsewhere() {
    let mut world = two();
    for user in 0..3 {
        world.enter(1, user);
    }
    world.enter(0, 0);
    world.pass(Duration::from_secs(1));
    world.kill(1);
    world.pass(DEAD / 2);
    world.enter(0, 1);
    world.pass(DEAD / 2 - STEP * 2);
    assert_eq!(world.online(0), [0, 1, 2]);
    world.pass(GRACE + Duration::from_secs(1));
    assert_eq!(world.online(0), [0, 1]);
    world.pass(DEAD * 2);
    assert_eq!(world.turns(0), [Online]);
    assert_eq!(world.turns(1), [Online]);
    assert_eq!(world.turns(2), [Online, Offline]);
}

#[test]
fn a_graceful_end_hands_over_at_once() {
    let mut world = two();
    world.enter(1, 1);
    world.enter(1, 2);
    world.pass(Duration::from_secs(1));
    world.stop(1);
    world.pass(GRACE / 2);
    world.enter(0, 1);
    world.pass(GRACE);
    assert_eq!(world.turns(1), [Online]);
    assert_eq!(world.turns(2), [Online, Offline]);
    assert_eq!(world.nodes[0].fleet.as_ref().unwrap().node_count(), 1);
}

#[test]
fn a_node_that_was_paused_comes_anew_with_all_who_are_still_there() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    world.nodes[1].frozen = 20 * 30;
    world.pass(Duration::from_secs(20));
    assert_eq!(
        (world.turns(1), world.online(0)),
        (vec![Online, Offline], vec![])
    );
    world.pass(Duration::from_secs(12));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
    assert_eq!((world.online(0), world.online(1)), (vec![1], vec![1]));
    assert_eq!(world.nodes[1].fleet.as_ref().unwrap().me().1, 1);
    // A short pause is not noticed.
    world.nodes[1].frozen = 20 * 8;
    world.pass(Duration::from_secs(30));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
}

#[test]
fn nobody_is_gone_because_the_feed_stood_still() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    for away in [100, 300, 1000] {
        world.away = away;
        world.pass(STEP * away + Duration::from_secs(15));
        assert_eq!(world.turns(1), [Online]);
        assert_eq!(world.nodes[0].fleet.as_ref().unwrap().node_count(), 2);
    }
}

#[test]
fn a_feed_that_lost_everything_tells_nothing_twice() {
    let mut world = two();
    world.enter(0, 0);
    world.enter(1, 1);
    world.enter(1, 2);
    world.pass(Duration::from_secs(1));
    world.leave(1, 2);
    world.pass(GRACE / 2);
    for node in &mut world.nodes {
        node.fleet.as_mut().unwrap().lost("another epoch");
        node.unsent.clear();
        node.cursor = world.log.len();
    }
    assert_eq!(
        world.online(0),
        [0, 1, 2],
        "what was known is shown meanwhile"
    );
    world.pass(Duration::from_secs(10));
    assert_eq!((world.online(0), world.online(1)), (vec![0, 1], vec![0, 1]));
    assert_eq!(
        (world.turns(0), world.turns(1)),
        (vec![Online], vec![Online])
    );
    assert_eq!(world.turns(2), [Online, Offline]);
}

#[test]
fn who_missed_that_it_was_declared_gone_believes_the_others() {
    let mut world = two();
    world.enter(1, 1);
    world.pass(Duration::from_secs(1));
    world.nodes[1].fleet.as_mut().unwrap().lost("a gap");
    world.nodes[1].frozen = 20 * 20;
    world.pass(Duration::from_secs(15));
    assert_eq!(world.turns(1), [Online, Offline]);
    world.nodes[1].cursor = world.log.len();
    world.pass(Duration::from_secs(15));
    assert_eq!(world.turns(1), [Online, Offline, Online]);
}

#[test]
fn a_storm_of_reconnects_is_a_few_facts_of_bounded_length() {
    let mut world = two();
    let before = world.log.len();
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    for user in 0..2000 {
        fleet.enter(&place(user), &about(user), 0);
        fleet.leave(&place(user), 0, GRACE);
        fleet.enter(&place(user), &about(user), 0);
    }
    world.step();
    let facts = &world.log[before..];
    assert!(
        (2000 / MAX_CHANGES..30).contains(&facts.len()),
        "{}",
        facts.len()
    );
    for fact in facts {
        assert!(fact.event().data.get().len() < 64 * 1024);
    }
    let huge = About {
        user: Some(json!("x".repeat(5000))),
        ..about(1)
    };
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    assert_eq!(fleet.enter(&place(9999), &huge, 0), Came::Full);
}

#[test]
fn a_large_roll_travels_in_parts() {
    let mut world = World::new(1);
    world.pass(Duration::from_secs(2));
    let fleet = world.nodes[0].fleet.as_mut().unwrap();
    for user in 0..3000 {
        fleet.enter(&place(user), &about(user), 0);
    }
    world.pass(Duration::from_secs(1));
    let fleet = world.nodes[0].fleet.as_ref().unwrap();
    let answer = Answer {
        from: fleet.me,
        to: NodeId(9, 0),
        at: Offset(0, 7),
        ledger: fleet.ledger.clone(),
    };
    let facts = answer.facts();
    assert!(facts.len() > 3);
    let mut parts = snapshot::Parts::default();
    let mut whole = None;
    for said in &facts {
        assert!(said.event().data.get().len() < 64 * 1024);
        let said = Said::of(&said.event()).unwrap().unwrap();
        let Fact::Roll(roll) = &said.fact else {
            panic!()
        };
        assert!(whole.is_none());
        whole = parts.take(said.node, roll);
    }
    assert_eq!(whole, Some((Offset(0, 7), answer.ledger)));
}

#[derive(Clone, Debug)]
enum Happening {
    Enter(usize, usize),
    Leave(usize, usize),
    Pass(u32),
    Kill(usize),
    Stop(usize),
    Start(usize),
    Freeze(usize, u32),
    Lose(usize),
    Away(u32),
}

fn calm() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..3_usize, 0..USERS).prop_map(|(node, user)| Happening::Enter(node, user)),
        4 => (0..3_usize, 0..USERS).prop_map(|(node, user)| Happening::Leave(node, user)),
        4 => (0..60_u32).prop_map(Happening::Pass),
        1 => (0..100_u32).prop_map(Happening::Away),
    ]
}

/// The first node lives through all.
fn wild() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => calm(),
        1 => (1..3_usize).prop_map(Happening::Kill),
        1 => (1..3_usize).prop_map(Happening::Stop),
        2 => (1..3_usize).prop_map(Happening::Start),
        1 => (1..3_usize, 0..400_u32).prop_map(|(node, steps)| Happening::Freeze(node, steps)),
        1 => (1..3_usize).prop_map(Happening::Lose),
    ]
}

fn happen(world: &mut World, what: &Happening) {
    match *what {
        Happening::Enter(node, user) => world.enter(node, user),
        Happening::Leave(node, user) => world.leave(node, user),
        Happening::Pass(steps) => world.pass(STEP * steps),
        Happening::Kill(node) => world.kill(node),
        Happening::Stop(node) => world.stop(node),
        Happening::Start(node) => world.start(node),
        Happening::Freeze(node, steps) => world.nodes[node].frozen = steps,
        Happening::Away(steps) => world.away = steps,
        Happening::Lose(node) => {
            let (at, end) = (&mut world.nodes[node], world.log.len());
            if let Some(fleet) = &mut at.fleet {
                fleet.lost("a gap");
                at.cursor = end;
            }
        }
    }
}

/// In the end all agree on who is there.
fn ends_well(world: &mut World) {
    world.pass(Duration::from_secs(60));
    let here: Vec<_> = (0..USERS).filter(|user| world.here(*user)).collect();
    for node in 0..world.nodes.len() {
        let Some(fleet) = &world.nodes[node].fleet else {
            continue;
        };
        assert!(fleet.is_synced(), "{node}");
        let online = world.online(node);
        assert!(
            online
                .iter()
                .map(|user| *user as usize)
                .eq(here.iter().copied()),
            "{online:?} {here:?}"
        );
        assert_eq!(fleet.ledger.records().count(), here.len());
        assert_eq!(fleet.local.unseen(&"online".into()).count(), 0);
    }
    for user in 0..USERS {
        let last = world.turns(user).last().copied();
        assert_eq!(
            last == Some(Online),
            world.here(user),
            "{user}: {:?}",
            world.turns(user)
        );
    }
}

/// What the properties found once.
#[test]
fn what_was_found_stays_repaired() {
    use Happening::{Away, Enter, Freeze, Leave, Lose, Pass, Stop};
    let found = [
        vec![
            Away(42),
            Enter(0, 1),
            Enter(2, 0),
            Pass(1),
            Enter(0, 0),
            Stop(2),
        ],
        vec![
            Enter(2, 1),
            Pass(2),
            Enter(2, 0),
            Enter(0, 0),
            Freeze(2, 243),
            Leave(0, 0),
            Lose(2),
        ],
    ];
    for all in found {
        let mut world = World::new(3);
        world.pass(Duration::from_secs(3));
        for what in &all {
            happen(&mut world, what);
        }
        ends_well(&mut world);
    }
}

/// A world is some thousand steps: fewer of them than usual, unless one asks for more.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig::with_cases(cases)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_clients_do_transitions_alternate_and_are_told_once(
        all in proptest::collection::vec(calm(), 0..60)
    ) {
        let mut world = World::new(3);
        for what in &all {
            happen(&mut world, what);
        }
        ends_well(&mut world);
        for user in 0..USERS {
            let turns = world.turns(user);
            let alternate = [Online, Offline].into_iter().cycle().take(turns.len());
            assert!(turns.iter().copied().eq(alternate), "{turns:?}");
        }
    }

    #[test]
    fn whatever_nodes_do_all_agree_and_nothing_is_told_again_unless_a_node_was_gone(
        all in proptest::collection::vec(wild(), 0..80)
    ) {
        let mut world = World::new(3);
        world.pass(Duration::from_secs(3));
        for what in &all {
            happen(&mut world, what);
        }
        ends_well(&mut world);
        for user in 0..USERS {
            let told = world.told.get(&user).cloned().unwrap_or_default();
            for pair in told.windows(2) {
                // Somebody who was to tell something between the two, or was telling it.
                let between = &world.log[pair[0].2..pair[1].2];
                let was_gone = between.iter().any(|said| match &said.fact {
                    Fact::Gone(_) => true,
                    Fact::Hello(..) => said.node.1 > 0,
                    _ => false,
                });
                assert!(pair[0].0 != pair[1].0 || was_gone, "{told:?}");
            }
        }
    }
}
