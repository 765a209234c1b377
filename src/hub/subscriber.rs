//! One session as the hub knows it.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Outbox;
use crate::{
    event::{Entry, Event, SessionId, Topic},
    frame::{Client, Scope, Template},
    metrics::{Because, Metrics, Shared},
    order::Order,
    routes::Endpoint,
};

/// A session's subscription. Immutable; a reload puts a new one in its place,
/// with the same outbox.
#[derive(Debug)]
pub struct Subscriber {
    /// Whose it is.
    pub session: SessionId,
    /// The client behind it.
    pub client: Arc<Client>,
    /// The endpoint whose frames it is sent.
    pub endpoint: Arc<Endpoint>,
    /// What its endpoint gives it; what it joined and left since is with its outbox.
    pub topics: Box<[Topic]>,
    /// Where its frames go.
    pub outbox: Arc<Outbox>,
}

impl Subscriber {
    /// The frame of an entry for this session, if it is for it at all.
    pub fn frame(&self, entry: &Entry) -> Option<Utf8Bytes> {
        let event = &entry.event;
        let subscribed = match &event.topics[..] {
            [] => self
                .client
                .user
                .as_ref()
                .is_some_and(|user| event.users.contains(user)),
            topics => self
                .outbox
                .hears_any(topics, entry.position.offset, &self.topics),
        };
        let ended = self.outbox.ended_before(entry.position.offset);
        if ended || !subscribed || !self.hears(event) || Order::is_reserved(&event.kind) {
            return None;
        }
        let template = self.endpoint.frames.get(&event.kind)?;
        let rule = self.endpoint.except.get(&event.kind);
        if rule.is_some_and(|rule| rule.of(event).has(&self.client)) {
            return None;
        }
        Some(self.render_with(template, event))
    }

    /// Whether an event of one of its topics is for this very client.
    pub(super) fn hears(&self, event: &Event) -> bool {
        let user = self.client.user.as_ref();
        let among = event.users.is_empty() || user.is_some_and(|user| event.users.contains(user));
        let session = self.client.session;
        let left_out = session.is_some_and(|session| event.except.sessions.contains(&session))
            || user.is_some_and(|user| event.except.users.contains(user));
        among && !left_out
    }

    /// Counts ephemeral frames that it will never be sent: nothing replays them.
    pub fn missed(&self, ephemeral: usize, metrics: &Metrics) {
        if ephemeral > 0 {
            let labels = Because {
                endpoint: Shared(self.endpoint.name.clone()),
                reason: "ephemeral_while_behind",
            };
            let dropped = metrics.deliveries_dropped.get_or_create(&labels);
            dropped.inc_by(ephemeral as u64);
        }
    }

    pub(super) fn render_with(&self, template: &Template, event: &Event) -> Utf8Bytes {
        let scope = Scope {
            event: Some(event),
            client: Some(&self.client),
            ..Scope::default()
        };
        template.render(&scope).into()
    }
}
