//! The headers by which the app knows a client, for what it is asked on its behalf.

use aws_lc_rs::digest::{SHA256, digest};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, ORIGIN, USER_AGENT},
    request::Parts,
};

use crate::{
    auth::{Token, TokenSource},
    wire::Peer,
};

/// A client's credentials, the host it asked for, where it comes from. What is marked
/// as sensitive is what says who the client is.
#[derive(Clone, Debug)]
pub(super) struct Caller(HeaderMap);

impl Caller {
    /// One whom the app is to recognize: with all its credentials. A token that the
    /// app would not find in a header is also sent as `Authorization: Bearer`.
    pub(super) fn unproven(head: &Parts, tokens: &[Token], peer: &Peer) -> Self {
        let mut caller = Self::nobody(head, peer);
        caller.keep(head, &AUTHORIZATION);
        caller.keep(head, &COOKIE);
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
    pub(super) fn proven(head: &Parts, token: &Token, peer: &Peer) -> Self {
        let mut caller = Self::nobody(head, peer);
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
            if *name == HOST || value.is_sensitive() {
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

    fn nobody(head: &Parts, peer: &Peer) -> Self {
        let mut headers = HeaderMap::new();
        for name in [HOST, USER_AGENT, ORIGIN] {
            for value in head.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let scheme = if peer.secure { "https" } else { "http" };
        headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        if let Ok(address) = peer.address.ip().to_canonical().to_string().try_into() {
            headers.insert("x-forwarded-for", address);
        }
        Self(headers)
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
