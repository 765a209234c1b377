//! What is done again and again while a client is connected. One thing at a time: what
//! is slow delays the next, and is never done twice at once.

use std::{pin::Pin, sync::Arc};

use tokio::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{desk::Desk, scattered};
use crate::{event::SessionId, routes::Endpoint};

type Beat = Pin<Box<dyn Future<Output = Option<Utf8Bytes>> + Send>>;

/// The beats of one session. Nothing is allocated where the endpoint has none.
#[derive(Default)]
pub(super) struct Beats(Option<Box<Running>>);

struct Running {
    /// When each is due.
    due: Box<[Instant]>,
    current: Option<Beat>,
}

impl Beats {
    /// The first of each comes at another moment for each session, so that not all ask
    /// the app at once.
    pub(super) fn new(endpoint: &Endpoint, session: SessionId) -> Self {
        let every = &endpoint.moments.every;
        let first = |interval: Duration| Instant::now() + scattered(session, interval);
        let due = every.iter().map(|every| first(every.interval));
        let running = || Running {
            due: due.collect(),
            current: None,
        };
        Self((!every.is_empty()).then(|| Box::new(running())))
    }

    /// Takes over the rules of a changed endpoint; what is under way goes on.
    pub(super) fn follow(&mut self, (old, new): (&Endpoint, &Endpoint), session: SessionId) {
        if old.moments.every == new.moments.every {
            return;
        }
        let current = self.0.take().and_then(|running| running.current);
        *self = Self::new(new, session);
        if let Some(running) = &mut self.0 {
            running.current = current;
        }
    }

    /// When something is to be begun next.
    pub(super) fn next(&self) -> Option<Instant> {
        let running = self.0.as_ref()?;
        match running.current {
            Some(_) => None,
            None => running.due.iter().min().copied(),
        }
    }

    /// Begins with what is due.
    pub(super) fn start(&mut self, now: Instant, desk: Desk) {
        let Some(running) = &mut self.0 else { return };
        let is_due = |at: &Instant| *at <= now;
        let Some(index) = running.due.iter().position(is_due) else {
            return;
        };
        if running.current.is_some() {
            return;
        }
        let Some(interval) = desk
            .endpoint
            .moments
            .every
            .get(index)
            .map(|one| one.interval)
        else {
            return;
        };
        running.due[index] = now + interval;
        running.current = Some(Box::pin(beat(desk, index)));
    }

    /// Waits until what is under way is done, and gives what the client is sent; for
    /// ever, if nothing is.
    pub(super) async fn done(&mut self) -> Option<Utf8Bytes> {
        let current = self.0.as_mut().and_then(|running| running.current.as_mut());
        let Some(current) = current else {
            return std::future::pending().await;
        };
        let reply = current.await;
        if let Some(running) = &mut self.0 {
            running.current = None;
        }
        reply
    }

    /// Waits for what is under way, with nobody to reply to.
    pub(super) async fn finish(self) {
        if let Some(current) = self.0.and_then(|running| running.current) {
            current.await;
        }
    }
}

async fn beat(desk: Desk, index: usize) -> Option<Utf8Bytes> {
    let endpoint: Arc<Endpoint> = desk.endpoint.clone();
    let every = endpoint.moments.every.get(index)?;
    desk.at("every", &every.steps).await.reply
}
