//! What lies behind the window: nothing, this machine's disk, or a Redis.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{Appended, Batch, Page, Status, Unavailable, disk::Disk, redis::Stream};
use crate::event::Offset;

/// Where entries are besides memory.
#[derive(Debug)]
pub(super) enum Store {
    None,
    Disk(Disk),
    Redis(Box<Stream>),
}

impl Store {
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Takes a batch; what it has taken it publishes to the window, in its order.
    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Appended>, Unavailable> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Disk(disk) => disk.append(batch).await,
            Self::Redis(stream) => stream.append(batch).await,
        }
    }

    /// What stands after a cursor that is before the window.
    pub(super) async fn after(&self, cursor: Offset, limit: usize) -> Page {
        match self {
            Self::None => Page::Lost { oldest: cursor },
            Self::Disk(disk) => disk.after(cursor, limit).await,
            // The compiler would follow its type through all who wait for it.
            Self::Redis(stream) => stream.after(cursor, limit).boxed().await,
        }
    }

    /// How far a source had come.
    pub(super) async fn cursor(&self, source: &str) -> Option<Arc<str>> {
        match self {
            Self::None => None,
            Self::Disk(disk) => disk.cursor(source),
            Self::Redis(stream) => stream.cursor(source).boxed().await,
        }
    }

    /// How it is, where it knows more than the window does.
    pub(super) fn describe(&self, status: &mut Status) {
        match self {
            Self::None => status.store = "memory",
            Self::Disk(disk) => disk.describe(status),
            Self::Redis(stream) => stream.describe(status),
        }
    }

    /// Forgets what is too old; does not wait for that.
    pub(super) fn trim(&self) {
        match self {
            Self::None => {}
            Self::Disk(disk) => disk.trim(),
            Self::Redis(stream) => stream.trim(),
        }
    }

    /// Takes nothing from now on.
    pub(super) fn close(&self) {
        match self {
            Self::None => {}
            Self::Disk(disk) => disk.close(),
            Self::Redis(stream) => stream.close(),
        }
    }

    /// Waits, once it is closed, until nothing is to be done any more.
    pub(super) async fn ended(&self) {
        match self {
            Self::None | Self::Redis(_) => {}
            Self::Disk(disk) => disk.ended().await,
        }
    }
}
