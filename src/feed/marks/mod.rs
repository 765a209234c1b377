//! Where sessions are whose clients cannot say it, kept beside a feed that outlives the
//! process. What is noted is written soon, all of it together, and not synced: after a
//! power cut a mark may be old, and its client gets more twice.

mod file;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, watch},
    time::{Duration, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Position, SessionName, UserId},
    metrics::Metrics,
};
use file::File;

/// So long what moved may wait until it is written.
const BATCH: Duration = Duration::from_millis(250);
/// So long a handshake waits for its mark to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The path's parameters, as JSON.
    pub params: Box<str>,
    /// Whose session it is.
    pub user: UserId,
    /// Its client has everything up to here.
    pub at: Position,
    /// For so long its client may come back.
    pub window: Duration,
    /// Somebody has come who may be its client, and it has not answered since.
    pub doubted: bool,
    /// It does not know yet where it begins: those are asked who may be its client.
    pub undecided: bool,
}

/// The marks of all sessions of this process, and of those that it found.
#[derive(Debug)]
pub struct Marks {
    book: Mutex<Book>,
    /// Where they are kept; nowhere, where the feed is gone with the process, too.
    file: Option<Arc<File>>,
    wake: Notify,
    /// Up to which note all is written.
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Book {
    marks: HashMap<SessionName, Mark>,
    changed: HashSet<SessionName>,
    /// Notes taken.
    notes: u64,
    found: Vec<(SessionName, Mark)>,
}

impl Marks {
    /// Of a feed in memory: nothing is kept.
    pub(super) fn none() -> Self {
        Self::with(None, Vec::new())
    }

    /// In a folder.
    pub(super) fn in_folder(folder: &Path, metrics: Arc<Metrics>) -> Self {
        let (file, found) = File::open(&folder.join("marks"), metrics);
        Self::with(Some(Arc::new(file)), found)
    }

    fn with(file: Option<Arc<File>>, found: Vec<(SessionName, Mark)>) -> Self {
        let book = Book {
            marks: found.iter().cloned().collect(),
            found,
            ..Book::default()
        };
        Self {
            book: Mutex::new(book),
            file,
            wake: Notify::new(),
            written: watch::Sender::new(0),
        }
    }

    /// The marks of an earlier process, once.
    pub fn take_found(&self) -> Vec<(SessionName, Mark)> {
        std::mem::take(&mut self.lock().found)
    }

    /// A session is here.
    pub fn put(&self, session: SessionName, mark: impl FnOnce() -> Mark) {
        self.put_for(session, mark, []);
    }

    /// A session is here, and nobody will go on where those others were: a process that
    /// dies leaves all of that behind, or nothing of it.
    pub fn put_for(
        &self,
        session: SessionName,
        mark: impl FnOnce() -> Mark,
        others: impl IntoIterator<Item = SessionName>,
    ) {
        if self.file.is_none() {
            return;
        }
        let mut book = self.lock();
        book.marks.insert(session, mark());
        book.note(session);
        for other in others {
            book.remove(other);
        }
    }

    /// Its client has come further.
    pub fn move_to(&self, session: SessionName, at: Position) {
        if self.file.is_none() {
            return;
        }
        let mut book = self.lock();
        if let Some(mark) = book.marks.get_mut(&session).filter(|mark| mark.at != at) {
            mark.at = at;
            book.note(session);
        }
    }

    /// Somebody has come who may be its client; or it has answered.
    pub fn doubt(&self, session: SessionName, doubted: bool) {
        if self.file.is_none() {
            return;
        }
        let mut book = self.lock();
        let mark = book.marks.get_mut(&session);
        if let Some(mark) = mark.filter(|mark| mark.doubted != doubted) {
            mark.doubted = doubted;
            book.note(session);
        }
    }

    /// Nobody will go on where it was.
    pub fn remove(&self, session: SessionName) {
        if self.file.is_none() {
            return;
        }
        self.lock().remove(session);
    }

    /// Waits until all that was noted is written, but not for long.
    pub async fn saved(&self) {
        if self.file.is_none() {
            return;
        }
        let notes = self.lock().notes;
        let mut written = self.written.subscribe();
        self.wake.notify_one();
        let all = written.wait_for(|written| *written >= notes);
        // Whoever waits in vain has a mark that is old.
        timeout(PATIENCE, all).await.map(drop).unwrap_or_default();
    }

    /// Writes what is noted, again and again.
    pub async fn run(&self, stop: CancellationToken) {
        while self.file.is_some() && !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = sleep(BATCH) => {}
            }
            self.write().await;
        }
    }

    async fn write(&self) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let (lines, notes) = self.lock().take_lines(&file);
        if !lines.is_empty() {
            let written = tokio::task::spawn_blocking(move || file.write(&lines));
            written.await.unwrap_or_default();
        }
        self.written.send_replace(notes);
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn note(&mut self, session: SessionName) {
        self.notes += 1;
        self.changed.insert(session);
    }

    fn remove(&mut self, session: SessionName) {
        if self.marks.remove(&session).is_some() {
            self.note(session);
        }
    }

    /// What is to be written: what has changed, or everything, if that makes the file
    /// smaller.
    fn take_lines(&mut self, file: &File) -> (file::Lines, u64) {
        let changed = std::mem::take(&mut self.changed);
        let lines = match !changed.is_empty() && file.is_large(self.marks.len()) {
            true => file::Lines::all(&self.marks),
            false => {
                let changed = changed.iter().map(|one| (*one, self.marks.get(one)));
                let mut changed: Vec<_> = changed.collect();
                // What goes goes last: cut short, a place counts twice, and is never lost.
                changed.sort_by_key(|(_, mark)| mark.is_none());
                file::Lines::some(changed.into_iter())
            }
        };
        (lines, self.notes)
    }
}

#[cfg(test)]
mod tests;
