//! A Django app with no line changed: its own channel layer in Redis is the
//! source. Each scenario is recorded on the app's own consumers, then played
//! with Outrigger in front; the frames must be equal to the byte, for both
//! classes of `channels_redis` and under both servers.

use crate::{
    harness::apps::{Example, Layer, Server},
    parity::{Cast, Named, Played, Way, django},
};

#[test]
fn frames_are_those_of_the_core_layer_under_daphne() {
    assert_equal_to_the_byte(Server::Daphne, Layer::Core);
}

#[test]
fn frames_are_those_of_the_pubsub_layer_under_daphne() {
    assert_equal_to_the_byte(Server::Daphne, Layer::PubSub);
}

#[test]
fn frames_are_those_of_the_core_layer_under_uvicorn() {
    assert_equal_to_the_byte(Server::Uvicorn, Layer::Core);
}

#[test]
fn frames_are_those_of_the_pubsub_layer_under_uvicorn() {
    assert_equal_to_the_byte(Server::Uvicorn, Layer::PubSub);
}

fn assert_equal_to_the_byte(server: Server, layer: Layer) {
    let cast = Cast {
        example: Example::Django,
        server,
        layer: Some(layer),
    };
    let played = Played::play(cast, &[Way::Direct, Way::AppLeg], django::SCENARIOS);
    let differs = |(name, _): &Named| played.difference(name, Way::AppLeg, django::DIFFERENCES);
    let differing: Vec<_> = django::SCENARIOS.iter().filter_map(differs).collect();
    let lines = django::SCENARIOS
        .iter()
        .flat_map(|(name, _)| played.seen(name, Way::Direct));
    let frames = lines.filter(|line| line.contains(" hears text ")).count();
    println!(
        "{server:?}, {}: {} scenarios with {frames} frames, {} differ",
        layer.name(),
        django::SCENARIOS.len(),
        differing.len()
    );
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
