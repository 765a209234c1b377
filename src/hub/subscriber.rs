//! One session as the hub knows it.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Form, Listener, Missed, NotFor, Outbox};
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
    /// How it is spoken to.
    pub form: Form,
    /// Where its frames go.
    pub outbox: Arc<Outbox>,
}

impl Subscriber {
    /// The frame of an entry for this session, if it is for it at all.
    pub fn frame(&self, entry: &Entry) -> Option<Utf8Bytes> {
        let template = self.template(entry).ok()?;
        let frame = self.render_with(template, &entry.event);
        Some(self.form.event(frame, entry.position))
    }

    /// What makes the frame of an entry for this session.
    ///
    /// # Errors
    /// The entry is not for it.
    pub fn template(&self, entry: &Entry) -> Result<&Arc<Template>, NotFor> {
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
        if Order::is_reserved(&event.kind) {
            return Err(NotFor::Reserved);
        }
        if !subscribed {
            return Err(match &event.topics[..] {
                [] => NotFor::OtherUsers,
                _ => NotFor::NotSubscribed,
            });
        }
        if self.outbox.ended_before(entry.position.offset) {
            return Err(NotFor::Ended);
        }
        let listener = self.listener();
        listener.frame(event, |rule| listener.is_left_out(rule, event))
    }

    /// The session as decisions look at it.
    pub fn listener(&self) -> Listener<'_> {
        Listener {
            endpoint: &self.endpoint,
            user: self.client.user.as_ref(),
            name: self.client.session,
        }
    }

    /// Whether an event of one of its topics is for this very client.
    pub(super) fn hears(&self, event: &Event) -> bool {
        self.listener().hears(event).is_ok()
    }

    /// Counts and notes ephemeral entries that it will never be sent.
    pub fn missed(&self, ephemeral: Missed, metrics: &Metrics) {
        if !ephemeral.is_empty() {
            let labels = Because {
                endpoint: Shared(self.endpoint.name.clone()),
                reason: "ephemeral_while_behind",
            };
            let dropped = metrics.deliveries_dropped.get_or_create(&labels);
            dropped.inc_by(ephemeral.len() as u64);
            self.outbox.note_missed(ephemeral);
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
