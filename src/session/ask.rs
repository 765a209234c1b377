//! Questions to the app with the client's own credentials, and what it answered
//! a moment ago.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::caller::Caller;
use crate::upstream::{CallError, CallRequest, Upstream};

/// Answers kept at the same time.
const MAX_ANSWERS: usize = 20_000;
/// The largest answer that is read: a look-up is not a download.
const MAX_BODY: usize = 256 * 1024;
/// How long the app may take for a question at connect.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

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
                headers: caller.headers(),
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
