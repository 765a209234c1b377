//! Questions to the app with the client's own credentials, and what it answered
//! a moment ago.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, ORIGIN, USER_AGENT},
    request::Parts,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    auth::{Token, TokenSource},
    upstream::{CallError, CallRequest, Upstream},
    wire::Peer,
};

/// Answers kept at the same time.
const MAX_ANSWERS: usize = 20_000;
/// The largest answer that is read: a look-up is not a download.
const MAX_BODY: usize = 256 * 1024;
/// How long the app may take for a question at connect.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The headers by which the app knows the client: its credentials, the host it
/// asked for, where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) HeaderMap);

impl Caller {
    /// Takes them from the handshake. A token that is not in a header or cookie of
    /// the app's own is also sent as `Authorization: Bearer`.
    pub(super) fn new(head: &Parts, peer: &Peer, token: Option<&Token>) -> Self {
        let mut headers = HeaderMap::new();
        for name in [HOST, AUTHORIZATION, COOKIE, USER_AGENT, ORIGIN] {
            for value in head.headers.get_all(&name) {
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION || name == COOKIE);
                headers.append(name.clone(), value);
            }
        }
        if let Some(token) = token.filter(|token| !matches!(token.source, TokenSource::Header(_)))
            && !headers.contains_key(AUTHORIZATION)
            && let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", token.text.expose()))
        {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let scheme = if peer.secure { "https" } else { "http" };
        headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        if let Ok(address) = peer.address.ip().to_canonical().to_string().try_into() {
            headers.insert("x-forwarded-for", address);
        }
        Self(headers)
    }

    /// Whether it holds anything that could say who the client is.
    pub(super) fn has_credentials(&self) -> bool {
        self.0.contains_key(AUTHORIZATION) || self.0.contains_key(COOKIE)
    }

    fn key(&self, path: &str) -> [u8; 32] {
        let mut text = path.as_bytes().to_vec();
        for name in [HOST, AUTHORIZATION, COOKIE] {
            for value in self.0.get_all(name) {
                text.push(0);
                text.extend_from_slice(value.as_bytes());
            }
            text.push(1);
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, &text).as_ref());
        key
    }
}

/// What the app said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body, where it is JSON.
    pub(super) json: Arc<Value>,
}

/// Questions and the answers that are still believed.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<[u8; 32], (Instant, Answer)>>);

impl Asks {
    /// Asks with GET, or remembers. Only answers below 500 are remembered.
    pub(super) async fn get(
        &self,
        app: &Arc<Upstream>,
        path: String,
        caller: &Caller,
        (cache, timeout): (Duration, Duration),
    ) -> Result<Answer, CallError> {
        let key = caller.key(&path);
        if let Some(answer) = self.remembered(&key) {
            return Ok(answer);
        }
        let response = app
            .call(CallRequest {
                method: Method::GET,
                path,
                headers: caller.0.clone(),
                body: Bytes::new(),
                timeout,
                max_body: MAX_BODY,
            })
            .await?;
        let json = serde_json::from_slice(&response.body).unwrap_or_default();
        let answer = Answer {
            status: response.status,
            json: Arc::new(json),
        };
        if !cache.is_zero() && !answer.status.is_server_error() {
            self.remember(key, Instant::now() + cache, answer.clone());
        }
        Ok(answer)
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Answer> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = answers.get(key)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    fn remember(&self, key: [u8; 32], until: Instant, answer: Answer) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MAX_ANSWERS {
            let now = Instant::now();
            answers.retain(|_, (until, _)| now < *until);
            if answers.len() >= MAX_ANSWERS {
                answers.clear();
            }
        }
        answers.insert(key, (until, answer));
    }
}
