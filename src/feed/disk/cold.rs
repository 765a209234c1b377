//! Reading what lies before the window: from the files, off the runtime's threads.

use std::{fs::File, io, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use tracing::error;

use super::{
    super::codec,
    record::{self, Kind},
    segment::{Log, Shared, instant},
};
use crate::event::{Entry, Offset, Position};

/// So much is read at a time.
const CHUNK: u64 = 256 << 10;

/// What was found after a cursor.
pub(super) enum Found {
    /// In order, as many as were wanted; fewer only if the disk has no more.
    Entries(Vec<Arc<Entry>>),
    /// Something after the cursor is gone; what stands after this can be read.
    Lost(Offset),
}

/// Where a piece of the log stands.
struct Place {
    path: PathBuf,
    from: u64,
    end: u64,
    last: Offset,
}

/// At most `limit` entries after a cursor.
pub(super) fn read(
    shared: &Shared,
    epoch: u64,
    mut cursor: Offset,
    limit: usize,
) -> io::Result<Found> {
    let mut entries = Vec::new();
    while entries.len() < limit {
        let place = match place(&shared.lock(), cursor) {
            Ok(Some(place)) => place,
            Ok(None) => break,
            Err(floor) => return Ok(Found::Lost(floor)),
        };
        let file = match File::open(&place.path) {
            // Trimmed since it was looked up.
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_gone(shared, &place) => {
                continue;
            }
            file => file?,
        };
        let mut chunks = Chunks {
            file,
            from: place.from,
            end: place.end,
        };
        while entries.len() < limit && chunks.from < chunks.end {
            let read = chunks.next(|offset, body| {
                if offset > cursor && entries.len() < limit {
                    entries.push(entry(Position { epoch, offset }, body)?);
                    cursor = offset;
                }
                Ok(())
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    error!(file = %place.path.display(), at = chunks.from, "The feed on disk cannot be read there any more");
                    return Ok(Found::Lost(place.last));
                }
                read => read?,
            }
        }
        if chunks.from >= chunks.end {
            cursor = cursor.max(place.last);
        }
    }
    Ok(Found::Entries(entries))
}

fn place(log: &Log, cursor: Offset) -> Result<Option<Place>, Offset> {
    if cursor < log.floor {
        return Err(log.floor);
    }
    let before = log
        .segments
        .partition_point(|segment| segment.last <= cursor);
    Ok(log.segments.get(before).map(|segment| Place {
        path: segment.path.clone(),
        from: segment.place(cursor),
        end: segment.length,
        last: segment.last,
    }))
}

fn is_gone(shared: &Shared, place: &Place) -> bool {
    let log = shared.lock();
    !log.segments
        .iter()
        .any(|segment| segment.path == place.path)
}

/// The good part of a file, from a record on.
struct Chunks {
    file: File,
    from: u64,
    end: u64,
}

impl Chunks {
    /// Visits the events of the next chunk, which is as large as its first record at least.
    fn next(&mut self, mut visit: impl FnMut(Offset, &str) -> io::Result<()>) -> io::Result<()> {
        let mut data = self.get(CHUNK)?;
        let first = record::length(&data, 0).ok_or(io::ErrorKind::InvalidData)?;
        if first > data.len() {
            data = self.get(first as u64)?;
        }
        let mut at = 0;
        while at == 0 || record::length(&data, at).is_some_and(|length| length <= data.len() - at) {
            let (record, end) =
                record::read(&data, at).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if record.kind == Kind::Event {
                visit(record.offset, record.body)?;
            }
            at = end;
        }
        self.from += at as u64;
        Ok(())
    }

    fn get(&self, most: u64) -> io::Result<Vec<u8>> {
        let length = most.min(self.end - self.from);
        let mut data = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut data, self.from)?;
        Ok(data)
    }
}

fn entry(position: Position, body: &str) -> io::Result<Arc<Entry>> {
    let (event, at) =
        codec::decode(body).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let accepted = instant(at);
    Ok(Arc::new(Entry {
        position,
        accepted,
        at,
        event,
    }))
}
