//! The headers by which the app knows a client, for what it is asked on its behalf.

use aws_lc_rs::digest::{SHA256, digest};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, ORIGIN, USER_AGENT},
    request::Parts,
};

use crate::{
    auth::{Token, TokenSource},
    forward,
    routes::Trusted,
    wire::Peer,
};

/// Where a client came in: its neighbour, and whom that is believed.
pub(super) type Door<'a> = (&'a Peer, &'a Trusted);

/// A client's credentials, the host it asked for, where it comes from. What is marked
/// as sensitive is what says who the client is.
#[derive(Clone, Debug)]
pub(super) struct Caller(HeaderMap);

impl Caller {
    /// One whom the app is to recognize: with all its credentials. A token that the
    /// app would not find in a header is also sent as `Authorization: Bearer`.
    pub(super) fn unproven(head: &Parts, tokens: &[Token], at: Door<'_>) -> Self {
        let mut caller = Self::nobody(head, at);
        caller.keep(head, &AUTHORIZATION);
        caller.keep(head, &COOKIE);
        for token in tokens {
            caller.keep_own_header(head, token);
        }
        if let Some(token) = tokens.first()
            && !matches!(token.source, TokenSource::Header(_))
            && !caller.0.contains_key(AUTHORIZATION)
        {
            caller.bear(token);
        }
        caller
    }

    /// One whom we know by a token: with that, and with nothing that may be
    /// somebody else's. A foreign page could show a token of its own and have the
    /// app asked with its visitor's cookies.
    pub(super) fn proven(head: &Parts, token: &Token, at: Door<'_>) -> Self {
        let mut caller = Self::nobody(head, at);
        caller.keep_own_header(head, token);
        if matches!(token.source, TokenSource::Cookie(_)) {
            caller.keep(head, &COOKIE);
        }
        caller.bear(token);
        caller
    }

    /// The headers to ask with.
    pub(super) fn headers(&self) -> HeaderMap {
        self.0.clone()
    }

    /// Whether it holds anything that could say who the client is.
    pub(super) fn has_credentials(&self) -> bool {
        self.0.values().any(HeaderValue::is_sensitive)
    }

    /// What an answer to a question at this path is remembered by.
    pub(super) fn key(&self, path: &str) -> [u8; 32] {
        let mut text = path.as_bytes().to_vec();
        for (name, value) in &self.0 {
            if tells_the_site(name) || value.is_sensitive() {
                text.push(0);
                text.extend_from_slice(name.as_str().as_bytes());
                text.push(0);
                text.extend_from_slice(value.as_bytes());
            }
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, &text).as_ref());
        key
    }

    fn nobody(head: &Parts, (peer, trusted): Door<'_>) -> Self {
        let mut headers = HeaderMap::new();
        for name in [HOST, USER_AGENT, ORIGIN].iter().chain(&forward::WHO) {
            for value in head.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        forward::tell_who(&mut headers, peer, trusted);
        Self(headers)
    }

    /// A token in a header of its own: the app looks for it there, too.
    fn keep_own_header(&mut self, head: &Parts, token: &Token) {
        if let TokenSource::Header(name) = &token.source
            && *name != AUTHORIZATION
        {
            self.keep(head, name);
        }
    }

    fn keep(&mut self, head: &Parts, name: &HeaderName) {
        for value in head.headers.get_all(name) {
            let mut value = value.clone();
            value.set_sensitive(true);
            self.0.append(name.clone(), value);
        }
    }

    fn bear(&mut self, token: &Token) {
        if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", token.text.expose())) {
            bearer.set_sensitive(true);
            self.0.insert(AUTHORIZATION, bearer);
        }
    }
}

/// The same client may be another one's on another host, and an app may send plain
/// HTTP elsewhere.
fn tells_the_site(name: &HeaderName) -> bool {
    *name == HOST || matches!(name.as_str(), "x-forwarded-proto" | "x-forwarded-host")
}
