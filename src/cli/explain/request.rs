//! The request that is asked about, put together from the command line.

use std::{
    io::{self, Read},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, COOKIE, HOST, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
};
use serde_json::Map;

use super::{super::output::Failure, super::token::user_value, ExplainArgs};
use crate::{
    auth::{Identity, TokenSource, TokenSources},
    event::UserId,
};

/// No token is longer: it has to fit into the head of a request.
const LONGEST_TOKEN: u64 = 64 << 10;

/// The request, as it would arrive.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its head.
    pub(super) head: Parts,
    /// Path and query, without what is nobody's business.
    pub(super) hidden: String,
    /// Who the app is said to know the client as.
    pub(super) user: Option<Identity>,
}

/// Puts it together.
pub(super) fn asked(args: ExplainArgs, tokens: &TokenSources) -> Result<Asked, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in args.headers {
        headers.append(name, value);
    }
    let authority = args.path.authority();
    if let Some(Ok(host)) = authority.map(|host| HeaderValue::try_from(host.as_str())) {
        headers.entry(HOST).or_insert(host);
    }
    let target = args
        .path
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut target = target.to_owned();
    if let Some(token) = args.token {
        let unusable = || {
            Failure::new(
                "this token cannot be sent in a request",
                "is it whole, on one line?",
            )
        };
        put(&read(token)?, tokens, &mut target, &mut headers).ok_or_else(unusable)?;
    }
    let request = Request::builder().method(args.method).uri(&target).body(());
    let request = request.map_err(|error| {
        Failure::new(error, "write the path as it is sent, with %20 for a space")
    })?;
    let (mut head, ()) = request.into_parts();
    head.headers = headers;
    Ok(Asked {
        hidden: hidden(&target, tokens),
        head,
        user: args.user.as_deref().map(identity),
    })
}

fn identity(user: &str) -> Identity {
    Identity {
        user: UserId::from(user),
        user_value: user_value(user),
        claims: Arc::new(Map::new()),
        expires_at: None,
    }
}

fn read(token: String) -> Result<String, Failure> {
    if token != "-" {
        return Ok(token);
    }
    let mut text = String::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST_TOKEN)
        .read_to_string(&mut text);
    read.map_err(|error| {
        let what = format!("standard input cannot be read: {error}");
        Failure::new(
            what,
            "pipe a token into it: outrigger token --user 42 | ...",
        )
    })?;
    Ok(text.trim().to_owned())
}

/// Puts a token where it is looked for first.
fn put(
    token: &str,
    tokens: &TokenSources,
    target: &mut String,
    headers: &mut HeaderMap,
) -> Option<()> {
    let bearer = TokenSource::Header(AUTHORIZATION);
    let (name, value) = match tokens.sources.first().unwrap_or(&bearer) {
        TokenSource::Query(name) => {
            let separator = if target.contains('?') { '&' } else { '?' };
            let [name, token] = [name, token].map(encoded);
            target.push_str(&format!("{separator}{name}={token}"));
            return Some(());
        }
        TokenSource::Cookie(name) => (COOKIE, format!("{name}={token}")),
        TokenSource::Header(name) if *name == AUTHORIZATION => {
            (AUTHORIZATION, format!("Bearer {token}"))
        }
        TokenSource::Header(name) => (name.clone(), token.to_owned()),
        TokenSource::Subprotocol(name) => (SEC_WEBSOCKET_PROTOCOL, format!("{name}, {token}")),
    };
    headers.append(name, HeaderValue::try_from(value).ok()?);
    Some(())
}

/// As it stands in a query (RFC 3986: all but unreserved is percent-encoded).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A path with its query, tokens left out.
fn hidden(target: &str, tokens: &TokenSources) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let is_token = |name: &str| {
        let configured =
            |source: &TokenSource| matches!(source, TokenSource::Query(query) if query == name);
        tokens.sources.iter().any(configured) || name.to_ascii_lowercase().contains("token")
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_token(name) => format!("{name}=(hidden)"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// A method, in capitals as it is sent.
pub(super) fn method(text: &str) -> Result<Method, String> {
    let known = text.to_ascii_uppercase().parse();
    known.map_err(|_| "write a method such as GET or POST".to_owned())
}

/// What is asked for: a path, or a URL whose host is then the `Host`.
pub(super) fn target(text: &str) -> Result<Uri, String> {
    if !text.starts_with('/') && !text.contains("://") {
        return Err("a path begins with a slash".into());
    }
    text.parse()
        .map_err(|error| format!("{error}: write it as it is sent, with %20 for a space"))
}

/// A line of the head.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "the name is no header's name")?;
    let value =
        HeaderValue::try_from(value.trim()).map_err(|_| "the value holds what no header may")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_a_query_are_hidden() {
        let tokens = TokenSources {
            sources: vec![TokenSource::Query("jwt".into())],
            ..TokenSources::default()
        };
        let seen = |target: &str| hidden(target, &tokens);
        assert_eq!(
            seen("/a?jwt=x&b=1&Access_Token=y&c"),
            "/a?jwt=(hidden)&b=1&Access_Token=(hidden)&c"
        );
        assert_eq!(seen("/a"), "/a");
    }

    #[test]
    fn a_token_goes_where_it_is_looked_for_first() {
        let sent = |source: TokenSource| {
            let tokens = TokenSources {
                sources: vec![source],
                ..TokenSources::default()
            };
            let (mut target, mut headers) = ("/ws?a=1".to_owned(), HeaderMap::new());
            put("t.o+k=&", &tokens, &mut target, &mut headers).unwrap();
            let request = Request::builder().uri(&target).body(()).unwrap();
            let (mut head, ()) = request.into_parts();
            head.headers = headers;
            tokens.find(&head).first().unwrap().text.expose().to_owned()
        };
        for source in [
            TokenSource::Query("token".into()),
            TokenSource::Cookie("access".into()),
            TokenSource::Header(AUTHORIZATION),
            TokenSource::Header(HeaderName::from_static("x-token")),
            TokenSource::Subprotocol("bearer".into()),
        ] {
            assert_eq!(sent(source.clone()), "t.o+k=&", "{source:?}");
        }
    }
}
