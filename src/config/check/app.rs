//! `[app]`: the app behind us.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use super::{
    super::{Overrides, raw, value::Count},
    Check, Problem, listen,
};
use crate::upstream::{Address, Settings};

pub(super) fn app(check: &mut Check<'_>, file: &raw::File, over: &Overrides) -> Settings {
    let settings = settings(&file.app, over);
    let place = [
        file.app.address.as_ref().map(toml::Spanned::span),
        file.listen.address.as_ref().map(toml::Spanned::span),
    ];
    if is_ours(&settings.address, listen::address(&file.listen, over)) {
        let message = "the app and Outrigger cannot share an address";
        let help = "clients connect to [listen] address (--listen), the app is at [app] address \
                    (--app): give one of them another port";
        let place = place.into_iter().flatten().next();
        check
            .problems
            .push(Problem::error(place, message).help(help));
    }
    settings
}

/// Whether we would forward to ourselves. Port 0 is any free one.
fn is_ours(app: &Address, listen: SocketAddr) -> bool {
    let (Address::Tcp { host, port } | Address::Tls { host, port }) = app else {
        return false;
    };
    let ours = match host.parse::<IpAddr>() {
        Ok(ip) if listen.ip().is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
        Ok(ip) if ip.is_unspecified() => listen.ip().is_loopback(),
        Ok(ip) => ip == listen.ip(),
        Err(_) => {
            host.eq_ignore_ascii_case("localhost")
                && (listen.ip().is_loopback() || listen.ip().is_unspecified())
        }
    };
    ours && *port == listen.port() && *port != 0
}

fn settings(raw: &raw::App, over: &Overrides) -> Settings {
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
