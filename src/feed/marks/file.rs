//! The marks in a file: a line for each change, the last of a session counts. A line
//! that was torn or garbled is passed over.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::time::Duration;
use tracing::warn;

use super::Mark;
use crate::{
    event::SessionName,
    metrics::{Ended, Metrics},
};

/// Lines beyond those of the living after which the file is written anew.
const SPARE: usize = 20_000;

/// An open file of marks.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Nothing, where it could not be opened.
    open: Mutex<Option<fs::File>>,
    lines: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// Lines to be written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    count: usize,
    /// They are all there are.
    whole: bool,
}

/// One line, behind its check sum.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    session: String,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    mark: Option<Kept<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    endpoint: Cow<'a, str>,
    #[serde(borrow)]
    params: Cow<'a, str>,
    #[serde(borrow)]
    user: Cow<'a, str>,
    at: String,
    /// Milliseconds.
    window: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undecided: bool,
}

impl File {
    /// Reads what is there and begins anew with it.
    pub(super) fn open(path: &Path, metrics: Arc<Metrics>) -> (Self, Vec<(SessionName, Mark)>) {
        let found = match fs::read(path) {
            Ok(bytes) => read(&String::from_utf8_lossy(&bytes)),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(path = %path.display(), %error, "The marks of clients cannot be read");
                }
                HashMap::new()
            }
        };
        let file = Self {
            path: path.to_owned(),
            open: Mutex::default(),
            lines: AtomicUsize::new(0),
            metrics,
        };
        file.write(&Lines::all(&found));
        (file, found.into_iter().collect())
    }

    /// Whether it would be much smaller with the living alone.
    pub(super) fn is_large(&self, living: usize) -> bool {
        self.lines.load(Ordering::Relaxed) > 2 * living + SPARE
    }

    /// Writes lines, and does not sync them. What fails is said and tried again with
    /// everything the next time.
    pub(super) fn write(&self, lines: &Lines) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match open.as_mut().filter(|_| !lines.whole) {
            Some(file) => file.write_all(lines.text.as_bytes()),
            None => self.replace(lines).map(|file| *open = Some(file)),
        };
        match result {
            Ok(()) if lines.whole => self.lines.store(lines.count, Ordering::Relaxed),
            Ok(()) => drop(self.lines.fetch_add(lines.count, Ordering::Relaxed)),
            Err(error) => {
                warn!(path = %self.path.display(), %error, "The marks of clients cannot be written");
                let failures = &self.metrics.feed_write_failures;
                let result = "places";
                failures.get_or_create(&Ended { result }).inc();
                self.lines.store(usize::MAX / 2, Ordering::Relaxed);
            }
        }
    }

    fn replace(&self, lines: &Lines) -> io::Result<fs::File> {
        let next = self.path.with_extension("next");
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .write(true)
            .truncate(true)
            .open(&next)?;
        file.write_all(lines.text.as_bytes())?;
        fs::rename(&next, &self.path)?;
        Ok(file)
    }
}

impl Lines {
    pub(super) fn all(marks: &HashMap<SessionName, Mark>) -> Self {
        let all = marks.iter().map(|(session, mark)| (*session, Some(mark)));
        let whole = true;
        Self {
            whole,
            ..Self::some(all)
        }
    }

    pub(super) fn some<'a>(changed: impl Iterator<Item = (SessionName, Option<&'a Mark>)>) -> Self {
        let mut lines = Self::default();
        for (session, mark) in changed {
            lines.add(session, mark);
        }
        lines
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && !self.whole
    }

    fn add(&mut self, session: SessionName, mark: Option<&Mark>) {
        let line = Line {
            session: session.to_string(),
            mark: mark.map(|mark| Kept {
                endpoint: Cow::from(&*mark.endpoint),
                params: Cow::from(&*mark.params),
                user: mark.user.as_str().into(),
                at: mark.at.to_string(),
                window: u64::try_from(mark.window.as_millis()).unwrap_or(u64::MAX),
                doubted: mark.doubted,
                undecided: mark.undecided,
            }),
        };
        // Texts and numbers: nothing can fail.
        let json = serde_json::to_string(&line).unwrap_or_default();
        writeln!(self.text, "{:08x} {json}", crc32fast::hash(json.as_bytes())).unwrap_or_default();
        self.count += 1;
    }
}

fn read(text: &str) -> HashMap<SessionName, Mark> {
    let mut found = HashMap::new();
    for line in text.lines() {
        match parse(line) {
            Some((session, Some(mark))) => drop(found.insert(session, mark)),
            Some((session, None)) => drop(found.remove(&session)),
            None => {}
        }
    }
    found
}

fn parse(line: &str) -> Option<(SessionName, Option<Mark>)> {
    let (check, json) = line.split_once(' ')?;
    if u32::from_str_radix(check, 16).ok()? != crc32fast::hash(json.as_bytes()) {
        return None;
    }
    let line: Line<'_> = serde_json::from_str(json).ok()?;
    let session = SessionName::read(&line.session)?;
    let Some(kept) = line.mark else {
        return Some((session, None));
    };
    let mark = Mark {
        endpoint: kept.endpoint.as_ref().into(),
        params: kept.params.as_ref().into(),
        user: kept.user.as_ref().into(),
        at: kept.at.parse().ok()?,
        window: Duration::from_millis(kept.window),
        doubted: kept.doubted,
        undecided: kept.undecided,
    };
    Some((session, Some(mark)))
}
