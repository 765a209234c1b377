//! Random histories, cut at random places, against a model: a client that comes back
//! with its last position hears each event that is for it once and in order.

use super::{Modern, endpoint};
use crate::harness::Stage;

/// Histories that are played, unless `OUTRIGGER_SEEDS` says how many.
const SEEDS: u64 = 4;
/// What happens in each.
const STEPS: u64 = 60;

/// Numbers that a seed leads to (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        let (by, and) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(by).wrapping_add(and);
        (self.0 >> 33) % bound
    }
}

/// A client, all that is for it, and how much of that it has heard.
struct Played {
    user: u64,
    client: Modern,
    is_for: Vec<u64>,
    heard: usize,
}

impl Played {
    async fn hear(&mut self, count: usize) {
        let numbers = &self.is_for[self.heard..self.heard + count];
        self.client.hears(numbers.iter().copied()).await;
        self.heard += count;
    }

    fn waits(&self) -> usize {
        self.is_for.len() - self.heard
    }
}

async fn play(stage: &Stage, seed: u64) {
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let mut clients = Vec::new();
    // Two tabs of one user, and another user.
    for user in [1, 1, 2] {
        let client = Modern::new(stage, user).await;
        let (is_for, heard) = (Vec::new(), 0);
        clients.push(Played {
            user,
            client,
            is_for,
            heard,
        });
    }
    let mut published = 0;
    for _ in 0..STEPS {
        let at = usize::try_from(chance.below(3)).unwrap();
        match chance.below(4) {
            0 | 1 => {
                let count = 1 + chance.below(40);
                let user = 1 + chance.below(4);
                let numbers = published..published + count;
                published += count;
                let topic = match user {
                    4 => "news".to_owned(),
                    user => format!("user_{user}"),
                };
                stage.tell_many(&topic, "news", numbers.clone()).await;
                for played in &mut clients {
                    if user == 4 || user == played.user {
                        played.is_for.extend(numbers.clone());
                    }
                }
            }
            2 => {
                let waits = u64::try_from(clients[at].waits()).unwrap();
                let count = usize::try_from(chance.below(waits + 1)).unwrap();
                clients[at].hear(count).await;
            }
            _ => {
                let mut played = clients.swap_remove(at);
                let since = played.client.cut();
                played.client = Modern::at(stage, played.user, &since).await;
                clients.push(played);
            }
        }
    }
    for mut played in clients {
        let waits = played.waits();
        played.hear(waits).await;
        assert!(played.client.socket.is_silent().await);
    }
}

#[tokio::test]
async fn whatever_is_cut_each_event_is_heard_once_and_in_order() {
    let few = "[endpoint.limits]\noutbox_frames = 8\n";
    let stage = Stage::new(&endpoint(few)).await;
    let seeds = std::env::var("OUTRIGGER_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        play(&stage, seed).await;
    }
}
