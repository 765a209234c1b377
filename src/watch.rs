//! "The bytes of this file changed": told once, after the writing is over.
//!
//! Editors rename over a file, Kubernetes swaps a symlink beside it, scripts
//! write it in pieces. So the folder is watched, any event but reading counts,
//! a quiet moment is waited for, and the bytes are compared.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// How long the folder must be quiet before the file is read.
const QUIET: Duration = Duration::from_millis(25);
/// How long a file is waited for that looks half written.
const HALF: Duration = Duration::from_millis(250);
/// The size in which programs hand over a file that they write in pieces.
const PIECE: usize = 4096;
/// A folder that is never quiet is not waited for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// Network mounts tell nothing, so the file is also looked at this often.
const POLL: Duration = Duration::from_secs(60);

/// Watches one file.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    seen: Vec<u8>,
    events: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Begins to watch. `seen` are the bytes that are known already; what has
    /// changed since they were read is told as well.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn new(path: &Path, seen: Vec<u8>) -> io::Result<Self> {
        let (sender, events) = mpsc::channel(1);
        // Looks once by itself: the file may have changed before the watch began.
        sender.try_send(()).unwrap_or_default();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let reading = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
            if !reading {
                // A full queue already says that something happened.
                sender.try_send(()).unwrap_or_default();
            }
        })
        .map_err(io::Error::other)?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new("."));
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(io::Error::other)?;
        Ok(Self {
            path: path.to_owned(),
            seen,
            events,
            _watcher: watcher,
        })
    }

    /// Waits until the file's bytes differ from those seen last, and gives them.
    /// A file that is gone for a moment is waited for.
    pub async fn changed(&mut self) -> Vec<u8> {
        loop {
            match timeout(POLL, self.events.recv()).await {
                Ok(Some(())) => self.settle().await,
                // The watcher is gone; polling goes on.
                Ok(None) => sleep(POLL).await,
                Err(_) => {}
            }
            if self.looks_half_written() {
                sleep(HALF).await;
            }
            if let Some(bytes) = self.differs() {
                return bytes;
            }
        }
    }

    /// The bytes now; they count as seen. What cannot be read counts as empty, so
    /// that its return is a change.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        self.seen.clear();
        self.seen = fs::read(&self.path)?;
        Ok(self.seen.clone())
    }

    /// Whether a writer may be in the middle of it: cut to nothing, or to a whole
    /// number of pieces, and shorter than it was.
    fn looks_half_written(&self) -> bool {
        let length = fs::read(&self.path).map_or(0, |bytes| bytes.len());
        length.is_multiple_of(PIECE) && length < self.seen.len()
    }

    fn differs(&mut self) -> Option<Vec<u8>> {
        let bytes = fs::read(&self.path).ok()?;
        if bytes == self.seen {
            return None;
        }
        self.seen.clone_from(&bytes);
        Some(bytes)
    }

    async fn settle(&mut self) {
        let quiet = async { while timeout(QUIET, self.events.recv()).await == Ok(Some(())) {} };
        // A folder that never rests is read all the same.
        timeout(PATIENCE, quiet).await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(watch: &mut FileWatch) -> String {
        let changed = timeout(Duration::from_secs(10), watch.changed()).await;
        String::from_utf8(changed.expect("no change was seen")).unwrap()
    }

    #[tokio::test]
    async fn what_changed_before_the_watch_began_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outrigger.toml");
        fs::write(&path, "two").unwrap();
        let mut watch = FileWatch::new(&path, b"one".to_vec()).unwrap();
        assert_eq!(next(&mut watch).await, "two");
    }

    #[tokio::test]
    async fn writes_renames_and_symlink_swaps_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outrigger.toml");
        fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(&path, b"one".to_vec()).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut watch).await, "two");
        for text in ["three", "four"] {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            assert_eq!(next(&mut watch).await, text);
        }
    }

    #[tokio::test]
    async fn a_half_written_file_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outrigger.toml");
        let whole = "x".repeat(PIECE + 100);
        fs::write(&path, &whole).unwrap();
        let mut watch = FileWatch::new(&path, whole.into()).unwrap();
        let write_in_pieces = async {
            fs::write(&path, "").unwrap();
            sleep(QUIET * 3).await;
            fs::write(&path, "y".repeat(PIECE)).unwrap();
            sleep(QUIET * 3).await;
            fs::write(&path, "y".repeat(PIECE + 1)).unwrap();
        };
        let (seen, ()) = tokio::join!(next(&mut watch), write_in_pieces);
        assert_eq!(seen.len(), PIECE + 1);
    }

    #[tokio::test]
    async fn a_config_map_swap_is_seen() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "one"), ("..2", "two"), ("..3", "three")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("outrigger.toml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/outrigger.toml", at("outrigger.toml")).unwrap();
        let mut watch = FileWatch::new(&at("outrigger.toml"), b"one".to_vec()).unwrap();
        for (version, text) in [("..2", "two"), ("..3", "three")] {
            symlink(version, at("..tmp")).unwrap();
            fs::rename(at("..tmp"), at("..data")).unwrap();
            assert_eq!(next(&mut watch).await, text);
        }
    }
}
