//! Exchanges that are over, one after the other: who asked, which events, onto the feed.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::time::sleep;

use super::{Case, Exchanges};
use crate::{
    auth::Identity,
    event::Event,
    feed::{Appended, Unavailable},
    routes::Exchange,
    session::Who,
    source::exchange::{self, Finished, Skipped},
};

/// Exchanges that may wait, and the bytes of their heads and bodies.
const MAX_WAITING: usize = 4096;
const MAX_BYTES: usize = 32 << 20;
/// Of so many exchanges it is found out at the same time who asked.
const AT_ONCE: usize = 16;
/// How often the feed is asked to take events.
const TRIES: u32 = 10;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What waits to be looked at.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Case, Finished)>,
    bytes: usize,
    /// Whether a task looks at it.
    tended: bool,
}

impl Queue {
    /// Puts one at the end; says whether somebody has to be sent for it.
    pub(super) fn push(&mut self, (case, over): (Case, Finished)) -> Result<bool, Box<Case>> {
        let bytes = self.bytes + size(&case, &over);
        if self.waiting.len() >= MAX_WAITING || bytes > MAX_BYTES {
            return Err(Box::new(case));
        }
        self.bytes = bytes;
        self.waiting.push_back((case, over));
        Ok(!std::mem::replace(&mut self.tended, true))
    }

    /// The next one; whoever has nothing else to do and gets none is done.
    fn next(&mut self, nothing_else: bool) -> Option<(Case, Finished)> {
        let next = self.waiting.pop_front();
        self.bytes -= next.as_ref().map_or(0, |(case, over)| size(case, over));
        self.tended = next.is_some() || !nothing_else;
        next
    }
}

fn size(case: &Case, over: &Finished) -> usize {
    let headers = case.head.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
    headers.sum::<usize>() + over.request.len() + over.response.len()
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl Exchanges {
    /// Looks at all that wait, in their order, until none does.
    pub(super) async fn look_at_all(self: Arc<Self>) {
        let mut current = FuturesOrdered::new();
        loop {
            while current.len() < AT_ONCE
                && let Some((case, over)) = self.next(current.is_empty())
            {
                current.push_back(self.identified(case, over));
            }
            let Some((case, over, who)) = current.next().await else {
                return;
            };
            self.publish(case, &over, who).await;
        }
    }

    fn next(&self, nothing_else: bool) -> Option<(Case, Finished)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next(nothing_else)
    }

    async fn identified(&self, case: Case, over: Finished) -> (Case, Finished, Who) {
        let who = match case.rules.iter().any(|(rule, _)| rule.needs.client) {
            true => self.sessions.who(&case.table, &case.head, &case.peer).await,
            false => Who::Nobody,
        };
        (case, over, who)
    }

    async fn publish(&self, case: Case, over: &Finished, who: Who) {
        let mut events = Vec::new();
        for (rule, params) in case.rules {
            let found = match identity(&rule, &who) {
                Ok(who) => exchange::events(&rule, params, over, who),
                Err(skipped) => vec![Err(skipped)],
            };
            for found in found {
                match found {
                    Ok(event) => events.push((rule.clone(), event)),
                    Err(skipped) => self.skip(&rule, &skipped),
                }
            }
        }
        for batch in events.chunks(self.feed.max_batch()) {
            self.append(batch).await;
        }
    }

    async fn append(&self, batch: &[(Arc<Exchange>, Event)]) {
        let events: Vec<_> = batch.iter().map(|(_, event)| event.clone()).collect();
        let rules = batch.iter().map(|(rule, _)| rule);
        match self.append_patiently(events).await {
            Ok(appended) => {
                for (rule, appended) in rules.zip(appended) {
                    let result = match appended {
                        Appended::Accepted(_) => "accepted",
                        Appended::Duplicate(_) => "duplicate",
                    };
                    self.count(rule, result, result);
                }
            }
            Err(why) => {
                let skipped = Skipped::Unavailable(why.to_string());
                rules.for_each(|rule| self.skip(rule, &skipped));
            }
        }
    }

    /// Nobody sends these again, so a feed that takes nothing now is asked again.
    async fn append_patiently(&self, events: Vec<Event>) -> Result<Vec<Appended>, Unavailable> {
        for _ in 1..TRIES {
            match self.feed.append(events.clone()).await {
                Err(unavailable) => sleep(unavailable.retry_after.min(MAX_PAUSE)).await,
                appended => return appended,
            }
        }
        self.feed.append(events).await
    }
}

/// Who asked, where the rule has to know.
fn identity<'w>(rule: &Exchange, who: &'w Who) -> Result<Option<&'w Identity>, Skipped> {
    match who {
        _ if !rule.needs.client => Ok(None),
        Who::User(identity) => Ok(Some(identity)),
        Who::Nobody => Err(Skipped::NoUser("the client has shown nothing".into())),
        Who::Unproven(why) | Who::Unknown(why) => Err(Skipped::NoUser(why.clone())),
    }
}
