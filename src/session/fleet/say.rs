//! What this node has to say, on its way to the feed.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Duration, sleep, timeout};
use tracing::debug;

use super::{super::Sessions, Room};
use crate::{event::Event, feed::Feed, presence::fleet::Said};

/// One attempt to append.
const APPEND: Duration = Duration::from_secs(5);
/// The pause after one that failed.
const PAUSE: Duration = Duration::from_millis(500);

impl Sessions {
    /// What there is to append, if anything, as the doing of it.
    pub(super) fn next_facts(&self, room: &Room) -> Option<BoxFuture<'static, ()>> {
        let said = room.lock().take();
        let events: VecDeque<_> = match said.is_empty() {
            false => [said.iter().map(Said::event).collect()].into(),
            true => {
                let answer = room.lock().answer()?;
                debug!(to = %answer.to(), "Telling another node what is known here");
                answer
                    .facts()
                    .iter()
                    .map(|said| vec![said.event()])
                    .collect()
            }
        };
        Some(append(self.feed.clone(), events).boxed())
    }
}

/// Appends batch after batch, each until it is taken.
async fn append(feed: Arc<Feed>, mut batches: VecDeque<Vec<Event>>) {
    while let Some(events) = batches.front() {
        match timeout(APPEND, feed.append(events.clone())).await {
            Ok(Ok(_)) => {
                batches.pop_front();
            }
            Ok(Err(error)) => {
                debug!(%error, "What this node has to say waits");
                sleep(PAUSE).await;
            }
            Err(_) => debug!("What this node has to say waits: the feed does not answer"),
        }
    }
}
