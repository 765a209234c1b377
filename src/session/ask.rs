//! Questions to the app with the client's own credentials, and what it answered
//! a moment ago.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::caller::Caller;
use crate::upstream::{CallError, CallRequest, Upstream};

/// Bytes of answers kept at the same time.
const MAX_KEPT: usize = 32 * 1024 * 1024;
/// What keeping an answer takes besides its body.
const OVERHEAD: usize = 256;
/// The largest answer that is read: a look-up is not a download.
const MAX_BODY: usize = 256 * 1024;
/// How long the app may take for a question at connect.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// What the app said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// The body, if it is JSON; else null.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A fault is over as soon as it is over; so is a busy moment.
    fn is_lasting(&self) -> bool {
        !self.status.is_server_error() && self.status != StatusCode::TOO_MANY_REQUESTS
    }
}

/// Questions and the answers that are still believed.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<Memory>);

impl Asks {
    /// Asks with GET, or remembers for as long as `cache`.
    pub(super) async fn get(
        &self,
        app: &Arc<Upstream>,
        path: String,
        caller: &Caller,
        (cache, timeout): (Duration, Duration),
    ) -> Result<Answer, CallError> {
        let key = caller.key(&path);
        if let Some(answer) = self.lock().get(&key) {
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
        let answer = Answer {
            status: response.status,
            // As it came it is a slice of a larger buffer, and would keep all of it.
            body: Bytes::copy_from_slice(&response.body),
        };
        if !cache.is_zero() && answer.is_lasting() {
            self.lock().put(key, Instant::now() + cache, answer.clone());
        }
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Key = [u8; 32];

/// Answers, of which the oldest is forgotten first.
#[derive(Debug, Default)]
struct Memory {
    answers: HashMap<Key, Kept>,
    by_age: BTreeMap<u64, Key>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    until: Instant,
    answer: Answer,
}

impl Memory {
    fn get(&self, key: &Key) -> Option<Answer> {
        let kept = self.answers.get(key)?;
        (Instant::now() < kept.until).then(|| kept.answer.clone())
    }

    fn put(&mut self, key: Key, until: Instant, answer: Answer) {
        self.forget(&key);
        self.bytes += weight(&answer);
        self.by_age.insert(self.next, key);
        let kept = Kept {
            number: self.next,
            until,
            answer,
        };
        self.answers.insert(key, kept);
        self.next += 1;
        let now = Instant::now();
        while let Some((_, oldest)) = self.by_age.first_key_value()
            && (self.bytes > MAX_KEPT || self.has_run_out(oldest, now))
        {
            let oldest = *oldest;
            self.forget(&oldest);
        }
    }

    fn has_run_out(&self, key: &Key, now: Instant) -> bool {
        self.answers.get(key).is_none_or(|kept| kept.until <= now)
    }

    fn forget(&mut self, key: &Key) {
        if let Some(kept) = self.answers.remove(key) {
            self.by_age.remove(&kept.number);
            self.bytes -= weight(&kept.answer);
        }
    }
}

fn weight(answer: &Answer) -> usize {
    answer.body.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn answer(size: usize) -> Answer {
        Answer {
            status: StatusCode::OK,
            body: vec![b'x'; size].into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_go_when_there_are_too_many_bytes() {
        let mut memory = Memory::default();
        let later = Instant::now() + Duration::from_secs(60);
        for number in 0..200 {
            memory.put(key(number), later, answer(MAX_BODY));
            assert!(memory.bytes <= MAX_KEPT);
        }
        assert!(memory.get(&key(0)).is_none());
        assert!(memory.get(&key(100)).is_some());
        assert_eq!(memory.answers.len(), memory.by_age.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_ran_out_goes_and_a_new_one_takes_its_place() {
        let mut memory = Memory::default();
        let soon = Instant::now() + Duration::from_secs(1);
        memory.put(key(1), soon, answer(10));
        memory.put(key(1), soon, answer(20));
        assert_eq!(memory.bytes, 20 + OVERHEAD);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(memory.get(&key(1)).is_none());
        memory.put(key(2), soon + Duration::from_secs(9), answer(30));
        assert_eq!((memory.answers.len(), memory.bytes), (1, 30 + OVERHEAD));
    }
}
