//! How far a folder has been read, for whoever waits for a large one.

use std::{path::Path, time::Duration};

use tokio::time::Instant;
use tracing::info;

/// Between two words about it.
const EVERY: Duration = Duration::from_secs(2);

/// The reading of a folder.
pub(super) struct Progress<'a> {
    folder: &'a Path,
    files: usize,
    read: usize,
    told: Instant,
}

impl<'a> Progress<'a> {
    pub(super) fn new(folder: &'a Path, files: usize) -> Self {
        Self {
            folder,
            files,
            read: 0,
            told: Instant::now(),
        }
    }

    /// One more file has been read.
    pub(super) fn advance(&mut self) {
        self.read += 1;
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (folder, read, files) = (self.folder.display(), self.read, self.files);
            info!(%folder, read, files, "Reading the feed on disk");
        }
    }
}
