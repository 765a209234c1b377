//! Where sessions are whose clients cannot say it, for all nodes that share a feed: in its
//! Redis. Each node notes its own there, a moment after they move; who comes takes a place
//! in one step. Nodes ask each other whether somebody who seems to be here answers.

mod book;
mod register;
mod talk;
mod words;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Shared;
use crate::{
    event::{Position, SessionName},
    redis::Failure,
};

pub use register::{Comer, Stands};
pub use words::{Answer, Ask, Silent};

use book::{Book, Change};
use register::Register;
use talk::Talk;

/// So long what moved may wait until it is written.
const BATCH: Duration = Duration::from_millis(250);
/// So long is waited for it to be written.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a node says that it is alive.
const ALIVE: Duration = Duration::from_secs(1);
/// How often all is written again, so that Redis does not forget who is quiet.
const AGAIN: Duration = Duration::from_secs(600);
/// Changes that are written at a time.
const CHUNK: usize = 256;
/// No window is longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Where a session is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose it is, as [`Places::key`] has it.
    pub key: Arc<str>,
    /// Its client has everything up to here.
    pub at: Position,
    /// For so long its client may come back.
    pub window: Duration,
    /// Who came after it and may be its client.
    pub claims: Vec<SessionName>,
}

/// The places of this node's sessions, among those of the others.
#[derive(Debug)]
pub struct Places {
    node: Arc<str>,
    book: Mutex<Book>,
    register: Register,
    talk: Talk,
    wake: Notify,
    /// Up to which note all is written.
    written: watch::Sender<u64>,
}

impl Places {
    pub(super) fn new(shared: &Arc<Shared>, node: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            register: Register::new(shared.clone(), node.clone()),
            talk: Talk::new(shared.clone(), node.clone()),
            node,
            book: Mutex::default(),
            wake: Notify::new(),
            written: watch::Sender::new(0),
        })
    }

    /// Where the places of those are who may be the same client: short, whatever they are
    /// called by.
    pub fn key(&self, of: &str) -> Arc<str> {
        let sum = digest(&SHA256, of.as_bytes());
        let half = sum.as_ref().iter().take(16);
        let half: String = half.map(|byte| format!("{byte:02x}")).collect();
        self.register.key(&half).into()
    }

    /// Redis has a session at this place.
    fn know_at(&self, session: SessionName, at: Option<Position>) {
        at.into_iter()
            .for_each(|at| self.lock().know_at(session, at));
    }

    /// A session is here, whatever Redis knows.
    fn put(&self, session: SessionName, place: Place) {
        self.lock().put(session, place);
    }

    /// Its client is there, whoever stands in its place, and has come so far.
    pub fn prove(&self, session: SessionName, at: Position, claims: Vec<SessionName>) {
        self.lock().prove(session, at, claims);
    }

    /// Its client has come further.
    pub fn move_to(&self, session: SessionName, at: Position) {
        self.lock().move_to(session, at);
    }

    /// Somebody came who may be its client.
    pub fn claim(&self, session: SessionName, claims: Vec<SessionName>) {
        self.lock().claim(session, claims);
    }

    /// It has died: its client may come back, to any node. Without a place it stays where
    /// it was. Whether there is room to note that.
    pub fn end(&self, session: SessionName, at: Option<Position>) -> bool {
        self.wake.notify_one();
        self.lock().end(session, at)
    }

    /// Nobody will go on where it was. Whether there is room to note that.
    pub fn remove(&self, session: SessionName) -> bool {
        self.wake.notify_one();
        self.lock().remove(session)
    }

    /// Waits until all that was noted is written, but not for long.
    pub async fn saved(&self) {
        let notes = self.lock().notes;
        let mut written = self.written.subscribe();
        self.wake.notify_one();
        let all = written.wait_for(|written| *written >= notes);
        // Whoever waits in vain has a place that is old.
        timeout(PATIENCE, all).await.map(drop).unwrap_or_default();
    }

    /// Somebody comes: takes a place if nobody has to be asked, and else says whom.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn arrive(&self, comer: &Comer) -> Result<Stands, Failure> {
        self.lock().know(comer.name, comer.place());
        self.stand(comer, None).await
    }

    /// Those who were asked have answered, or not: takes a place, if there is one.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn take(&self, comer: &Comer, answer: &Answer) -> Result<Stands, Failure> {
        self.stand(comer, Some(&answer.silent)).await
    }

    async fn stand(&self, comer: &Comer, silent: Option<&[Silent]>) -> Result<Stands, Failure> {
        let stands = self.register.stand(comer, silent).await;
        match &stands {
            Ok(stands) => self.know_at(comer.name, stands.at),
            // Wherever it was, it begins at the head.
            Err(_) => self.put(comer.name, comer.place()),
        }
        stands
    }

    /// Asks other nodes whether clients of their sessions are there. Who does not answer
    /// in time is silent.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn ask(&self, ask: &Ask, of: &[(SessionName, Arc<str>)]) -> Result<Answer, Failure> {
        self.talk.ask(ask, of).await
    }

    /// Writes what is noted and answers other nodes by `answer`, until it is told to stop.
    /// `taken` hears in whose place somebody else stands.
    pub async fn run(
        &self,
        stop: CancellationToken,
        answer: impl Fn(Ask) -> BoxFuture<'static, Answer> + Send + Sync,
        taken: impl Fn(SessionName) + Send + Sync,
    ) {
        // Types forgotten: the compiler would follow the library's through all who wait.
        let keep: BoxFuture<'_, ()> = Box::pin(self.keep(&stop, &taken));
        let listen: BoxFuture<'_, ()> = Box::pin(self.talk.listen(answer));
        tokio::join!(keep, stop.run_until_cancelled(listen));
        // Whoever is still here is cut.
        self.lock().end_all();
        self.write(&taken).await;
    }

    async fn keep(&self, stop: &CancellationToken, taken: &impl Fn(SessionName)) {
        let (mut alive, mut again) = (None::<Instant>, Instant::now());
        while !stop.is_cancelled() {
            if again.elapsed() > AGAIN {
                again = Instant::now();
                self.lock().note_all();
            }
            let is_due = alive.is_none_or(|alive| alive.elapsed() >= ALIVE);
            if (is_due || !self.lock().changes.is_empty()) && self.write(taken).await {
                alive = Some(Instant::now());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = sleep(BATCH) => {}
            }
        }
    }

    /// Writes what has changed. What fails is tried again.
    async fn write(&self, taken: &impl Fn(SessionName)) -> bool {
        let (changes, notes) = self.lock().take_changes();
        let mut rest = changes.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(CHUNK));
            if let Err(error) = self.note(now, taken).await {
                warn!(%error, "Where clients are is not written; trying again");
                self.lock().put_back(rest);
                sleep(BATCH).await;
                return false;
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        self.written.send_replace(notes);
        true
    }

    async fn note(
        &self,
        changes: &[(SessionName, Change)],
        taken: &impl Fn(SessionName),
    ) -> Result<(), Failure> {
        let lost = self.register.note(changes).await?;
        lost.into_iter().for_each(taken);
        Ok(())
    }

    /// What this node is called.
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
