//! What the roll promises.

use proptest::prelude::*;
use serde_json::json;
use tokio::time::Duration;

use super::{
    roll::{MAX_ABSENT, MAX_LISTED},
    *,
};

const GRACE: Duration = Duration::from_secs(5);

fn seat(user: u64) -> Seat {
    Seat {
        key: "online".into(),
        member: Member::User(user.to_string().into()),
    }
}

fn enter(presence: &Presence<u64>, user: u64, party: u64) -> Entered {
    let arrival = Arrival {
        user: Some(&json!(user)),
        endpoint: &"here".into(),
        party,
    };
    presence.enter(&seat(user), arrival)
}

fn leave(presence: &Presence<u64>, user: u64, party: u64) -> bool {
    presence.leave(&seat(user), party, Instant::now() + GRACE)
}

fn next(presence: &Presence<u64>, user: u64) -> Next<u64> {
    presence.next(&seat(user), false)
}

fn offline(party: u64) -> Next<u64> {
    let endpoint = "here".into();
    Next::Offline { party, endpoint }
}

fn online(presence: &Presence<u64>) -> Vec<u64> {
    let users = presence.list("online").users;
    users.iter().filter_map(Value::as_u64).collect()
}

/// Somebody who is online, and that has been told.
fn settled() -> Presence<u64> {
    let presence = Presence::default();
    assert_eq!(enter(&presence, 7, 1), Entered::First);
    assert_eq!(next(&presence, 7), Next::Online(1));
    assert_eq!(next(&presence, 7), Next::Done);
    presence
}

#[tokio::test(start_paused = true)]
async fn two_tabs_are_one_online_and_one_offline_after_the_grace() {
    let presence = settled();
    assert_eq!(enter(&presence, 7, 2), Entered::Also);
    assert!(!leave(&presence, 7, 1));
    assert!(leave(&presence, 7, 2));
    let until = Instant::now() + GRACE;
    assert_eq!(next(&presence, 7), Next::Wait(until));
    assert_eq!(online(&presence), [7]);
    tokio::time::advance(GRACE).await;
    assert_eq!(next(&presence, 7), offline(2));
    assert_eq!(online(&presence), [0; 0]);
    assert_eq!(next(&presence, 7), Next::Done);
    assert_eq!(presence.show(9), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn who_is_back_within_the_grace_was_never_away() {
    let presence = settled();
    assert!(leave(&presence, 7, 1));
    tokio::time::advance(GRACE / 2).await;
    assert_eq!(enter(&presence, 7, 2), Entered::Back);
    tokio::time::advance(GRACE).await;
    assert_eq!(next(&presence, 7), Next::Done);
    // Each leaving begins a grace of its own.
    assert!(leave(&presence, 7, 2));
    let until = Instant::now() + GRACE;
    assert_eq!(next(&presence, 7), Next::Wait(until));
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_begins_anew_is_waited_for_to_its_own_end() {
    let presence = settled();
    leave(&presence, 7, 1);
    tokio::time::advance(GRACE / 2).await;
    enter(&presence, 7, 2);
    assert!(!leave(&presence, 7, 2), "somebody waits already");
    tokio::time::advance(GRACE / 2).await;
    let until = Instant::now() + GRACE / 2;
    assert_eq!(next(&presence, 7), Next::Wait(until));
}

#[tokio::test(start_paused = true)]
async fn an_online_waits_until_the_offline_before_it_is_told() {
    let presence = settled();
    leave(&presence, 7, 1);
    tokio::time::advance(GRACE).await;
    assert_eq!(next(&presence, 7), offline(1));
    // The steps take their time, and the user comes and goes meanwhile.
    assert_eq!(enter(&presence, 7, 2), Entered::Waits);
    assert_eq!(online(&presence), [7]);
    assert!(!leave(&presence, 7, 3));
    assert_eq!(enter(&presence, 7, 4), Entered::Back);
    assert!(!leave(&presence, 7, 5));
    tokio::time::advance(GRACE).await;
    assert_eq!(next(&presence, 7), Next::Online(2));
    assert_eq!(next(&presence, 7), offline(5));
    assert_eq!(next(&presence, 7), Next::Done);
}

#[tokio::test(start_paused = true)]
async fn a_visit_that_ends_before_it_is_told_is_told_all_the_same() {
    let presence = Presence::default();
    assert_eq!(enter(&presence, 7, 1), Entered::First);
    assert!(!leave(&presence, 7, 1));
    tokio::time::advance(GRACE).await;
    assert_eq!(next(&presence, 7), Next::Online(1));
    assert_eq!(next(&presence, 7), offline(1));
    assert_eq!(next(&presence, 7), Next::Done);
}

#[tokio::test(start_paused = true)]
async fn a_hurry_ends_every_grace() {
    let presence = settled();
    leave(&presence, 7, 1);
    assert_eq!(presence.next(&seat(7), true), offline(1));
}

#[tokio::test(start_paused = true)]
async fn users_are_listed_as_the_app_writes_them_each_once_and_sockets_are_counted() {
    let presence = Presence::default();
    for (number, user) in [json!(9), json!("a"), json!(9), Value::Null]
        .iter()
        .enumerate()
    {
        let seat = Seat {
            key: "room".into(),
            member: Member::Socket(SessionId(number as u64)),
        };
        let arrival = Arrival {
            user: Some(user).filter(|user| !user.is_null()),
            endpoint: &"here".into(),
            party: (),
        };
        presence.enter(&seat, arrival);
    }
    let listed = presence.list("room");
    assert_eq!(
        (listed.users, listed.is_whole),
        (vec![json!(9), json!("a")], true)
    );
    assert_eq!(presence.count("room"), 4);
    assert_eq!(presence.count("elsewhere"), 0);
    let (keys, shown) = presence.show(1);
    assert_eq!((keys, shown[0].online, shown[0].users.len()), (1, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_list_too_long_is_cut_and_says_so() {
    let presence = Presence::default();
    for user in 0..=MAX_LISTED as u64 {
        enter(&presence, user, 0);
    }
    let listed = presence.list("online");
    assert_eq!((listed.users.len(), listed.is_whole), (MAX_LISTED, false));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_short_visits_ends_at_a_bound() {
    let presence = Presence::default();
    for user in 0..MAX_ABSENT as u64 {
        enter(&presence, user, 0);
        leave(&presence, user, 0);
    }
    let late = MAX_ABSENT as u64;
    assert_eq!(enter(&presence, late, 0), Entered::Full);
    assert_eq!(
        enter(&presence, 0, 0),
        Entered::Back,
        "who is known may return"
    );
    assert_eq!(enter(&presence, late, 0), Entered::First);
}

#[derive(Clone, Debug)]
enum Happening {
    Enter(u64),
    Leave(u64),
    Pass(u64),
    See(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let user = 0..3_u64;
    let one = prop_oneof![
        user.clone().prop_map(Happening::Enter),
        user.clone().prop_map(Happening::Leave),
        (0..7_u64).prop_map(Happening::Pass),
        user.prop_map(Happening::See),
    ];
    proptest::collection::vec(one, 0..80)
}

/// Members with those who see to them, and what they told.
struct World {
    presence: Presence<u64>,
    sockets: [u64; 3],
    seen_to: [bool; 3],
    told: [Vec<&'static str>; 3],
}

impl World {
    fn happen(&mut self, what: &Happening) {
        match *what {
            Happening::Enter(user) => {
                self.sockets[user as usize] += 1;
                if enter(&self.presence, user, 0) == Entered::First {
                    self.begin(user);
                }
            }
            Happening::Leave(user) if self.sockets[user as usize] > 0 => {
                self.sockets[user as usize] -= 1;
                if leave(&self.presence, user, 0) {
                    self.begin(user);
                }
            }
            Happening::See(user) if self.seen_to[user as usize] => self.see(user),
            _ => {}
        }
    }

    fn begin(&mut self, user: u64) {
        let already = std::mem::replace(&mut self.seen_to[user as usize], true);
        assert!(!already, "two see to {user}");
    }

    fn see(&mut self, user: u64) {
        let told = &mut self.told[user as usize];
        match next(&self.presence, user) {
            Next::Online(_) => told.push("online"),
            Next::Offline { .. } => told.push("offline"),
            Next::Wait(_) => {}
            Next::Done => self.seen_to[user as usize] = false,
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_transitions_alternate_and_nothing_stays(all in happenings()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World {
                presence: Presence::default(),
                sockets: [0; 3],
                seen_to: [false; 3],
                told: Default::default(),
            };
            for what in &all {
                if let Happening::Pass(seconds) = what {
                    tokio::time::advance(Duration::from_secs(*seconds)).await;
                }
                world.happen(what);
                let online = online(&world.presence);
                for user in 0..3 {
                    assert!(world.sockets[user as usize] == 0 || online.contains(&user));
                }
            }
            for user in 0..3 {
                while world.sockets[user as usize] > 0 {
                    world.happen(&Happening::Leave(user));
                }
            }
            tokio::time::advance(GRACE).await;
            for user in 0..3 {
                while world.seen_to[user as usize] {
                    world.see(user);
                }
                let told = &world.told[user as usize];
                let alternate = ["online", "offline"].iter().cycle().take(told.len());
                assert!(told.iter().eq(alternate) && told.len().is_multiple_of(2), "{told:?}");
            }
            assert_eq!(world.presence.show(9), (0, Vec::new()));
        });
    }
}
