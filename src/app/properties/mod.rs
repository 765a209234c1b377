//! The whole process against a shadow model: the feed, the hub, sessions and clients
//! in one thread, with clocks that stand still until everybody waits. Readers are
//! slow, are cut and come back; the config changes; the process ends and begins again.
//!
//! Everything random follows from a seed: `SEED=17` plays one again, `SEEDS=10000`
//! plays so many.

mod client;
mod dice;
mod frames;
mod model;
mod world;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::value::RawValue;
use tokio::{
    runtime::Builder,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    client::{Client, Here},
    dice::Dice,
    model::{Fate, Listener, Model, Rules, Said, place},
    world::{USERS, World, config_of},
};
use crate::{
    event::{Event, Except, Kind},
    feed::{Appended, Feed},
};

/// Seeds that are played when nobody names any.
const FEW: u64 = 100;
const ROOMS: u64 = 3;
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
    println!(
        "{count} seeds, {} events, {} deliveries, {} told that history is lost",
        totals.events, totals.deliveries, totals.told_lost
    );
    assert!(totals.faults.is_empty(), "{}", totals.faults.join("\n"));
}

/// What came of all seeds.
#[derive(Debug, Default)]
struct Totals {
    events: usize,
    deliveries: usize,
    told_lost: usize,
    faults: Vec<String>,
}

/// What a seed stands for.
#[derive(Debug)]
struct Plan {
    lives: u64,
    clients: u64,
    max_events: u64,
    outbox_frames: u64,
    heartbeat: u64,
}

impl Plan {
    fn rolled(dice: &mut Dice) -> Self {
        Self {
            lives: dice.within(1..4),
            clients: dice.within(2..USERS),
            max_events: [64, 200, 5000][dice.index(3)],
            outbox_frames: dice.within(1..12),
            heartbeat: dice.within(100..5000),
        }
    }

    fn config(&self, rules: Rules) -> String {
        let Rules {
            version,
            extra,
            other,
        } = rules;
        let extra = if extra { ", \"extra\"" } else { "" };
        let frame =
            format!("{{ v = {version}, n = \"{{data.n}}\", filling = \"{{data.filling}}\" }}");
        let other = if other {
            format!("other = {frame}\n")
        } else {
            String::new()
        };
        config_of(&format!(
            "[feed.memory]\nmax_events = {}\n[stop]\nnotice = \"10ms\"\nspread = \"200ms\"\ndeadline = \"5s\"\n\
             [[endpoint]]\nname = \"news\"\npath = \"/ws/{{room}}\"\ntopics = [\"room_{{room}}\"{extra}]\n\
             heartbeat = \"{}ms\"\n[endpoint.limits]\noutbox_frames = {}\n[endpoint.frames]\nitem = {frame}\n{other}",
            self.max_events, self.heartbeat, self.outbox_frames,
        ))
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
            let client = Client::new(Listener { user, room }, dice.another());
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
        };
        let last = life == plan.lives;
        let live = async { timeout(LONG, run.live(dice.another(), last)).await };
        let lived = runtime.unwrap().block_on(live);
        lived.map_err(|_| "nothing moves any more".to_owned())?;
    }
    let model = model.lock().unwrap();
    totals.events += model.said.len();
    for client in &clients {
        let client = client.lock().unwrap();
        for (at, sitting) in client.sittings.iter().enumerate() {
            totals.deliveries += sitting.heard.len();
            let must_after = sitting.high;
            let checked = model.check(client.who, sitting, must_after);
            let remembers = usize::try_from(plan.max_events).unwrap();
            let checked = checked.and_then(|()| model.check_told(sitting, remembers));
            totals.told_lost += usize::from(sitting.closed.as_deref() == Some("history lost"));
            checked.map_err(|fault| format!("{:?}, socket {at}: {fault}", client.who))?;
        }
    }
    Ok(())
}

/// One life of the process in a run.
struct Run<'a> {
    plan: &'a Plan,
    clients: &'a [Arc<Mutex<Client>>],
    model: &'a Arc<Mutex<Model>>,
    rules: &'a mut Rules,
}

impl Run<'_> {
    async fn live(&mut self, mut dice: Dice, last: bool) {
        let world = World::begin(&self.plan.config(*self.rules));
        self.model
            .lock()
            .unwrap()
            .rule(place(world.feed.head()), *self.rules);
        let (end, ending) = watch::channel(false);
        let mut attending = JoinSet::new();
        for client in self.clients {
            let here = Here {
                world: world.clone(),
                model: self.model.clone(),
                ending: ending.clone(),
            };
            attending.spawn(client::live(client.clone(), here));
        }
        let mut speaking = JoinSet::new();
        for _ in 0..dice.within(1..3) {
            let speaker = Speaker {
                model: self.model.clone(),
                feed: world.feed.clone(),
                clients: self.plan.clients,
            };
            speaking.spawn(speaker.speak(dice.another()));
        }
        let patience = dice.millis(50..3000);
        tokio::select! {
            _ = async { while speaking.join_next().await.is_some() {} } => {}
            () = self.reload_now_and_then(&world, dice.another()) => {}
            () = sleep(patience), if !last => {}
        }
        if last {
            while speaking.join_next().await.is_some() {}
            end.send_replace(true);
            self.say_the_end(&world, attending).await;
        } else if dice.percent(50) {
            world.stop().await;
        }
    }

    async fn reload_now_and_then(&mut self, world: &World, mut dice: Dice) {
        loop {
            sleep(dice.millis(20..1500)).await;
            self.rules.version += 1;
            self.rules.extra = dice.percent(70);
            self.rules.other = dice.percent(70);
            let since = place(world.feed.head());
            world.reload(&self.plan.config(*self.rules));
            self.model.lock().unwrap().rule(since, *self.rules);
        }
    }

    /// Until everybody has heard it.
    async fn say_the_end(&self, world: &World, mut attending: JoinSet<()>) {
        let speaker = Speaker {
            model: self.model.clone(),
            feed: world.feed.clone(),
            clients: self.plan.clients,
        };
        loop {
            let the_end = Said {
                rooms: (0..ROOMS).collect(),
                last: true,
                ..Said::default()
            };
            speaker.say(vec![(the_end, 0)]).await;
            let everybody = async { while attending.join_next().await.is_some() {} };
            if timeout(Duration::from_millis(300), everybody).await.is_ok() {
                return;
            }
        }
    }
}

/// Who publishes.
struct Speaker {
    model: Arc<Mutex<Model>>,
    feed: Arc<Feed>,
    clients: u64,
}

impl Speaker {
    async fn speak(self, mut dice: Dice) {
        for _ in 0..dice.within(5..20) {
            let burst = if dice.percent(15) { 40 } else { 5 };
            let batch = (0..dice.within(1..burst)).map(|_| self.rolled(&mut dice));
            self.say(batch.collect()).await;
            sleep(dice.millis(0..120)).await;
        }
    }

    fn rolled(&self, dice: &mut Dice) -> (Said, usize) {
        let mut said = Said {
            other: dice.percent(20),
            ephemeral: dice.percent(10),
            ..Said::default()
        };
        match dice.within(0..10) {
            0 => said.users = vec![dice.within(0..self.clients)],
            1 => said.extra = true,
            2 => said.rooms = (0..ROOMS).collect(),
            _ => said.rooms = vec![dice.within(0..ROOMS)],
        }
        said.extra |= !said.rooms.is_empty() && dice.percent(20);
        if dice.percent(10) {
            said.users = (0..self.clients).filter(|_| dice.percent(50)).collect();
        }
        if dice.percent(10) {
            said.except = vec![dice.within(0..self.clients)];
        }
        if said.rooms.is_empty() && !said.extra && said.users.is_empty() {
            said.users = vec![0];
        }
        (said, dice.index(120))
    }

    async fn say(&self, batch: Vec<(Said, usize)>) {
        let (mut events, count) = (Vec::new(), batch.len());
        let first = {
            let mut model = self.model.lock().unwrap();
            let first = model.said.len();
            for (at, (said, filling)) in batch.into_iter().enumerate() {
                events.push(event(first + at, &said, filling));
                model.said.push(said);
            }
            first
        };
        let appended = self.feed.append(events).await;
        let mut model = self.model.lock().unwrap();
        let fates: Vec<_> = match appended {
            Ok(appended) => appended.into_iter().map(fate).collect(),
            Err(_) => vec![Fate::Refused; count],
        };
        for (said, fate) in model.said[first..].iter_mut().zip(fates) {
            said.fate = fate;
        }
    }
}

fn fate(appended: Appended) -> Fate {
    match appended {
        Appended::Accepted(position) => Fate::At(place(position)),
        Appended::Duplicate(position) => panic!("a new id stands at {position}"),
    }
}

fn event(n: usize, said: &Said, filling: usize) -> Event {
    let rooms = said.rooms.iter().map(|room| format!("room_{room}"));
    let topics = rooms.chain(said.extra.then(|| "extra".to_owned()));
    let user = |user: &u64| user.to_string().into();
    let data = serde_json::json!({ "n": n, "filling": "x".repeat(filling) });
    Event {
        id: format!("e{n}").into(),
        kind: Kind::from(if said.other { "other" } else { "item" }),
        topics: topics.map(Into::into).collect(),
        users: said.users.iter().map(user).collect(),
        except: Except {
            users: said.except.iter().map(user).collect(),
            ..Except::default()
        },
        data: RawValue::from_string(data.to_string()).unwrap(),
        ephemeral: said.ephemeral,
    }
}
