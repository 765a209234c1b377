//! `POST /outrigger/events`: the app says what happened.
//!
//! A message is believed by its signature, read as a whole, and put on the feed in
//! one go. 202 means that every event the answer calls `accepted` or `duplicate` is
//! in the feed; whatever could not be put there is never answered with a 2xx. The
//! service reads the body, this room answers for it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER,
        WWW_AUTHENTICATE,
    },
    request::Parts,
};
use serde::Serialize;
use tracing::{debug, warn};

use super::{
    body::{self, Item, Unreadable},
    signature::{self, Refused},
};
use crate::{
    event::Event,
    feed::{Appended, Feed, Unavailable},
    metrics::{Metrics, Taken},
    routes,
};

/// Why a message is not taken, whatever is in it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a POST.
    #[error("send events with POST")]
    Method,
    /// The body is compressed.
    #[error("the body must not be compressed: send it without Content-Encoding")]
    Encoding,
    /// The body is too large.
    #[error("the body is larger than {0} bytes: send fewer events at once")]
    TooLarge(usize),
    /// The body did not come in time.
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    /// The message is not signed as it should be.
    #[error(transparent)]
    Signature(#[from] Refused),
    /// The body is not what it should be.
    #[error("{text}")]
    Body {
        /// 400 or 413.
        status: StatusCode,
        /// What is wrong with it, and where.
        text: String,
    },
    /// The feed takes nothing now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Looks at the head alone: what is refused already now needs no body.
///
/// # Errors
/// Why it is refused.
pub fn admit(rules: &routes::Webhook, head: &Parts) -> Result<(), Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    if !encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::Encoding);
    }
    match content_length(&head.headers) {
        Some(length) if length > rules.max_body => Err(Refusal::TooLarge(rules.max_body)),
        _ => Ok(()),
    }
}

/// Answers a message.
#[expect(
    clippy::too_many_arguments,
    reason = "what decides, where to, and what came: all of it is the caller's"
)]
pub async fn receive(
    rules: &routes::Webhook,
    feed: &Feed,
    metrics: &Metrics,
    head: &Parts,
    body: Bytes,
    now: SystemTime,
) -> Response<Bytes> {
    let items = match open(rules, head, &body, now) {
        Ok(items) => items,
        Err(refusal) => return refuse(&refusal, metrics),
    };
    match take(feed, items).await {
        Ok(outcomes) => answer(&outcomes, metrics),
        Err(refusal) => refuse(&refusal, metrics),
    }
}

/// Answers a message that is refused; counted and logged.
pub fn refuse(refusal: &Refusal, metrics: &Metrics) -> Response<Bytes> {
    let (result, status) = refusal.class();
    count(metrics, result);
    refusal.log();
    let mut response = respond(
        status,
        &Problem {
            error: refusal.to_string(),
        },
    );
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    response
}

fn open(
    rules: &routes::Webhook,
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Result<Vec<Item>, Refusal> {
    admit(rules, head)?;
    if body.len() > rules.max_body {
        return Err(Refusal::TooLarge(rules.max_body));
    }
    let id = signature::verify(rules, &head.headers, body, now)?;
    WARNED.store(false, Ordering::Relaxed);
    Ok(body::read(&head.headers, body, &id)?)
}

/// Puts the events on the feed: all that are valid, in their order, or none.
async fn take(feed: &Feed, items: Vec<Item>) -> Result<Vec<Outcome>, Refusal> {
    let most = feed.max_batch();
    if items.len() > most {
        return Err(Refusal::Body {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            text: format!("the feed keeps {most} events: send no more than that at once"),
        });
    }
    let mut events = Vec::with_capacity(items.len());
    let mut outcomes: Vec<Outcome> = items
        .into_iter()
        .map(|item| Outcome::of(item, &mut events))
        .collect();
    if !events.is_empty() {
        let taken = outcomes
            .iter_mut()
            .filter(|outcome| outcome.reason.is_none());
        for (outcome, appended) in taken.zip(feed.append(events).await?) {
            outcome.place(appended);
        }
    }
    Ok(outcomes)
}

fn answer(outcomes: &[Outcome], metrics: &Metrics) -> Response<Bytes> {
    for outcome in outcomes {
        count(metrics, outcome.result);
        if let Some(reason) = &outcome.reason {
            debug!(source = "webhook", event = %outcome.id, reason, "Event rejected");
        }
    }
    let lost = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.reason.is_some());
    let (status, error) = match lost {
        true => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Some("no event could be taken"),
        ),
        false => (StatusCode::ACCEPTED, None),
    };
    respond(
        status,
        &Answer {
            error,
            results: outcomes,
        },
    )
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    results: &'a [Outcome],
}

#[derive(Serialize)]
struct Problem {
    error: String,
}

/// What became of one event.
#[derive(Serialize)]
struct Outcome {
    id: String,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Outcome {
    /// Moves the event, if it is one, to those that are put on the feed.
    fn of(item: Item, events: &mut Vec<Event>) -> Self {
        let reason = match item.event {
            Ok(event) => {
                events.push(event);
                None
            }
            Err(rejected) => Some(rejected.to_string()),
        };
        Self {
            id: item.id.to_string(),
            result: "rejected",
            position: None,
            reason,
        }
    }

    fn place(&mut self, appended: Appended) {
        let (result, position) = match appended {
            Appended::Accepted(position) => ("accepted", position),
            Appended::Duplicate(position) => ("duplicate", position),
        };
        self.result = result;
        self.position = Some(position.to_string());
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        let status = match unreadable {
            Unreadable::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let text = unreadable.to_string();
        Self::Body { status, text }
    }
}

/// Set after the first bad signature in a row, so that a stranger who tries many
/// cannot fill the log.
static WARNED: AtomicBool = AtomicBool::new(false);

impl Refusal {
    /// The word in the metric, and the status.
    fn class(&self) -> (&'static str, StatusCode) {
        match self {
            Self::Method => ("bad_method", StatusCode::METHOD_NOT_ALLOWED),
            Self::Encoding => ("bad_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::TooLarge(_) => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow(_) => ("too_slow", StatusCode::REQUEST_TIMEOUT),
            Self::Signature(refused) => (word(refused), StatusCode::UNAUTHORIZED),
            Self::Body { status, .. } => ("unreadable", *status),
            Self::Unavailable(_) => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// What RFC 9110 wants beside the status.
    fn header(&self) -> Option<(http::HeaderName, HeaderValue)> {
        Some(match self {
            Self::Method => (ALLOW, HeaderValue::from_static("POST")),
            Self::Encoding => (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            Self::Signature(_) => (
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Standard-Webhooks"),
            ),
            Self::Unavailable(unavailable) => {
                let seconds = unavailable.retry_after.as_secs().max(1);
                (RETRY_AFTER, HeaderValue::from(seconds))
            }
            Self::TooLarge(_) | Self::TooSlow(_) | Self::Body { .. } => return None,
        })
    }

    fn log(&self) {
        match self {
            Self::Signature(_) if !WARNED.swap(true, Ordering::Relaxed) => {
                warn!(source = "webhook", error = %self, "Webhook refused; further ones are logged at debug until one fits");
            }
            Self::Unavailable(_) => warn!(source = "webhook", error = %self, "Webhook refused"),
            _ => debug!(source = "webhook", error = %self, "Webhook refused"),
        }
    }
}

fn word(refused: &Refused) -> &'static str {
    match refused {
        Refused::TooOld { .. } => "too_old",
        Refused::TooNew { .. } => "too_new",
        Refused::Missing(_) | Refused::Malformed(..) => "unsigned",
        Refused::NoneFits => "bad_signature",
    }
}

fn count(metrics: &Metrics, result: &'static str) {
    let source = "webhook";
    metrics
        .events
        .get_or_create(&Taken { source, result })
        .inc();
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // A tree of texts always has a JSON form.
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default().into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
