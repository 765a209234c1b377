//! The whole process against a shadow model: the feed, the hub, sessions and clients
//! in one thread, with clocks that stand still until everybody waits. Readers are
//! slow, are cut and come back; the config changes; the process ends and begins again.
//!
//! Everything random follows from a seed: `SEED=17` plays one again, `SEEDS=10000`
//! plays so many. What tokio and hash maps roll themselves is not in it: a rare fault may
//! need a few plays.

mod client;
mod dice;
mod frames;
mod lineage;
mod model;
mod plan;
mod run;
mod speaker;
mod story;
mod world;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{runtime::Builder, time::timeout};

use self::{
    client::{Client, Kind},
    dice::Dice,
    lineage::Count,
    model::{Listener, Model, Rules},
    plan::{Plan, ROOMS},
    run::Run,
};

/// Seeds that are played when nobody names any.
const FEW: u64 = 100;
/// Longer than everything together may take, by the clocks of a run.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn every_client_hears_what_is_for_it_once_and_in_order() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(FEW),
    };
    let count = seeds.end - seeds.start;
    let mut totals = Totals::default();
    for seed in seeds {
        if let Err(fault) = play(seed, &mut totals) {
            totals.faults.push(format!("SEED={seed}: {fault}"));
        }
    }
    println!("{count} seeds, {totals}");
    assert!(totals.faults.is_empty(), "{}", totals.faults.join("\n"));
}

/// What came of all seeds.
#[derive(Debug, Default)]
struct Totals {
    events: usize,
    falls_behind: u64,
    count: Count,
    faults: Vec<String>,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count {
            deliveries,
            told_lost,
            resumes,
            adoptions,
            doubled,
        } = self.count;
        write!(
            f,
            "{} events, {deliveries} deliveries, {resumes} resumes, {adoptions} adoptions, {} falls behind, \
             {told_lost} told that history is lost, {doubled} doubled before they were confirmed; {} faults",
            self.events,
            self.falls_behind,
            self.faults.len()
        )
    }
}

impl Totals {
    fn add(&mut self, count: &Count) {
        let sum = &mut self.count;
        sum.deliveries += count.deliveries;
        sum.told_lost += count.told_lost;
        sum.resumes += count.resumes;
        sum.adoptions += count.adoptions;
        sum.doubled += count.doubled;
    }
}

/// Plays a seed.
fn play(seed: u64, totals: &mut Totals) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let plan = Plan::rolled(&mut dice);
    let model = Arc::new(Mutex::new(Model::default()));
    let clients: Vec<_> = (0..plan.clients)
        .map(|user| {
            let room = dice.within(0..ROOMS);
            let kind = [Kind::Envelope, Kind::Since, Kind::Legacy][dice.index(3)];
            let client = Client::new(Listener { user, room }, kind, dice.another());
            Arc::new(Mutex::new(client))
        })
        .collect();
    let mut rules = Rules {
        version: 1,
        extra: true,
        other: true,
    };
    for life in 1..=plan.lives {
        // The process dies with its runtime: no task of it does another step.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        let mut run = Run {
            plan: &plan,
            clients: &clients,
            model: &model,
            rules: &mut rules,
            falls_behind: &mut totals.falls_behind,
        };
        let dice = dice.another();
        let live = async { timeout(LONG, run.live(life, dice)).await };
        let lived = runtime.unwrap().block_on(live);
        lived.map_err(|_| "nothing moves any more".to_owned())?;
    }
    let model = model.lock().unwrap();
    totals.events += model.said.len();
    for client in &clients {
        let client = client.lock().unwrap();
        let count = client.check(&model, &plan.resume());
        let count =
            count.map_err(|fault| format!("{fault}\n{plan:?}\n{}", client.story(&model)))?;
        totals.add(&count);
    }
    Ok(())
}
