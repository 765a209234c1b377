//! Where a token is looked for in a request, and which one wins.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use crate::secret::Secret;

/// A place a token may stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A query parameter of this name.
    Query(String),
    /// A cookie of this name; of several the last, as Django and Starlette do.
    Cookie(String),
    /// A header of this name: `Authorization` with `Bearer`, others with or without.
    Header(HeaderName),
    /// A subprotocol offered after this one: `Sec-WebSocket-Protocol: bearer, <token>`,
    /// or joined to it: `bearer.<token>`.
    Subprotocol(String),
}

/// As the config writes it.
impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Subprotocol(name) => write!(f, "subprotocol:{name}"),
        }
    }
}

/// When the next source is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallThrough {
    /// Only if this one holds no token.
    #[default]
    Absent,
    /// Also if the token it holds does not verify.
    Invalid,
}

/// Which of several query parameters of one name counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeated {
    /// The first, as Django apps that take `parse_qs(...)[0]`.
    #[default]
    First,
    /// The last, as Starlette's `query_params`.
    Last,
}

/// What an empty token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// None, as `parse_qs` drops it.
    #[default]
    Absent,
    /// A bad one: a [`Token`] with an empty text.
    Bad,
}

/// The sources in order, and the rules between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSources {
    /// Tried in this order.
    pub sources: Vec<TokenSource>,
    /// When the next one is tried.
    pub fall_through: FallThrough,
    /// Which of several parameters counts.
    pub repeated: Repeated,
    /// What an empty token is.
    pub empty: Empty,
}

/// A token and where it stood.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub text: Secret,
    /// Where it stood.
    pub source: TokenSource,
    /// What the server must select as `Sec-WebSocket-Protocol` because the token
    /// came that way (RFC 6455 section 4.2.2): browsers close without it.
    pub subprotocol: Option<HeaderValue>,
}

impl TokenSources {
    /// The tokens a request holds, in the order in which they are to be tried: at
    /// most one per source, and only the first where [`FallThrough::Absent`] rules.
    pub fn find(&self, request: &Parts) -> Vec<Token> {
        let found = self.sources.iter().filter_map(|source| {
            let (text, subprotocol) = self.look(source, request)?;
            Some(Token {
                text: Secret::new(text),
                source: source.clone(),
                subprotocol,
            })
        });
        match self.fall_through {
            FallThrough::Absent => found.take(1).collect(),
            FallThrough::Invalid => found.collect(),
        }
    }

    fn look(&self, source: &TokenSource, request: &Parts) -> Option<(String, Option<HeaderValue>)> {
        let counts = |text: &str| self.empty == Empty::Bad || !text.is_empty();
        let headers = &request.headers;
        let text = match source {
            TokenSource::Query(name) => {
                let query = request.uri.query().unwrap_or_default();
                let mut values = query_values(query, name).filter(|text| counts(text));
                match self.repeated {
                    Repeated::First => values.next(),
                    Repeated::Last => values.last(),
                }
            }
            TokenSource::Cookie(name) => cookies(headers, name).rfind(|text| counts(text)),
            TokenSource::Header(name) => header_token(headers, name),
            TokenSource::Subprotocol(name) => {
                let (text, selected) = subprotocol_token(headers, name)?;
                return counts(&text).then_some((text, selected));
            }
        };
        Some((text.filter(|text| counts(text))?, None))
    }
}

/// The values of a query parameter, decoded as Python's `parse_qs` does.
fn query_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let name = name.to_owned();
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decoded(key) == name).then(|| form_decoded(value))
    })
}

/// `application/x-www-form-urlencoded`: `+` is a space, `%41` is `A`, and a `%`
/// that begins no such pair is itself.
fn form_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = (*byte == b'%').then(|| hex_pair(after)).flatten();
        rest = after
            .get(2..)
            .filter(|_| escaped.is_some())
            .unwrap_or(after);
        let plain = if *byte == b'+' { b' ' } else { *byte };
        out.push(escaped.unwrap_or(plain));
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let value = digit(bytes.first()?)? * 16 + digit(bytes.get(1)?)?;
    u8::try_from(value).ok()
}

/// The values of a cookie: all `Cookie` lines, split at `;` with or without space.
fn cookies(headers: &HeaderMap, name: &str) -> impl DoubleEndedIterator<Item = String> {
    let pairs = split(headers, &header::COOKIE, ';');
    let values = pairs.into_iter().filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        (key.trim() == name).then(|| unquoted.unwrap_or(value).to_owned())
    });
    values.collect::<Vec<_>>().into_iter()
}

fn header_token(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = text(headers.get(name)?);
    let value = value.trim();
    let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Some(rest.trim().to_owned()),
        // Another scheme is another kind of credential, which is not ours to judge.
        false => (name != header::AUTHORIZATION).then(|| value.to_owned()),
    }
}

/// The token among the offered subprotocols, and the one the server must select.
fn subprotocol_token(headers: &HeaderMap, name: &str) -> Option<(String, Option<HeaderValue>)> {
    let offered = split(headers, &header::SEC_WEBSOCKET_PROTOCOL, ',');
    let mut offered = offered.iter().map(String::as_str);
    while let Some(one) = offered.next() {
        if one.eq_ignore_ascii_case(name) {
            let token = offered.next().unwrap_or_default();
            return Some((token.to_owned(), selected(one)));
        }
        let after = one.strip_prefix(name);
        if let Some(token) = after.and_then(|rest| rest.strip_prefix('.')) {
            return Some((token.to_owned(), selected(one)));
        }
    }
    None
}

fn selected(subprotocol: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(subprotocol).ok()?;
    // It may hold the token, which no log should show.
    value.set_sensitive(true);
    Some(value)
}

/// The trimmed parts of all lines of a header.
fn split(headers: &HeaderMap, name: &HeaderName, at: char) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(text);
    let parts = lines.flat_map(|line| {
        let parts = line.split(at).map(|part| part.trim().to_owned());
        parts.collect::<Vec<_>>()
    });
    parts.collect()
}

/// What is not UTF-8 cannot be a token; it still counts as a (bad) one.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
