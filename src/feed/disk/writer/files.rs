//! Writing a group: behind what a file holds, or as the first of a new one.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    time::SystemTime,
};

use tokio::time::Instant;
use tracing::info;

use super::{
    super::{
        group::Group,
        meta::sync_folder,
        segment::{self, Segment},
    },
    Writer,
};

impl Writer {
    /// Puts a group at the end of the file.
    pub(super) fn extend(&mut self, file: File, group: &Group) -> io::Result<()> {
        let log = self.shared.lock();
        let length = log.segments.back().map_or(0, |last| last.length);
        drop(log);
        let written = file
            .write_all_at(&group.data, length)
            .and_then(|()| file.sync_data());
        match written {
            Ok(()) => self.file = Some(file),
            // If that fails as well, the head of the next segment says what counts.
            Err(_) => file.set_len(length).unwrap_or_default(),
        }
        written
    }

    /// Begins a segment with a group.
    pub(super) fn create(&mut self, group: &Group) -> io::Result<()> {
        let path = segment::name(&self.folder, group.first);
        let file = File::options().write(true).create_new(true).open(&path)?;
        let written = file
            .write_all_at(&group.data, 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&self.folder));
        match written {
            Ok(()) => {
                let segment = Segment::new(path, self.durable, Instant::now());
                self.shared.lock().segments.push_back(segment);
                self.file = Some(file);
            }
            Err(_) => fs::remove_file(&path).unwrap_or_default(),
        }
        written
    }

    /// Notes that a group is safe.
    pub(super) fn note(&mut self, group: &Group) {
        let mut log = self.shared.lock();
        if let Some(segment) = log.segments.back_mut() {
            for (offset, place) in &group.places {
                segment.note(*offset, segment.length + place);
                self.durable = *offset;
            }
            if !group.places.is_empty() {
                segment.newest = Instant::now();
            }
            segment.length += group.data.len() as u64;
        }
        log.last_sync = Some(SystemTime::now());
        log.last_error = None;
        self.recent
            .metrics
            .feed_disk_bytes
            .set(i64::try_from(log.bytes()).unwrap_or(i64::MAX));
        drop(log);
        for (id, offset) in group.written() {
            self.ids.put(id, offset);
        }
        if std::mem::take(&mut self.failed) {
            info!(folder = %self.folder.display(), "The feed's disk takes events again");
        }
    }
}
