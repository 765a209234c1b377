//! A session and the tables that come after its own: it follows its endpoint at
//! its own place in the feed, or goes home.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tracing::debug;

use super::super::{desk::Desk, seat};
use super::{CloseReason, Live, open, scattered};
use crate::{
    frame::Client,
    hub::{Due, Subscriber},
    routes::{Endpoint, RouteTable, Swap},
};

impl Live {
    /// Everybody goes home.
    pub(super) fn on_stop(&mut self) {
        let spread = self.tables.borrow().spread;
        self.go_home_within(CloseReason::GoingAway, spread);
    }

    /// Whether there is a newer table than the one that is followed.
    pub(super) fn table_changed(&self) -> bool {
        self.tables.has_changed().unwrap_or(false)
    }

    /// Takes over the table of the moment.
    pub(super) fn on_new_table(&mut self) {
        if self.reading.take().is_some() {
            // It is read anew, each entry by the rules of its time.
            self.put_back(Due::CatchUp);
        }
        let table = self.tables.borrow_and_update().clone();
        let old = self.subscription.subscriber.clone();
        if let Some(reason) = self.adapt(&table) {
            self.go_home_within(reason, table.spread);
        }
        let swaps = table.swaps_after(self.table.generation);
        self.table = table.clone();
        if !Arc::ptr_eq(&old, &self.subscription.subscriber) {
            self.turn_over(old, swaps);
        }
        self.follow_with_stand();
    }

    /// What was accepted since the first of the swaps may have been handed out by the
    /// old rules: from there on it is read from the feed again, each entry by the
    /// rules of its time.
    fn turn_over(&mut self, old: Arc<Subscriber>, swaps: &[Swap]) {
        let offered = self.subscription.sessions.hub.handed_out();
        let since = swaps.first().map_or(offered, |swap| swap.since);
        let lost = self.outgoing.cut_after(since, &old.outbox, offered);
        old.missed(lost, &self.subscription.sessions.metrics);
        let mut rules = old;
        for swap in swaps {
            self.outgoing.rules_until(swap.since, rules.clone());
            let mut endpoints = swap.endpoints.iter();
            let endpoint = endpoints.find(|endpoint| endpoint.name == rules.endpoint.name);
            rules = endpoint
                .and_then(|endpoint| self.under(endpoint, &rules))
                .unwrap_or(rules);
        }
    }

    fn go_home_within(&mut self, reason: CloseReason, spread: Duration) {
        let after = scattered(self.subscription.subscriber.session, spread);
        self.deadlines.go_home(reason, Instant::now() + after);
    }

    /// Follows its endpoint into a new table: the new frames, topics and rules from
    /// here on, the same place in the feed. What changed at the door cannot be
    /// followed; the client has to come in anew.
    fn adapt(&mut self, table: &RouteTable) -> Option<CloseReason> {
        let old = self.subscription.subscriber.clone();
        let Some(endpoint) = table.endpoint(&old.endpoint.name) else {
            return Some(CloseReason::Moved);
        };
        // Its credential was judged by rules or keys that hold no more.
        let (judge, former) = (&table.auth.method, &self.table.auth.method);
        if old.client.user.is_some() && !judge.judges_alike(former) {
            return Some(CloseReason::Moved);
        }
        if Arc::ptr_eq(endpoint, &old.endpoint) {
            return None;
        }
        let Some(new) = self.under(endpoint, &old) else {
            return Some(CloseReason::Moved);
        };
        self.subscription.sessions.hub.replace(&old, &new);
        self.deadlines.follow(endpoint);
        self.beats.follow((&old.endpoint, endpoint), old.session);
        let before = self.desk();
        self.subscription.subscriber = new;
        self.take_seat(Some(before));
        debug!(endpoint = %endpoint.name, session = %old.session, "Session follows its changed endpoint");
        None
    }

    /// Takes its seat among those who are online, and leaves the one it had by the rules
    /// of before.
    pub(super) fn take_seat(&mut self, before: Option<Desk>) {
        let subscriber = &self.subscription.subscriber;
        let seat = seat::seat(&subscriber.endpoint, &subscriber.client, subscriber.session);
        if seat == self.subscription.seat {
            return;
        }
        let (sessions, desk) = (self.subscription.sessions.clone(), self.desk());
        let seat = seat.filter(|seat| sessions.sit(seat, desk));
        let old = std::mem::replace(&mut self.subscription.seat, seat);
        if let (Some(old), Some(before)) = (old, before) {
            sessions.rise(&old, Box::new(before));
        }
    }

    /// The session under the rules of a changed endpoint, if it may go on under them.
    pub(super) fn under(
        &self,
        endpoint: &Arc<Endpoint>,
        old: &Subscriber,
    ) -> Option<Arc<Subscriber>> {
        let params = endpoint.path.matches(&self.path)?;
        if !open::admits_alike(&old.endpoint, endpoint) {
            return None;
        }
        let mut client = Client {
            params,
            ..Client::clone(&old.client)
        };
        client.online = self.subscription.sessions.roster(endpoint, &client);
        let topics = open::topics(endpoint, &client).ok()?;
        Some(Arc::new(Subscriber {
            session: old.session,
            client: Arc::new(client),
            endpoint: endpoint.clone(),
            topics,
            form: old.form,
            outbox: old.outbox.clone(),
        }))
    }
}
