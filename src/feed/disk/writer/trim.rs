//! Letting go of what is too old: whole files, the oldest first.

use std::{fs, io::ErrorKind};

use tokio::time::Instant;
use tracing::warn;

use super::{super::meta::sync_folder, Writer};

impl Writer {
    /// Removes segments that are no longer wanted, and saves cursors that came without
    /// events.
    pub(super) fn trim(&mut self) {
        let now = Instant::now();
        let log = self.shared.lock();
        let newest = log.segments.back();
        let ended =
            newest.is_some_and(|newest| newest.events > 0 && self.limits.is_over(newest, now));
        drop(log);
        if ended {
            self.file = None;
        }
        if ended || self.stale {
            self.flush();
        }
        self.remove(now);
    }

    fn remove(&mut self, now: Instant) {
        let handed_out = self.recent.handed_out();
        let mut log = self.shared.lock();
        let mut floor = None;
        while let Some(segment) = log.pop(&self.limits, handed_out, now) {
            floor = Some(segment.last);
            self.doomed.push_back(segment.path);
        }
        self.recent
            .metrics
            .feed_disk_bytes
            .set(i64::try_from(log.bytes()).unwrap_or(i64::MAX));
        drop(log);
        if let Some(floor) = floor {
            self.ids.trim(floor);
        }
        // One after the other, so that no hole can be left between two that stay.
        while let Some(path) = self.doomed.pop_front() {
            let removed = fs::remove_file(&path).and_then(|()| sync_folder(&self.folder));
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    warn!(file = %path.display(), %error, "An old file of the feed cannot be removed");
                    return self.doomed.push_front(path);
                }
                _ => {}
            }
        }
    }
}
