//! Real apps and Outrigger in front of them say the same. Each scenario is
//! played to the app itself, then through Outrigger on the app leg and on the
//! feed leg, every time with fresh data; what the clients saw must be equal,
//! frame by frame and byte by byte.
//!
//! Three things are not compared: the wall clock inside frames (times are
//! masked here, and compared in `the_same_event_has_the_same_bytes_on_both_legs`),
//! and of a refusal or of a 101 all but the status and the subprotocol (servers
//! differ in reason phrase, `Date` and `Server`, and no browser shows them).
//! Everything else that differs on purpose is in the list `DIFFERENCES` of
//! each module, with the reason and with what is expected instead.

mod channel_layer;
mod chat;
mod django;
mod fastapi;
mod stage;

use std::collections::HashMap;

pub(crate) use stage::masked;
pub(crate) use stage::{Stage, Tab, start_outrigger};
use stage::{forged, forged_with, in_seconds};

use crate::harness::apps::{App, Example, Layer, Place, Server, Setting};

/// The way from the clients to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// Outrigger is not there.
    Direct,
    /// Outrigger relays.
    AppLeg,
    /// Outrigger serves what the app posts to its webhook.
    FeedLeg,
    /// Outrigger serves what it reads from the app's channel layer.
    ChannelLayer,
    /// Outrigger serves what it sees in HTTP exchanges; the app does not know of it.
    Exchange,
}

/// Which app is played with, and on what it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) example: Example,
    pub(crate) server: Server,
    pub(crate) layer: Option<Layer>,
}

impl Cast {
    /// As the example's own page says, without Redis.
    fn of(example: Example) -> Self {
        Self {
            example,
            server: Server::Daphne,
            layer: None,
        }
    }
}

/// A scenario in which a way is allowed to differ from the app itself.
pub(crate) struct Difference {
    scenario: &'static str,
    ways: &'static [Way],
    instead: &'static [&'static str],
    why: &'static str,
}

impl Difference {
    fn instead_of(&self, direct: &[String]) -> Transcript {
        let instead: Transcript = self.instead.iter().map(|line| (*line).into()).collect();
        let Self { scenario, why, .. } = self;
        assert_ne!(instead, *direct, "{scenario} differs no more ({why})");
        instead
    }
}

const FEED: &[Way] = &[Way::FeedLeg, Way::ChannelLayer];

/// A play for one or more clients.
pub(crate) type Scenario = fn(&Stage);

/// What was seen, line by line.
type Transcript = Vec<String>;

/// All scenarios of an example, on all ways.
pub(crate) struct Played(HashMap<(&'static str, Way), Transcript>);

/// A scenario's name and what is done in it.
pub(crate) type Named = (&'static str, Scenario);

/// Declares the scenarios of an example: played together once, in this order,
/// compared by one test each.
macro_rules! scenarios {
    ($example:expr, $ways:expr; $($name:ident)*) => {
        pub(crate) const SCENARIOS: &[super::Named] =
            &[$((stringify!($name), $name as super::Scenario)),*];

        static PLAYED: std::sync::LazyLock<super::Played> = std::sync::LazyLock::new(|| {
            super::Played::play(super::Cast::of($example), $ways, SCENARIOS)
        });

        mod every_leg {
            $(#[test]
            fn $name() {
                super::PLAYED.assert_equal(stringify!($name), super::WAYS, super::DIFFERENCES);
            })*
        }
    };
}
use scenarios;

impl Played {
    pub(crate) fn play(cast: Cast, ways: &[Way], plays: &[Named]) -> Self {
        let on_one_way = |way: Way| {
            let stage = Stage::build(cast, way);
            let seen = plays
                .iter()
                .map(|(name, play)| ((*name, way), stage.perform(*play)));
            seen.collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let playing = ways.iter().map(|way| scope.spawn(move || on_one_way(*way)));
            let playing: Vec<_> = playing.collect();
            let played = playing
                .into_iter()
                .flat_map(|one| one.join().expect("a stage"));
            Self(played.collect())
        })
    }

    fn assert_equal(&self, scenario: &'static str, ways: &[Way], differences: &[Difference]) {
        for way in ways {
            if let Some(report) = self.difference(scenario, *way, differences) {
                panic!("{report}");
            }
        }
    }

    /// How a way differs from the app itself, if it does and should not.
    pub(crate) fn difference(
        &self,
        scenario: &'static str,
        way: Way,
        differences: &[Difference],
    ) -> Option<String> {
        let direct = self.seen(scenario, Way::Direct);
        assert!(!direct.is_empty(), "nothing was seen");
        let broken = direct.iter().find(|line| line.starts_with("broke off"));
        assert_eq!(broken, None, "{scenario}, directly: {direct:#?}");
        let differs = |one: &&Difference| one.scenario == scenario && one.ways.contains(&way);
        let expected = match differences.iter().find(differs) {
            Some(difference) => difference.instead_of(direct),
            None => direct.to_vec(),
        };
        let seen = self.seen(scenario, way);
        let report = || {
            let lines = side_by_side(&expected, seen);
            format!("{scenario}: {way:?} differs:\n{lines}")
        };
        (*seen != expected).then(report)
    }

    pub(crate) fn seen(&self, scenario: &'static str, way: Way) -> &[String] {
        &self.0[&(scenario, way)]
    }
}

fn side_by_side(expected: &[String], seen: &[String]) -> String {
    let lines =
        (0..expected.len().max(seen.len())).map(|at| match (expected.get(at), seen.get(at)) {
            (Some(expected), Some(seen)) if expected == seen => format!("    {expected}\n"),
            (expected, seen) => {
                let line = |mark, text: Option<&String>| {
                    text.map(|text| format!("{mark} {text}\n"))
                        .unwrap_or_default()
                };
                line("expected", expected) + &line("seen    ", seen)
            }
        });
    lines.collect()
}

/// One event is heard by a socket that goes to the app itself and by one that
/// goes through Outrigger, with the same bytes: the time in it too.
fn assert_same_bytes(example: Example, path: &str, act: fn(&Stage)) {
    for way in [Way::AppLeg, Way::FeedLeg] {
        let stage = Stage::build(Cast::of(example), way);
        let mut direct = stage.open_at(&stage.app.door(), "jose", path);
        let mut through = stage.open("jose", path);
        act(&stage);
        let heard = direct.socket.hear();
        assert_ne!(heard, masked(&heard), "a time was expected");
        assert_eq!(heard, through.socket.hear(), "{way:?}");
    }
}

/// Where nobody listens: the app goes on, and says so in its log.
fn assert_it_does_without(example: Example, path: &str, act: fn(&Stage)) {
    let nobody = Some("http://127.0.0.1:1".into());
    let setting = Setting {
        webhook: nobody,
        ..Setting::plain(example)
    };
    let app = App::start(Place::new(), setting);
    let stage = Stage::around(app);
    let mut tab = stage.open("jose", path);
    act(&stage);
    tab.hears(1);
    let log = stage.app.log();
    assert!(log.contains("Event not published"), "{log}");
}
