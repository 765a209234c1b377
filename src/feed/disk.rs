//! The feed on this machine's disk.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Appended, Batch, OpenError, Page, Status, Unavailable, log::Recent};
use crate::event::Offset;

/// Where on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A folder of its own.
    pub path: PathBuf,
}

/// An open log on the disk.
#[derive(Debug)]
pub(super) struct Disk;

impl Disk {
    pub(super) fn open(_: &super::Settings, _: Arc<Recent>) -> Result<Self, OpenError> {
        Err(OpenError("feeds on disk are not in this version".into()))
    }

    #[expect(clippy::unused_async, reason = "answers when the disk has")]
    pub(super) async fn append(&self, _: Batch) -> Result<Vec<Appended>, Unavailable> {
        Err(Unavailable {
            reason: "the disk is away",
            retry_after: Duration::from_secs(1),
        })
    }

    #[expect(clippy::unused_async, reason = "answers when the disk has")]
    pub(super) async fn after(&self, oldest: Offset, _: usize) -> Page {
        Page::Lost { oldest }
    }

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn cursor(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn describe(&self, status: &mut Status) {
        status.store = "disk";
    }

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn trim(&self) {}

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn close(&self) {}
}
