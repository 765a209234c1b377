//! The one thread that owns the log on the disk: gathers what has come in, writes it with
//! one write and one sync, shows it, answers.
//!
//! After a write or a sync that failed, the file is not trusted any more (a second sync
//! may say yes to what the first has lost): it is cut back to its last good length and
//! left, and whatever comes next begins a new segment, whose head disowns what the
//! failure may have left behind.

mod files;
mod trim;

use std::{collections::VecDeque, fs::File, io, path::PathBuf, sync::Arc, time::SystemTime};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, error};

use super::{
    super::recent::Recent,
    fault,
    group::{Group, Request},
    ids::Ids,
    open::Opened,
    record::Kind,
    segment::{Limits, Shared},
};
use crate::{event::Offset, metrics::Ended};

/// No more is written at once, unless one batch alone is larger.
const GROUP: usize = 8 << 20;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Ask {
    Append(Request),
    Trim,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    limits: Limits,
    recent: Arc<Recent>,
    shared: Arc<Shared>,
    ids: Ids,
    /// The last segment, if the next group can stand in it.
    file: Option<File>,
    /// The last event that is safe.
    durable: Offset,
    /// The last offset that was given out, even if in vain.
    last: Offset,
    /// Cursors have come since something was last written.
    stale: bool,
    /// The last write failed.
    failed: bool,
    /// Files that are to be removed.
    doomed: VecDeque<PathBuf>,
    buffer: Vec<u8>,
    /// Held as long as the folder is ours.
    _lock: File,
    /// Dropped last of all: then the folder is free.
    _done: watch::Sender<()>,
}

impl Writer {
    pub(super) fn new(
        opened: Opened,
        (folder, limits): (PathBuf, Limits),
        recent: Arc<Recent>,
        done: watch::Sender<()>,
    ) -> Self {
        Self {
            folder,
            limits,
            recent,
            shared: opened.shared,
            ids: opened.ids,
            file: None,
            durable: opened.durable,
            last: opened.begin,
            stale: opened.stale,
            failed: false,
            doomed: VecDeque::new(),
            buffer: Vec::new(),
            _lock: opened.lock,
            _done: done,
        }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        // Whoever comes back was here after this log began, even if it is empty still.
        if self.shared.lock().segments.is_empty() {
            self.flush();
        }
        while let Some(ask) = asks.blocking_recv() {
            match ask {
                Ask::Append(request) => self.append(request, &mut asks),
                Ask::Trim => self.trim(),
            }
        }
        self.seal();
    }

    /// Writes a batch and all that has gathered behind it.
    fn append(&mut self, first: Request, asks: &mut mpsc::Receiver<Ask>) {
        let mut group = self.group();
        let mut trim = false;
        group.take(first, &self.ids, &self.recent);
        while group.data.len() < GROUP {
            match asks.try_recv() {
                Ok(Ask::Append(request)) => group.take(request, &self.ids, &self.recent),
                Ok(Ask::Trim) => trim = true,
                Err(_) => break,
            }
        }
        self.finish(group);
        if trim {
            self.trim();
        }
    }

    /// An empty group; with a head, if it begins a segment.
    fn group(&mut self) -> Group {
        let length = self.length();
        let mut group = Group::new(std::mem::take(&mut self.buffer), length, self.last);
        if self.file.is_none() {
            group.put(Kind::Head, self.durable, ("", ""));
        }
        if self.file.is_none() || self.stale {
            for (source, cursor) in &self.shared.lock().cursors {
                group.put(Kind::Cursor, self.durable, (source, cursor));
            }
        }
        group
    }

    /// How long the file is; lets go of it if it is full.
    fn length(&mut self) -> u64 {
        let log = self.shared.lock();
        match log.segments.back() {
            Some(last) if self.file.is_some() && !self.limits.is_full(last, Instant::now()) => {
                last.length
            }
            _ => {
                self.file = None;
                0
            }
        }
    }

    /// Makes a group safe if there is anything to be, then shows and answers it.
    fn finish(&mut self, mut group: Group) {
        self.last = group.last;
        let saved = match group.places.is_empty() && !self.failed {
            true => Ok(false),
            false => self.save(&mut group).map(|()| true),
        };
        self.buffer = match saved {
            Ok(saved) => {
                self.stale = !saved && (self.stale || !group.cursors.is_empty());
                self.shared.lock().cursors.extend(group.cursors.drain(..));
                group.publish(&self.recent)
            }
            Err(error) => group.refuse(self.fail(&error)),
        };
    }

    /// Writes a group and waits until it is safe.
    fn save(&mut self, group: &mut Group) -> io::Result<()> {
        group.put_cursors(self.durable);
        let begun = Instant::now();
        match self.file.take() {
            Some(file) => self.extend(file, group)?,
            None => self.create(group)?,
        }
        let metrics = &self.recent.metrics;
        metrics
            .feed_sync_seconds
            .observe(begun.elapsed().as_secs_f64());
        metrics.feed_group_events.observe(group.places.len() as f64);
        self.note(group);
        Ok(())
    }

    /// Notes why a group is not safe.
    fn fail(&mut self, error: &io::Error) -> &'static str {
        let (result, reason) = fault::reason(error);
        let failures = &self.recent.metrics.feed_write_failures;
        failures.get_or_create(&Ended { result }).inc();
        self.shared.lock().last_error = Some((error.to_string(), SystemTime::now()));
        let folder = self.folder.display();
        match std::mem::replace(&mut self.failed, true) {
            false => {
                error!(%folder, %error, reason, "The feed's disk takes nothing: events are answered 503 until it does; further failures are logged at debug")
            }
            true => debug!(%folder, %error, reason, "The feed's disk still takes nothing"),
        }
        // Whatever the failure left behind, no other entry gets its offset, no other
        // file its name.
        self.last = self.last.next();
        reason
    }

    /// Writes what came without events.
    fn flush(&mut self) {
        let group = self.group();
        self.flush_with(group);
    }

    fn flush_with(&mut self, mut group: Group) {
        match self.save(&mut group) {
            Ok(()) => self.stale = false,
            Err(error) => drop(self.fail(&error)),
        }
    }

    /// Says that nothing follows: what cannot be read before that was damaged.
    fn seal(&mut self) {
        if self.file.is_some() || self.stale {
            let mut group = self.group();
            group.put(Kind::End, self.durable, ("", ""));
            self.flush_with(group);
        }
    }
}
