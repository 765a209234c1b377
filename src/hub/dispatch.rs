//! Handing each entry of the feed out, to who hears its topics or is its user.
//!
//! One task tails the feed. For each entry it finds the sessions it is for,
//! renders each frame in use once (personal ones once per session), and puts it
//! into their outboxes. It never waits for a session.

use std::{sync::Arc, time::Duration};

use tokio::{task::consume_budget, time::interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Hub, Offered, Outgoing, Subscriber, rendered::Rendered};
use crate::{
    event::{Entry, Offset},
    feed::Page,
    metrics::Ended,
    order::Order,
    routes::Exclusion,
};

/// Entries read from the feed at a time.
const PAGE: usize = 256;
/// How often the feed is asked to forget what is too old.
const TRIM: Duration = Duration::from_secs(5);

impl Hub {
    /// Hands out the feed's entries until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut heads = self.feed.watch();
        let mut trim = interval(TRIM);
        heads.mark_unchanged();
        let Some(opened) = stop.run_until_cancelled(self.feed.opened()).await else {
            return;
        };
        let mut cursor = opened.max(self.handed_out());
        *self.lock() = cursor;
        loop {
            let handed_out = self.hand_out_after(cursor);
            cursor = match stop.run_until_cancelled(handed_out).await {
                Some(cursor) => cursor,
                None => return,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = trim.tick() => self.feed.trim(),
                changed = heads.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn hand_out_after(&self, mut cursor: Offset) -> Offset {
        loop {
            match self.feed.after(cursor, PAGE).await {
                Page::Entries { entries, .. } if entries.is_empty() => return cursor,
                Page::Entries { entries, reached } => {
                    for entry in &entries {
                        let place = self.place.lock().await;
                        self.hand_out(entry);
                        *self.lock() = entry.position.offset;
                        drop(place);
                        consume_budget().await;
                    }
                    cursor = reached;
                    self.feed.handed_out(cursor);
                }
                Page::Lost { oldest } => {
                    error!(%cursor, %oldest, "The feed forgot entries before they were handed out");
                    self.unheard("forgotten");
                    // Each session finds out for itself whether it missed something.
                    let behind =
                        |one: &Subscriber| one.missed(one.outbox.fall_behind(), &self.metrics);
                    self.topics.all(behind);
                    self.users.all(behind);
                    cursor = oldest;
                }
            }
        }
    }

    fn hand_out(&self, entry: &Entry) {
        if Order::is_between_nodes(&entry.event) {
            return;
        }
        let heard = match Order::of(&entry.event) {
            Ok(None) => self.offer_to_all(entry),
            Ok(Some(order)) => self.obey(entry, &order),
            Err(malformed) => {
                warn!(id = %entry.event.id, kind = %entry.event.kind, reason = %malformed, "A reserved event says nothing");
                self.unheard("malformed");
                true
            }
        };
        if !heard {
            self.unheard("nobody_subscribed");
        }
        self.metrics
            .dispatch_seconds
            .observe(entry.accepted.elapsed().as_secs_f64());
    }

    fn offer_to_all(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let mut rendered = Rendered::default();
        let mut heard = false;
        let mut offer = |subscriber: &Arc<Subscriber>| {
            heard |= self.offer(entry, subscriber, &mut rendered);
        };
        for topic in &event.topics {
            self.topics.each(topic, &mut offer);
        }
        if event.topics.is_empty() {
            for user in &event.users {
                self.users.each(user, &mut offer);
            }
        }
        heard
    }

    fn offer(&self, entry: &Entry, subscriber: &Arc<Subscriber>, rendered: &mut Rendered) -> bool {
        let listener = subscriber.listener();
        let leaves_out = |rule: &Exclusion| rendered.leaves_out(rule, &entry.event, listener);
        let Ok(template) = listener.frame(&entry.event, leaves_out) else {
            return false;
        };
        let frame = Outgoing {
            offset: entry.position.offset,
            text: rendered.text(template, entry, subscriber),
            ephemeral: entry.event.ephemeral,
        };
        let offered = subscriber.outbox.offer(frame);
        if offered == Offered::Behind && entry.event.ephemeral {
            subscriber.missed(entry.position.offset.into(), &self.metrics);
        }
        true
    }

    fn unheard(&self, result: &'static str) {
        self.metrics
            .events_unheard
            .get_or_create(&Ended { result })
            .inc();
    }
}
