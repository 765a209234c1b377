//! What is refused before the app sees it: requests that two parsers could read
//! in two ways. hyper has already refused what is no HTTP/1 at all.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Improper {
    /// RFC 9112, section 3.2: exactly one, of HTTP/1.1.
    #[error("a request has exactly one valid Host header")]
    Host,
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
            Self::Host | Self::ControlCharacter | Self::UpgradeWithBody => StatusCode::BAD_REQUEST,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// One fixed word for the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::TransferCoding => "transfer_coding",
            Self::ControlCharacter => "control_character",
            Self::Connect => "connect",
            Self::UpgradeWithBody => "upgrade_with_body",
        }
    }
}

/// Looks at a request's head.
///
/// # Errors
/// Why it is refused.
pub fn check(head: &Parts, has_body: bool) -> Result<(), Improper> {
    if head.method == Method::CONNECT {
        return Err(Improper::Connect);
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
    host.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
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
