//! The feed in a Redis Stream that several nodes share.

use std::{sync::Arc, time::Duration};

use super::{Appended, Batch, Page, Unavailable, log::Recent};
use crate::{event::Offset, redis::Server};

/// Which stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the Redis is.
    pub server: Server,
    /// What its keys begin with. Nodes with the same one share a feed.
    pub prefix: String,
}

/// A stream that is read all the time.
#[derive(Debug)]
pub(super) struct Stream;

impl Stream {
    pub(super) fn open(_: &super::Settings, _: Arc<Recent>) -> Self {
        Self
    }

    #[expect(clippy::unused_async, reason = "answers when Redis has")]
    pub(super) async fn append(&self, _: Batch) -> Result<Vec<Appended>, Unavailable> {
        Err(Unavailable {
            reason: "Redis is away",
            retry_after: Duration::from_secs(1),
        })
    }

    #[expect(clippy::unused_async, reason = "answers when Redis has")]
    pub(super) async fn after(&self, oldest: Offset, _: usize) -> Page {
        Page::Lost { oldest }
    }

    #[expect(clippy::unused_async, reason = "answers when Redis has")]
    pub(super) async fn cursor(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn trim(&self) {}

    #[expect(clippy::unused_self, reason = "being built")]
    pub(super) fn close(&self) {}
}
