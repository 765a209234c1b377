//! One life of the process in a run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    client::{self, Client, Here},
    dice::Dice,
    model::{Model, Rules, Said, place},
    plan::{Plan, ROOMS},
    speaker::Speaker,
    world::World,
};

/// What there is in it.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) clients: &'a [Arc<Mutex<Client>>],
    pub(super) model: &'a Arc<Mutex<Model>>,
    pub(super) rules: &'a mut Rules,
    pub(super) falls_behind: &'a mut u64,
}

impl Run<'_> {
    pub(super) async fn live(&mut self, life: u64, mut dice: Dice) {
        let last = life == self.plan.lives;
        let world = World::begin(&self.plan.config(*self.rules));
        self.model
            .lock()
            .unwrap()
            .rule(place(world.feed.head()), *self.rules);
        let (end, ending) = watch::channel(false);
        let mut attending = JoinSet::new();
        for client in self.clients {
            let here = Here {
                life,
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
        let killed = !last && dice.percent(50);
        if last {
            while speaking.join_next().await.is_some() {}
            end.send_replace(true);
            self.say_the_end(&world, attending).await;
        } else if !killed {
            world.stop().await;
        }
        *self.falls_behind += world.falls_behind();
        self.model.lock().unwrap().end(killed);
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
