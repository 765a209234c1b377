//! `[redis]`, and the Sentinels by which a Redis is found.

use std::path::PathBuf;

use toml::Spanned;

use super::{super::value::Maybe, tables};

tables! {
    Redis {
        url: Maybe<String>,
        username: Option<String>,
        password_env: Maybe<String>,
        password_file: Maybe<PathBuf>,
        ca_file: Maybe<PathBuf>,
    }
    Sentinel {
        nodes: Vec<Spanned<String>>,
        master: Maybe<String>,
        db: Option<u32>,
        tls: bool,
        password_env: Maybe<String>,
    }
}
