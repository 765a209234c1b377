//! `[feed]`: where events are kept, and how many.

use std::path::PathBuf;

use toml::Spanned;

use super::{
    super::value::{Count, Maybe, Size, Wait},
    redis::Sentinel,
    tables,
};

tables! {
    Feed {
        memory: Maybe<Memory>,
        disk: Maybe<DiskFeed>,
        redis: Maybe<RedisFeed>,
    }
    Memory {
        keep: Option<Wait>,
        max_events: Option<Count>,
        max_bytes: Option<Size>,
    }
    DiskFeed {
        path: Maybe<PathBuf>,
        keep: Option<Wait>,
        max_events: Option<Count>,
        max_bytes: Option<Size>,
        memory: Option<Size>,
    }
    RedisFeed {
        url: Maybe<String>,
        cluster: Vec<Spanned<String>>,
        sentinel: Maybe<Sentinel>,
        username: Option<String>,
        password_env: Maybe<String>,
        password_file: Maybe<PathBuf>,
        ca_file: Maybe<PathBuf>,
        prefix: Maybe<String>,
        keep: Option<Wait>,
        max_events: Option<Count>,
        memory: Option<Size>,
    }
}
