//! What is refused before the app sees it: requests that two parsers could read
//! in two ways. hyper has already refused what is no HTTP/1 at all.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};

use crate::{upstream::SendError, wire::Peer};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Improper {
    /// RFC 9112, sections 2.2 and 6.1: hyper would forgive it, others might not.
    #[error("a head's lines end with CRLF, and one header says how long the body is")]
    Framing,
    /// RFC 9112, section 3.2: exactly one, of HTTP/1.1.
    #[error("a request has exactly one valid Host header")]
    Host,
    /// RFC 9112, section 3.2: a path, `*` of OPTIONS, or the URL of a resource.
    #[error("a request's target is a path, or a URL without a user")]
    Target,
    /// A coding other than chunked would be lost on the way.
    #[error("the only transfer coding served is chunked")]
    TransferCoding,
    /// A byte that some parsers take for the end of a line.
    #[error("a header holds a control character")]
    ControlCharacter,
    /// A proxy for everything is not what this is.
    #[error("CONNECT is not served")]
    Connect,
    /// Its end and the beginning of the other protocol could be mixed up.
    #[error("a request to switch protocols has no body")]
    UpgradeWithBody,
}

impl Improper {
    /// The status to answer with. The connection is closed after it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Framing
            | Self::Host
            | Self::Target
            | Self::ControlCharacter
            | Self::UpgradeWithBody => StatusCode::BAD_REQUEST,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// One fixed word for the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Host => "host",
            Self::Target => "target",
            Self::TransferCoding => "transfer_coding",
            Self::ControlCharacter => "control_character",
            Self::Connect => "connect",
            Self::UpgradeWithBody => "upgrade_with_body",
        }
    }
}

/// Looks at the head of the request that `peer` has just sent.
///
/// # Errors
/// Why it is refused.
pub fn check(head: &Parts, has_body: bool, peer: &Peer) -> Result<(), Improper> {
    if peer.activity.is_improper() {
        return Err(Improper::Framing);
    }
    if head.method == Method::CONNECT {
        return Err(Improper::Connect);
    }
    if !has_proper_target(head) {
        return Err(Improper::Target);
    }
    if !has_proper_host(head) {
        return Err(Improper::Host);
    }
    if !has_proper_coding(&head.headers) {
        return Err(Improper::TransferCoding);
    }
    if head.headers.values().any(holds_line_end) {
        return Err(Improper::ControlCharacter);
    }
    if has_body && head.headers.contains_key(UPGRADE) && head.method == Method::GET {
        return Err(Improper::UpgradeWithBody);
    }
    Ok(())
}

/// Looks at the head of a response that switches to no other protocol.
///
/// # Errors
/// Why it cannot be passed on.
pub(super) fn check_response(status: StatusCode, headers: &HeaderMap) -> Result<(), SendError> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(SendError::Improper("it switches protocols unasked"));
    }
    if !has_proper_coding(headers) {
        return Err(SendError::Improper("its transfer coding is not chunked"));
    }
    // RFC 9112, section 6.3: it could be an attempt at response splitting.
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(SendError::Improper(
            "it has both a length and a transfer coding",
        ));
    }
    Ok(())
}

fn has_proper_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, None) => head.version < Version::HTTP_11,
        _ => false,
    }
}

/// `uri-host [ ":" port ]` of RFC 3986, or nothing at all.
fn is_host(host: &[u8]) -> bool {
    let name = match host {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (address, port) = rest.split_at(end);
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
            return address.iter().all(is_address) && is_port(port.get(1..).unwrap_or_default());
        }
        name => name,
    };
    let end = name.iter().position(|byte| *byte == b':');
    let (name, port) = name.split_at(end.unwrap_or(name.len()));
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte);
    name.iter().all(is_name) && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn has_proper_target(head: &Parts) -> bool {
    let uri = &head.uri;
    match (uri.scheme(), uri.authority()) {
        (None, None) => uri.path() != "*" || head.method == Method::OPTIONS,
        (Some(_), Some(authority)) => is_host(authority.as_str().as_bytes()),
        _ => false,
    }
}

fn has_proper_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(chunked) && codings.next().is_none()
}

/// The next-line character U+0085 splits a line in Python's `str.splitlines`. As
/// part of another UTF-8 character the byte is harmless; the other control
/// characters hyper refuses.
fn holds_line_end(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let suspect = bytes.contains(&0x85);
    suspect && std::str::from_utf8(bytes).map_or(true, |text| text.contains('\u{85}'))
}
