//! What the process itself has: `[listen]`, `[app]`, `[admin]`, `[trust]`, `[stop]`, `[log]`.

use std::path::PathBuf;

use toml::Spanned;

use super::{
    super::{
        named::{Server, Socket},
        value::{Count, Maybe, Size, Time, Wait},
    },
    tables, words,
};

tables! {
    Listen {
        address: Maybe<Socket>,
        tls: Maybe<Tls>,
        limits: ListenLimits,
    }
    Tls {
        certificate: Maybe<PathBuf>,
        key: Maybe<PathBuf>,
    }
    ListenLimits {
        max_connections: Option<Count>,
        max_connections_per_address: Option<Count>,
        header_timeout: Option<Wait>,
        idle_timeout: Option<Wait>,
        write_timeout: Option<Wait>,
        max_header_bytes: Option<Size>,
        max_headers: Option<Count>,
    }
    App {
        address: Maybe<Server>,
        connect_timeout: Option<Wait>,
        response_timeout: Option<Wait>,
        idle_timeout: Option<Wait>,
        keep_alive: Option<Wait>,
        max_connections: Option<Count>,
    }
    Admin {
        address: Maybe<Socket>,
        enabled: Option<bool>,
    }
    Trust {
        proxies: Vec<Spanned<String>>,
    }
    Stop {
        notice: Option<Time>,
        spread: Option<Time>,
        deadline: Maybe<Wait>,
    }
    Log {
        format: Option<LogFormat>,
        level: Maybe<String>,
        access: Option<bool>,
    }
}

words! {
    LogFormat { Text, Json, }
}
