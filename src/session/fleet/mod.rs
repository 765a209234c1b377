//! Who is online on all nodes that share a feed: runs [`presence::fleet`](crate::presence::fleet)
//! on the feed. One task reads what the nodes say, in the feed's order (`hear`), does what
//! follows (`act`), and appends what this one has to say, a batch every 50 milliseconds
//! (`say`). Where the feed is not shared none of it runs.

mod act;
mod hear;
mod room;
mod say;
mod sit;

use std::{future::pending, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Sessions;

pub use room::Room;

use hear::Read;

/// How often there is something to say.
const TICK: Duration = Duration::from_millis(50);
/// How long, once everybody has left, the end waits for the others to know it.
const FAREWELL: Duration = Duration::from_secs(5);

impl Sessions {
    /// Takes part in what the nodes of a shared feed tell each other, until it is told to
    /// stop; then it says goodbye. Where the feed is not shared it ends at once.
    pub async fn run_fleet(self: Arc<Self>, stop: CancellationToken) {
        let Some(room) = &self.fleet else { return };
        self.tracker.spawn(self.clone().see_out());
        if stop.run_until_cancelled(self.feed.opened()).await.is_none() {
            return;
        }
        let head = self.feed.head();
        let mut read = Read {
            epoch: head.epoch,
            cursor: head.offset,
        };
        let mut heads = self.feed.watch();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut appending: Option<BoxFuture<'static, ()>> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = finished(&mut appending) => appending = None,
                changed = heads.changed() => match changed {
                    Ok(()) => self.read_facts(room, &mut read),
                    Err(_) => return,
                },
                _ = tick.tick() => {
                    let hurry = self.stop.is_cancelled() && room.lock().is_alone();
                    room.lock().tick(Instant::now(), hurry);
                    if appending.is_none() {
                        appending = self.next_facts(room);
                    }
                }
            }
        }
        finished_if_any(appending).await;
        room.lock().bye();
        finished_if_any(self.next_facts(room)).await;
    }

    /// Holds up the end of the process until the others know that all have left; where
    /// there are none, until that has been told.
    async fn see_out(self: Arc<Self>) {
        self.stop.cancelled().await;
        let mut until = None;
        while let Some(room) = &self.fleet {
            let (done, empty) = {
                let fleet = room.lock();
                (fleet.is_done(), fleet.is_empty())
            };
            if empty && until.is_none() {
                until = Some(Instant::now() + FAREWELL);
            }
            if done || until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            sleep(TICK).await;
        }
    }
}

async fn finished(appending: &mut Option<BoxFuture<'static, ()>>) {
    match appending {
        Some(appending) => appending.await,
        None => pending().await,
    }
}

async fn finished_if_any(appending: Option<BoxFuture<'static, ()>>) {
    if let Some(appending) = appending {
        appending.await;
    }
}
