//! What a client is told about its place in the feed: where it begins, how far it has
//! come, and that something is lost for it.

use tracing::debug;

use super::super::resume::{Begin, How};
use super::{CloseReason, Live, Socket};
use crate::{event::Position, hub::Form, metrics::Because};

impl Live {
    /// First of all the client is told where it begins, then welcomed.
    pub(super) fn begin(&mut self, begin: Begin) -> Result<(), CloseReason> {
        let (form, desk) = (self.form(), self.desk());
        let is_lost = begin.how == How::Lost;
        let first = match is_lost && form.tells_position() {
            true => form.history_lost(begin.at, desk.history_lost()),
            false => form.position(begin.at),
        };
        let told = first.is_some();
        let welcome = desk.welcome().map(|text| form.reply(text));
        for text in first.into_iter().chain(welcome) {
            self.outgoing.text(text);
        }
        match is_lost && !told {
            true => self.tell_lost(begin.at),
            false => Ok(()),
        }
    }

    /// Something that is for the session is no longer remembered. Nothing is replayed in
    /// part: who can be told so goes on at the head.
    pub(super) fn on_history_lost(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        let sessions = self.subscription.sessions.clone();
        let endpoint = self.subscription.subscriber.endpoint.clone();
        let dropped = &sessions.metrics.deliveries_dropped;
        Because::count(dropped, &endpoint.name, "history_lost");
        let head = sessions.feed.head();
        debug!(endpoint = %endpoint.name, session = %self.subscription.subscriber.session, %head, "History lost");
        self.tell_lost(head)?;
        self.write_now(socket)
    }

    /// Tells the client in its own words, if there are any, that it goes on at the head.
    fn tell_lost(&mut self, head: Position) -> Result<(), CloseReason> {
        let words = self.desk().history_lost();
        let told = self.form().history_lost(head, words);
        let text = told.ok_or(CloseReason::HistoryLost)?;
        self.outgoing.go_on_at(head.offset, text);
        Ok(())
    }

    /// The first that the feed gave to a client that said where it was shows what became
    /// of that.
    pub(super) fn count_resume(&mut self, result: &'static str) {
        if std::mem::take(&mut self.resuming) {
            let subscription = &self.subscription;
            let endpoint = &subscription.subscriber.endpoint;
            subscription.sessions.count_resume(endpoint, result);
        }
    }

    /// A client for which nothing came learns all the same how far it has come.
    pub(super) fn tell_position(&mut self) {
        let form = self.form();
        if !form.tells_position() {
            return;
        }
        // Offsets stand, whatever epoch they are of.
        let epoch = self.subscription.sessions.feed.head().epoch;
        let moved = self.outgoing.moved_on();
        let told = moved.and_then(|offset| form.position(Position { epoch, offset }));
        if let Some(text) = told {
            self.outgoing.text(text);
        }
    }

    pub(super) fn form(&self) -> Form {
        self.subscription.subscriber.form
    }
}
