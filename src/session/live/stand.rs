//! A session among others of its user on its path: where it begins, what proves how far
//! it has come, and what it leaves when it dies.

use std::{collections::VecDeque, future::pending};

use futures_util::{FutureExt, future::BoxFuture};
use tokio_tungstenite::tungstenite::Message;

use super::{
    super::{
        adopt::{Adopted, Beginning, Past, Stand},
        socket::Socket,
    },
    CloseReason, Live,
};
use crate::{event::Offset, routes::Confirm};

/// Messages that are looked through for pongs and a close frame at the end.
const MAX_UNREAD: usize = 1000;

/// Waits until it is known where the session begins; for ever, if it is.
pub(super) async fn beginning(deciding: &mut Option<BoxFuture<'static, Beginning>>) -> Beginning {
    match deciding {
        Some(deciding) => deciding.await,
        None => pending().await,
    }
}

/// Waits until somebody asks whether the client is there.
pub(super) async fn knocked(stand: Option<&Stand>) {
    match stand {
        Some(stand) => stand.knocked().await,
        None => pending().await,
    }
}

impl Live {
    /// Begins, unless it has to be waited for who is here already.
    pub(super) fn take_stand(&mut self) {
        let Some(stand) = &mut self.stand else {
            return self.on_new_table();
        };
        let resume = self.subscription.subscriber.endpoint.resume;
        let older = self.outgoing.older();
        stand.follow(resume.window, self.table.generation, older);
        let mut deciding = stand.decide();
        if let Some(beginning) = (&mut deciding).now_or_never() {
            return self.on_beginning(beginning);
        }
        // Meanwhile a ping says that the client has been given nothing.
        self.outgoing.begin(Offset::ZERO, VecDeque::new());
        self.deciding = Some(deciding);
    }

    /// It is known where it begins.
    pub(super) fn on_beginning(&mut self, beginning: Beginning) {
        self.deciding = None;
        let head = self.track.get().since;
        match beginning {
            Beginning::Head => self.outgoing.begin(head, VecDeque::new()),
            Beginning::Lost => {
                self.outgoing.begin(head, VecDeque::new());
                let words = self.desk().history_lost();
                words
                    .into_iter()
                    .for_each(|text| self.outgoing.go_on_at(head, text));
            }
            Beginning::Adopted(adopted) => self.adopt(adopted),
        }
        let at = self.outgoing.confirmed();
        self.track.begin(at);
        if let Some(stand) = &self.stand {
            stand.begin(at, self.outgoing.older());
        }
        self.on_new_table();
    }

    /// Begins where one like it has died: what was for that one is read by its rules,
    /// what came after it by those of its endpoint at the time.
    fn adopt(&mut self, Adopted { at, past }: Adopted) {
        let subscriber = self.subscription.subscriber.clone();
        let Past {
            mut rules,
            generation,
        } = past;
        let named = std::mem::take(&mut self.named);
        let ended = rules.back().map_or(at, |(until, _)| *until);
        subscriber.outbox.backdate(&named, ended);
        let mut endpoint = rules.back().map(|(_, last)| last.endpoint.clone());
        for swap in self.table.swaps_after(generation) {
            let under = endpoint.and_then(|endpoint| self.under(&endpoint, &subscriber));
            match rules.back_mut() {
                // It had not followed this table when it died.
                Some((until, _)) if *until > swap.since => *until = swap.since,
                _ => rules.extend(under.map(|under| (swap.since, under))),
            }
            let mut endpoints = swap.endpoints.iter();
            let name = &subscriber.endpoint.name;
            endpoint = endpoints.find(|other| other.name == *name).cloned();
        }
        self.outgoing.begin(at, rules);
        let lost = subscriber.outbox.fall_behind();
        subscriber.missed(lost, &self.subscription.sessions.metrics);
    }

    /// It follows a table, and so does what it would leave.
    pub(super) fn follow_with_stand(&mut self) {
        if let Some(stand) = &mut self.stand {
            let resume = self.subscription.subscriber.endpoint.resume;
            let older = self.outgoing.older();
            stand.follow(resume.window, self.table.generation, older);
        }
    }

    /// Asks the client for a pong. It proves what it is given before, and that it is
    /// there.
    pub(super) fn ping(&mut self) {
        let number = self.stand.as_ref().map_or(0, Stand::knocks);
        self.pings.sent(self.outgoing.given());
        self.outgoing.ping(number);
    }

    pub(super) fn on_pong(&mut self, payload: &[u8]) {
        let number = self.outgoing.confirm(payload);
        let confirmed = self.outgoing.confirmed();
        self.track.confirm(confirmed);
        self.pings.proven(confirmed);
        if let Some(stand) = &self.stand {
            stand.confirm(confirmed, number);
        }
        self.want_proof();
    }

    /// Once everything is written, an eager endpoint wants to know what has reached the
    /// client.
    pub(super) fn want_proof(&mut self) {
        let resume = self.subscription.subscriber.endpoint.resume;
        let eager = resume.confirm == Confirm::Eager && self.stand.is_some();
        let written = self.outgoing.is_empty() && self.outgoing.is_unconfirmed();
        if eager && written && !self.pings.is_awaited() {
            self.pings.want();
        }
    }

    /// It will leave its stand as soon as the goodbye is said: to nobody, if the client
    /// has said one.
    pub(super) async fn prepare_to_leave(&mut self, socket: &mut Socket, reason: &CloseReason) {
        // Whoever comes in its place must know where it would have begun.
        if let Some(deciding) = self.deciding.take() {
            let beginning = deciding.await;
            self.on_beginning(beginning);
        }
        let sessions = &self.subscription.sessions;
        let last = self.subscription.subscriber.clone();
        let here = sessions.hub.handed_out();
        let past = Past::until(self.outgoing.older(), here, last, self.table.generation);
        let leaves = reason.leaves_orphan() && self.stand.is_some();
        let has_left = leaves && self.hear_rest(socket);
        if let Some(stand) = &mut self.stand {
            if !leaves || has_left {
                stand.rest();
            }
            stand.leave(past);
        }
    }

    /// Hears the pongs among what the client has sent and nobody has read. Whether its
    /// close frame is there, too.
    fn hear_rest(&mut self, socket: &mut Socket) -> bool {
        for _ in 0..MAX_UNREAD {
            match socket.next().now_or_never().flatten() {
                Some(Ok(Message::Close(_))) => return true,
                Some(Ok(Message::Pong(payload))) => self.on_pong(&payload),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
        false
    }
}
