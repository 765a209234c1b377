//! Who publishes, and notes for the model what became of it.

use std::sync::{Arc, Mutex, mpsc};

use serde_json::value::RawValue;
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    dice::Dice,
    model::{Fate, Model, Said, place},
    plan::ROOMS,
};
use crate::{
    event::{Event, Except, Kind},
    feed::{Appended, Feed},
};

/// Who publishes.
pub(super) struct Speaker {
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) feed: Arc<Feed>,
    pub(super) clients: u64,
}

impl Speaker {
    pub(super) async fn speak(self, mut dice: Dice) {
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

    pub(super) async fn say(&self, batch: Vec<(Said, usize)>) {
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
        let appended = waiting_for_a_thread(self.feed.append(events)).await;
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

/// Meanwhile the clock stands still, though everybody waits.
async fn waiting_for_a_thread<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let waits = spawn_blocking(move || wait.recv().unwrap_or_default());
    let result = work.await;
    drop(done);
    waits.await.unwrap();
    result
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
