//! The sides of the triangle: what the hub offers, and what the feed is read for when a
//! session has fallen behind.

use std::future::pending;

use futures_util::future::BoxFuture;

use super::{CloseReason, Cold, Live, Socket, Subscription};
use crate::{event::Offset, feed::Page, hub::Due};

/// Waits for what is being read, if anything is.
pub(super) async fn read(reading: &mut Option<BoxFuture<'static, Cold>>) -> Cold {
    match reading {
        Some(page) => page.await,
        None => pending().await,
    }
}

impl Live {
    /// Takes what is due, if it is there.
    pub(super) fn on_outbox(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let Subscription {
            sessions,
            subscriber,
            ..
        } = &self.subscription;
        // Asked before taking, and only by whom it concerns: it is one lock for all.
        let has_past = subscriber.outbox.has_past();
        let offered = has_past.then(|| sessions.hub.handed_out());
        let due = subscriber.outbox.take();
        let is_quiet = matches!(due, Due::Nothing);
        match due {
            Due::CatchUp => match self.outgoing.read_on(&sessions.feed) {
                Some(page) => self.on_page(Cold::whole(page), socket)?,
                None => self.reading = Some(self.outgoing.read_store(sessions.feed.clone())),
            },
            due => self.on_due(due)?,
        }
        if let Some(offered) = offered {
            let quiet_until = if is_quiet { offered } else { Offset::ZERO };
            let subscriber = &self.subscription.subscriber;
            self.outgoing.settle(subscriber, quiet_until);
        }
        self.write_now(socket)
    }

    /// Takes up what the outbox gave, unless it was made by the rules of another time.
    fn on_due(&mut self, due: Due) -> Result<(), CloseReason> {
        // Looked at after taking and reading: what was accepted under a newer table is
        // not written by the rules of this one.
        if self.table_changed() {
            self.put_back(due);
            self.on_new_table();
            return Ok(());
        }
        if let Due::Frames(frames) = due {
            let Subscription {
                sessions,
                subscriber,
                ..
            } = &self.subscription;
            let late = self.outgoing.take_new(frames);
            subscriber.missed(late, &sessions.metrics);
        }
        Ok(())
    }

    /// The same with what the feed gave.
    pub(super) fn on_page(
        &mut self,
        Cold { page, until }: Cold,
        socket: &mut Socket,
    ) -> Result<(), CloseReason> {
        self.reading = None;
        if self.table_changed() {
            self.put_back(Due::CatchUp);
            self.on_new_table();
            return Ok(());
        }
        let Subscription {
            sessions,
            subscriber,
            ..
        } = &self.subscription;
        let metrics = &sessions.metrics;
        metrics.catch_ups.get_or_create(&self.on_endpoint()).inc();
        let Page::Entries { entries, reached } = page else {
            self.count_resume("history_lost");
            return self.on_history_lost(socket);
        };
        let page = (&*entries, reached, until);
        self.outgoing.catch_up(page, subscriber, metrics);
        self.count_resume(if entries.is_empty() {
            "at_head"
        } else {
            "resumed"
        });
        let subscriber = &self.subscription.subscriber;
        if subscriber.outbox.has_past() {
            self.outgoing.settle(subscriber, Offset::ZERO);
        }
        self.write_now(socket)
    }

    /// It is taken up anew, by the rules of then.
    pub(super) fn put_back(&self, due: Due) {
        let subscriber = &self.subscription.subscriber;
        let lost = subscriber.outbox.put_back(due);
        subscriber.missed(lost, &self.subscription.sessions.metrics);
    }

    /// A session for which nothing comes stays near the head all the same: the feed may
    /// forget what is not for it.
    pub(super) fn note_quiet(&mut self) {
        let Subscription {
            sessions,
            subscriber,
            ..
        } = &self.subscription;
        // Asked first: what was offered before that is in the outbox, or taken.
        let offered = sessions.hub.handed_out();
        let decided = self.deciding.is_none();
        if decided && self.reading.is_none() && subscriber.outbox.is_quiet() {
            self.outgoing.settle(subscriber, offered);
        }
    }
}
