//! Whatever clients, nodes and the feed do: all nodes agree in the end, and nothing is told
//! twice.

use proptest::prelude::*;

use super::{
    super::*,
    Offline, Online,
    world::{STEP, USERS, World},
};

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
