//! A session and a changed table: it takes over what it can, and goes home where it
//! would have to come in by other rules.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tracing::debug;

use super::{CloseReason, live::Live, open, scattered};
use crate::{
    frame::Client,
    hub::Subscriber,
    routes::{Endpoint, RouteTable},
};

impl Live {
    /// Takes over the table of the moment.
    pub(super) fn on_new_table(&mut self) {
        let table = self.tables.borrow_and_update().clone();
        let old = self.subscription.subscriber.clone();
        if let Some(reason) = self.adapt(&table) {
            self.go_home_within(reason, table.spread);
        }
        let since = table.swapped_after(self.generation);
        self.generation = table.generation;
        if !Arc::ptr_eq(&old, &self.subscription.subscriber) {
            let offered = self.subscription.sessions.hub.handed_out();
            self.outgoing.turn_over(old, since, offered);
        }
    }

    /// Everybody goes home.
    pub(super) fn on_stop(&mut self) {
        let spread = self.tables.borrow().spread;
        self.go_home_within(CloseReason::GoingAway, spread);
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
        if Arc::ptr_eq(endpoint, &old.endpoint) {
            return None;
        }
        match endpoint.path.matches(&self.path) {
            Some(params) if open::admits_alike(&old.endpoint, endpoint) => {
                self.follow(endpoint, params, &old)
            }
            _ => Some(CloseReason::Moved),
        }
    }

    fn follow(
        &mut self,
        endpoint: &Arc<Endpoint>,
        params: open::Params,
        old: &Subscriber,
    ) -> Option<CloseReason> {
        let client = Client {
            params,
            ..Client::clone(&old.client)
        };
        let Ok(topics) = open::topics(endpoint, &client) else {
            return Some(CloseReason::Moved);
        };
        let new = Arc::new(Subscriber {
            session: old.session,
            client: Arc::new(client),
            endpoint: endpoint.clone(),
            topics,
            outbox: old.outbox.clone(),
        });
        self.subscription.sessions.hub.replace(old, &new);
        self.deadlines.follow(endpoint);
        self.subscription.subscriber = new;
        debug!(endpoint = %endpoint.name, session = %old.session, "Session follows its changed endpoint");
        None
    }
}
