//! Redis, the app and Outrigger are restarted in turn while somebody is told one
//! thing after the other: everything comes back by itself, and what was lost is
//! what Redis itself dropped, or what was said while no socket was open.

mod traffic;

use traffic::Traffic;

use crate::{
    harness::apps::{Example, Layer, Server},
    parity::{Cast, Stage, Way, start_outrigger},
};

#[test]
fn everything_comes_back_to_the_core_layer() {
    let lost = restart_everything(Layer::Core);
    // The queue of the one who is away is kept with the rest.
    assert_eq!(lost[0], 0, "lost by a Redis that kept its data");
}

#[test]
fn everything_comes_back_to_the_pubsub_layer() {
    restart_everything(Layer::PubSub);
}

/// One thing that happens, and what may be lost by it.
struct Phase {
    name: &'static str,
    /// `None`: nothing may be lost.
    to_whom: Option<&'static str>,
    disturb: fn(&mut Stage, &Traffic),
}

const DROPPED_BY_REDIS: Option<&str> = Some("dropped by Redis");
const NOBODY_LISTENED: Option<&str> = Some("said while no socket was open");

const PHASES: &[Phase] = &[
    Phase {
        name: "Redis restarted with its data",
        to_whom: DROPPED_BY_REDIS,
        disturb: |stage, traffic| {
            let redis = stage.redis.as_mut().expect("a Redis");
            stage.runtime.block_on(redis.stop_keeping_its_data());
            traffic.goes_on();
            stage.runtime.block_on(redis.start_again());
        },
    },
    Phase {
        name: "Redis restarted empty",
        to_whom: DROPPED_BY_REDIS,
        disturb: |stage, traffic| {
            let redis = stage.redis.as_mut().expect("a Redis");
            stage.runtime.block_on(redis.stop());
            traffic.goes_on();
            stage.runtime.block_on(redis.start_again());
        },
    },
    Phase {
        name: "the app restarted",
        to_whom: None,
        disturb: |stage, traffic| {
            stage.app.stop();
            traffic.goes_on();
            stage.app.start_again();
        },
    },
    Phase {
        name: "Outrigger replaced by the next",
        to_whom: NOBODY_LISTENED,
        disturb: |stage, traffic| {
            assert_both_restarts_of_redis_are_counted(stage);
            let next = stage.runtime.block_on(start_outrigger(&stage.config));
            traffic.next_goes_to(&next);
            let mut old = stage.front.replace(next).expect("an Outrigger");
            stage.runtime.block_on(async {
                old.signal("TERM").await;
                assert!(old.exit().await.success());
            });
        },
    },
    Phase {
        name: "Outrigger killed and started",
        to_whom: NOBODY_LISTENED,
        disturb: |stage, traffic| {
            let mut old = stage.front.take().expect("an Outrigger");
            stage.runtime.block_on(async {
                old.signal("KILL").await;
                old.exit().await;
            });
            traffic.goes_on();
            let next = stage.runtime.block_on(start_outrigger(&stage.config));
            traffic.next_goes_to(&next);
            stage.front = Some(next);
        },
    },
];

/// How many messages were lost in each phase.
fn restart_everything(layer: Layer) -> Vec<usize> {
    let cast = Cast {
        example: Example::Django,
        server: Server::Daphne,
        layer: Some(layer),
    };
    let mut stage = Stage::build(cast, Way::ChannelLayer);
    let traffic = Traffic::between(&stage);
    let mut play = |phase: &Phase| {
        let begun = traffic.begin();
        (phase.disturb)(&mut stage, &traffic);
        let told = traffic.wait_until_all_is_well(begun);
        let (layer, name) = (layer.name(), phase.name);
        let whose = phase.to_whom.unwrap_or("lost");
        println!("chaos, {layer}, {name}: {told}, {} {whose}", told.lost);
        assert!(phase.to_whom.is_some() || told.lost == 0, "lost: {name}");
        told.lost
    };
    let lost = PHASES.iter().map(&mut play).collect();
    traffic.end();
    lost
}

fn assert_both_restarts_of_redis_are_counted(stage: &Stage) {
    let front = stage.front.as_ref().expect("an Outrigger");
    let (_, text) = stage.runtime.block_on(front.admin("/metrics"));
    let connects = "outrigger_channel_layer_connects_total";
    let visible = |line: &&str| line.starts_with(connects) || line.contains("layer_joins_total{");
    for line in text.lines().filter(visible) {
        println!("chaos, counted: {line}");
    }
    let lost = front.metric("outrigger_channel_layer_connects_total{result=\"lost\"}");
    assert!(stage.runtime.block_on(lost) >= 2.0, "{text}");
}
