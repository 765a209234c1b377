//! `/feed`: how the feed is, and where its events come from.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::clock;
use crate::{
    event::Position,
    feed::Feed,
    metrics::{Metrics, Taken},
    reply::{self, Body},
    session::Listed,
};

/// Where events can come from, and what can become of them.
const SOURCES: [&str; 5] = ["webhook", "sse", "channel_layer", "exchange", "action"];
const RESULTS: [&str; 3] = ["accepted", "duplicate", "rejected"];

pub(super) fn answer(feed: &Feed, metrics: &Metrics) -> Response<Body> {
    let status = feed.status();
    let position = |offset| {
        let epoch = status.epoch;
        Position { epoch, offset }.to_string()
    };
    let shown = json!({
        "store": status.store,
        "head": position(status.head),
        "floor": position(status.floor),
        "events": status.events,
        "bytes": status.bytes,
        "segments": status.segments,
        "last_accepted": feed.last_accepted().map(clock::text),
        "last_sync": status.last_sync.map(clock::text),
        "last_error": status.last_error.as_ref().map(|(error, _)| error),
        "last_error_at": status.last_error.as_ref().map(|(_, at)| clock::text(*at)),
        "sources": sources(metrics),
    });
    reply::json(StatusCode::OK, format!("{shown:#}\n"))
}

/// What came from each source since the process began.
fn sources(metrics: &Metrics) -> Value {
    let count = |source, result: &'static str| {
        let counter = metrics.events.get(&Taken { source, result })?;
        Some((result.to_owned(), Value::from(counter.get())))
    };
    let of = |source: &'static str| {
        let counts = RESULTS
            .into_iter()
            .filter_map(|result| count(source, result));
        let counts: Map<_, _> = counts.collect();
        (!counts.is_empty()).then(|| (source.to_owned(), Value::Object(counts)))
    };
    Value::Object(SOURCES.into_iter().filter_map(of).collect())
}

/// How many events a session has still to look at, and for how long they have been
/// waiting.
pub(super) fn behind(listed: &Listed, feed: &Feed) -> (u64, Duration) {
    let (Some(progress), Some(outbox)) = (listed.progress(), listed.outbox()) else {
        return (0, Duration::ZERO);
    };
    // What stands between need not be for it: it has looked only where something is.
    if outbox.is_quiet() && outbox.has_offered_only(progress.given) {
        return (0, Duration::ZERO);
    }
    let (count, since) = feed.backlog(progress.given);
    let waits = since.map(|since| since.elapsed().unwrap_or_default());
    (count, waits.unwrap_or_default())
}
