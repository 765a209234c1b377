//! `[listen]`, `[admin]` and `[trust]`: the two ports and who stands before them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    super::{Overrides, raw, value::Count},
    Check,
};
use crate::{
    admin,
    listen::{Limits, Settings, TlsFiles},
    routes::Trusted,
};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// A sidecar on default limits of open files (many systems allow 65,536 and more).
const CONNECTIONS: usize = 20_000;

pub(super) fn listen(check: &mut Check<'_>, raw: &raw::Listen, over: &Overrides) -> Settings {
    Settings {
        address: address(raw, over),
        tls: raw.tls.as_ref().and_then(|tls| {
            let both = tls
                .get_ref()
                .certificate
                .as_ref()
                .zip(tls.get_ref().key.as_ref());
            if both.is_none() {
                let help = "name both: tls = { certificate = \"chain.pem\", key = \"key.pem\" }";
                check.error(tls.span(), "TLS needs a certificate and its key", help);
            }
            let (certificate, key) = both?;
            check.file(certificate);
            check.file(key);
            Some(TlsFiles {
                certificate: check.absolute(certificate.get_ref()),
                key: check.absolute(key.get_ref()),
            })
        }),
        limits: limits(&raw.limits),
    }
}

pub(super) fn address(raw: &raw::Listen, over: &Overrides) -> SocketAddr {
    let written = raw.address.as_ref().map(|address| address.get_ref().0);
    over.listen.or(written).unwrap_or(LISTEN)
}

fn limits(raw: &raw::ListenLimits) -> Limits {
    let total = raw.max_connections.map_or(CONNECTIONS, Count::get);
    Limits {
        max_connections: total,
        // Behind a balancer all clients have one address: no default could be right.
        max_connections_per_address: raw.max_connections_per_address.map_or(total, Count::get),
        header_timeout: raw
            .header_timeout
            .map_or(Duration::from_secs(10), |wait| wait.0),
        idle_timeout: raw
            .idle_timeout
            .map_or(Duration::from_secs(75), |wait| wait.0),
        write_timeout: raw
            .write_timeout
            .map_or(Duration::from_secs(30), |wait| wait.0),
        max_header_bytes: raw.max_header_bytes.map_or(32 << 10, |size| size.0),
        max_headers: raw.max_headers.map_or(100, Count::get),
    }
}

pub(super) fn admin(
    check: &mut Check<'_>,
    file: &raw::File,
    over: &Overrides,
) -> Option<admin::Settings> {
    if file.admin.enabled == Some(false) && over.admin.is_none() {
        return None;
    }
    let written = file.admin.address.as_ref();
    let address = over.admin.or(written.map(|address| address.get_ref().0));
    let address = address.unwrap_or(ADMIN);
    if clash(address, self::address(&file.listen, over)) {
        let place = written.or(file.listen.address.as_ref());
        check.problems.push(
            super::Problem::error(
                place.map(toml::Spanned::span),
                format!("clients and operators cannot share the address {address}"),
            )
            .help("give [admin] another port, one that clients cannot reach"),
        );
    }
    Some(admin::Settings { address })
}

/// Whether two listeners cannot both be bound. Port 0 is any free one.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let all = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (all || a.ip() == b.ip())
}

pub(super) fn trusted(check: &mut Check<'_>, raw: &raw::Trust) -> Trusted {
    for proxy in &raw.proxies {
        if Trusted::parse([proxy.get_ref().as_str()]).is_err() {
            let message = format!("`{}` is not a network", proxy.get_ref());
            check.error(proxy.span(), message, "write 10.0.0.0/8, 127.0.0.1 or ::1");
        }
    }
    let proxies = raw.proxies.iter().map(|proxy| proxy.get_ref().as_str());
    Trusted::parse(proxies).unwrap_or_default()
}
