//! `[app]`: the app behind us.

use std::time::Duration;

use super::super::{Overrides, raw, value::Count};
use crate::upstream::{Address, Settings};

pub(super) fn app(raw: &raw::App, over: &Overrides) -> Settings {
    let written = raw
        .address
        .as_ref()
        .map(|address| address.get_ref().0.clone());
    let usual = || Address::Tcp {
        host: "127.0.0.1".into(),
        port: 8000,
    };
    Settings {
        address: over.app.clone().or(written).unwrap_or_else(usual),
        connect_timeout: raw
            .connect_timeout
            .map_or(Duration::from_secs(5), |wait| wait.0),
        response_timeout: raw
            .response_timeout
            .map_or(Duration::from_secs(60), |wait| wait.0),
        // Event streams are silent for minutes.
        idle_timeout: raw
            .idle_timeout
            .map_or(Duration::from_secs(300), |wait| wait.0),
        keep_alive: raw
            .keep_alive
            .map_or(Duration::from_millis(1500), |wait| wait.0),
        max_connections: raw.max_connections.map_or(512, Count::get),
    }
}
