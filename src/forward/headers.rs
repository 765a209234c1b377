//! What a proxy takes out of a message and what it adds (RFC 9110, section 7.6;
//! RFC 7239). All else keeps its spelling, its order and its duplicates.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONNECTION, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};

use crate::{routes::Trusted, wire::Peer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether `Upgrade` goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrades {
    Drop,
    Keep,
}

/// Makes a client's head one to the app.
pub(super) fn to_app(head: &mut Parts, peer: &Peer, trusted: &Trusted, upgrades: Upgrades) {
    let wants_trailers = accepts_trailers(&head.headers);
    strip(&mut head.headers, upgrades);
    if wants_trailers {
        head.headers
            .append(TE, HeaderValue::from_static("trailers"));
    }
    to_origin_form(head);
    tell_who(&mut head.headers, peer, trusted);
}

/// Makes the app's headers ones to the client.
pub(super) fn to_client(headers: &mut HeaderMap, upgrades: Upgrades) {
    strip(headers, upgrades);
}

/// Takes out headers with `_` in their names, as nginx does unless it is told not
/// to: CGI and WSGI servers take `X_Forwarded_For` for `X-Forwarded-For`. Gives back
/// how many there were.
pub fn drop_underscored(headers: &mut HeaderMap) -> usize {
    let has_underscore = |name: &HeaderName| name.as_str().contains('_');
    let before = headers.len();
    if headers.keys().any(has_underscore) {
        keep(headers, |name| !has_underscore(name));
    }
    before - headers.len()
}

/// `HeaderMap::remove` would disturb the order, so the rest is put together anew.
fn keep(headers: &mut HeaderMap, stays: impl Fn(&HeaderName) -> bool) {
    let mut kept = HeaderMap::with_capacity(headers.len() + 4);
    let mut last = None;
    for (name, value) in std::mem::take(headers) {
        last = name.or(last);
        if let Some(name) = &last
            && stays(name)
        {
            kept.append(name.clone(), value);
        }
    }
    *headers = kept;
}

/// Takes out what is between neighbours only, and whatever `Connection` names.
fn strip(headers: &mut HeaderMap, upgrades: Upgrades) {
    let named = named_by_connection(headers);
    let goes = |name: &HeaderName| is_hop_by_hop(name) || named.contains(name);
    if !headers.keys().any(goes) {
        return;
    }
    let upgrade = headers
        .get(UPGRADE)
        .cloned()
        .filter(|_| upgrades == Upgrades::Keep);
    keep(headers, |name| !goes(name));
    if let Some(protocol) = upgrade {
        headers.append(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.append(UPGRADE, protocol);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(*name, CONNECTION | TE | TRANSFER_ENCODING | UPGRADE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// The names `Connection` lists. End-to-end fields cannot be taken out that way:
/// without `Host` or a length the request would become another one.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(',')).map(str::trim);
    let names = names.filter_map(|name| HeaderName::try_from(name).ok());
    names
        .filter(|name| {
            !matches!(
                *name,
                HOST | header::CONTENT_LENGTH | header::AUTHORIZATION | header::COOKIE
            )
        })
        .collect()
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

/// Whether `Connection` holds this word.
pub(super) fn connection_says(headers: &HeaderMap, word: &str) -> bool {
    lists(headers, &CONNECTION, word)
}

fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lists = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// The headers of [`tell_who`]; what a trusted proxy said in them goes on.
pub const WHO: [HeaderName; 4] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
];

/// Tells the app who asks and by which host and scheme (RFC 7239). `headers` hold
/// the client's `Host` and what it said in [`WHO`]: that is believed, and added to,
/// if the neighbour is a trusted proxy, and else replaced.
pub fn tell_who(headers: &mut HeaderMap, peer: &Peer, trusted: &Trusted) {
    let believed = trusted.contains(peer.address.ip());
    let host = headers.get(HOST).cloned();
    let scheme = if peer.secure { "https" } else { "http" };
    let client = peer.address.ip().to_canonical().to_string();
    extend(
        headers,
        FORWARDED,
        &forwarded(peer.address, host.as_ref(), scheme),
        believed,
    );
    extend(headers, X_FORWARDED_FOR, &client, believed);
    for (name, value) in [
        (X_FORWARDED_PROTO, HeaderValue::try_from(scheme).ok()),
        (X_FORWARDED_HOST, host),
    ] {
        if let Some(value) = value
            && !(believed && headers.contains_key(&name))
        {
            headers.insert(name, value);
        }
    }
}

/// Adds to what trusted proxies before us said, or starts anew.
fn extend(headers: &mut HeaderMap, name: HeaderName, value: &str, believed: bool) {
    let said = headers.get_all(&name).iter().filter(|_| believed);
    let said = said.filter_map(|value| value.to_str().ok());
    let list = said.chain([value]).collect::<Vec<_>>().join(", ");
    if let Ok(list) = HeaderValue::try_from(list) {
        headers.insert(name, list);
    }
}

/// One element of `Forwarded` (RFC 7239, section 4).
fn forwarded(client: SocketAddr, host: Option<&HeaderValue>, scheme: &str) -> String {
    let node = match client.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let quotable = |host: &&str| !host.contains(['"', '\\']);
    match host.and_then(|host| host.to_str().ok()).filter(quotable) {
        Some(host) => format!("for={node};host=\"{host}\";proto={scheme}"),
        None => format!("for={node};proto={scheme}"),
    }
}

/// The path and query as they came; `http://host/path` is for proxies only. Its
/// authority takes the place of `Host` (RFC 9112, section 3.2.2).
fn to_origin_form(head: &mut Parts) {
    if head.uri.scheme().is_none() {
        return;
    }
    let authority = head
        .uri
        .authority()
        .map(|authority| HeaderValue::try_from(authority.as_str()));
    if let Some(Ok(authority)) = authority {
        head.headers.insert(HOST, authority);
    }
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if let Ok(uri) = target.parse() {
        head.uri = uri;
    }
}
