//! What the admin port shows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::feed;
use crate::{
    event::{Topic, UserId},
    frame::Text,
    metrics::{ByRule, Metrics, Shared},
    presence::Shown,
    reply::{self, Body},
    rollout::{Rollout, Share},
    routes::{Endpoint, Exchange, FileStatus, RouteTable},
    session::{Progress, Sessions},
    source::{
        channel_layer::{ChannelLayer, Layer},
        exchange::Skipped,
        sse::Stream,
    },
};

/// Sessions shown at most: a page is for people.
const MAX_SESSIONS: usize = 1000;
/// Users who are online shown at most, and keys.
const MAX_ONLINE: usize = 1000;

/// Topics shown of a session.
const MAX_TOPICS: usize = 20;

const INDEX: &str = "/live      200 while the process answers
/ready     200 while it should get traffic, else 503 with the phase
/metrics   counters for Prometheus (OpenMetrics text)
/routes    the running table, and whether the file on disk is in force
/channel_layer  the app's channel layer, if one is joined
/sessions  open sessions, oldest first, and how far each has come in the feed
/feed      the feed: where it is kept, how much it holds, where events come from
/trace     what became of an event: ?event=ID, and &user=42 &limit=100
/tail      events as they come: ?type= &topic= &user= &endpoint= &data=1 &since=POSITION
/sources   the app's own event stream, if one is read
/presence  who is online, by key; where nodes share a feed also ?user= and ?key=
/nodes     the nodes that share the feed
";

pub(super) fn index() -> Response<Body> {
    reply::text(StatusCode::OK, INDEX)
}

pub(super) fn metrics(metrics: &Metrics) -> Response<Body> {
    let mut response = reply::text(StatusCode::OK, metrics.text());
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn routes(table: &RouteTable, status: &FileStatus, metrics: &Metrics) -> Response<Body> {
    pretty(&json!({
        "generation": table.generation,
        "since": seconds(status.since),
        "file": status.file,
        "file_is_in_force": status.refused.is_none() && status.needs_restart.is_empty(),
        "refused": status.refused,
        "needs_restart": status.needs_restart,
        "app": table.app.settings().address.to_string(),
        "webhook": table.webhook.is_some(),
        "exchanges": exchanges(table, metrics),
        "endpoints": endpoints(table),
        "flags": table.flags.iter().map(|flag| json!({
            "name": flag.name, "rollout": rollout(&flag.rollout), "on": flag.on, "off": flag.off,
        })).collect::<Vec<_>>(),
    }))
}

/// The rules with what became of their exchanges since the process began.
fn exchanges(table: &RouteTable, metrics: &Metrics) -> Vec<Value> {
    let results = |rule: &Exchange| {
        let words = ["accepted", "duplicate"]
            .into_iter()
            .chain(Skipped::REASONS);
        let count = |result: &'static str| {
            let labels = ByRule {
                rule: Shared(rule.name.clone()),
                result,
            };
            let counter = metrics.exchanges.get(&labels)?;
            Some((result.to_owned(), counter.get().into()))
        };
        words.filter_map(count).collect::<Map<_, _>>()
    };
    let rule = |rule: &Exchange| {
        json!({
            "rule": rule.name,
            "methods": rule.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
            "path": rule.path.source(),
            "type": rule.event.kind.as_str(),
            "results": results(rule),
        })
    };
    table.exchanges.iter().map(|found| rule(found)).collect()
}

fn endpoints(table: &RouteTable) -> Vec<Value> {
    let endpoint = |endpoint: &Endpoint| {
        json!({
            "name": endpoint.name,
            "path": endpoint.path.source(),
            "topics": endpoint.topics.iter().map(Text::source).collect::<Vec<_>>(),
            "topics_from": endpoint.topics_from.iter().map(|from| from.path.source()).collect::<Vec<_>>(),
            "frames": endpoint.frames.kinds(),
            "actions": endpoint.actions.len(),
            "on_connect": endpoint.moments.on_connect.len(),
            "on_disconnect": endpoint.moments.on_disconnect.len(),
            "every": endpoint.moments.every.len(),
            "presence": endpoint.presence.as_ref().map(|presence| presence.key.source()),
            "rollout": rollout(&endpoint.rollout),
        })
    };
    table
        .endpoints
        .iter()
        .map(|found| endpoint(found))
        .collect()
}

fn rollout(rollout: &Rollout) -> Value {
    let users = |list: &std::collections::HashSet<UserId>| {
        let mut list: Vec<_> = list.iter().map(|user| user.as_str().to_owned()).collect();
        list.sort_unstable();
        list
    };
    let percent = match rollout.share {
        Share::Off => 0.0,
        Share::Percent(percent) => percent,
        Share::On => 100.0,
    };
    json!({ "percent": percent, "always": users(&rollout.always), "never": users(&rollout.never) })
}

pub(super) fn sessions(sessions: &Sessions) -> Response<Body> {
    let registry = sessions.registry();
    let shown = registry.list(MAX_SESSIONS);
    let shown = shown.iter().map(|listed| {
        let (topics, count) = listed.topics(MAX_TOPICS);
        json!({
            "session": listed.session.to_string(),
            "endpoint": listed.endpoint,
            "user": listed.user.as_ref().map(UserId::as_str),
            "leg": listed.leg.to_string(),
            "form": listed.form().map(|form| form.to_string()),
            "address": listed.address.to_string(),
            "since": seconds(listed.since),
            "topics": topics.iter().map(Topic::as_str).collect::<Vec<_>>(),
            "topics_count": count,
            "feed": listed.progress().map(|at| progress(&at, feed::behind(listed, sessions.feed()))),
        })
    });
    pretty(&json!({ "open": registry.len(), "shown": shown.collect::<Vec<_>>() }))
}

fn progress(progress: &Progress, (behind, waits): (u64, Duration)) -> Value {
    json!({
        "since": progress.since.to_string(),
        "given": progress.given.to_string(),
        "confirmed": progress.confirmed.to_string(),
        "confirmed_at": progress.confirmed_at.map(seconds),
        "unconfirmed_since": progress.unconfirmed_since.map(seconds),
        "behind": behind,
        "behind_ms": u64::try_from(waits.as_millis()).unwrap_or(u64::MAX),
    })
}

pub(super) fn presence(sessions: &Sessions, query: Option<&str>) -> Response<Body> {
    let Some(fleet) = sessions.fleet() else {
        let (keys, shown) = sessions.online(MAX_ONLINE);
        let shown = shown.iter().map(online);
        return pretty(&json!({ "keys": keys, "shown": shown.collect::<Vec<_>>() }));
    };
    let mut asked = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    if let Some((name, value)) = asked.find(|(name, _)| matches!(&**name, "user" | "key")) {
        let members = match &*name {
            "user" => fleet.of_user(&value, MAX_ONLINE),
            _ => fleet.of_key(&value, MAX_ONLINE),
        };
        let shown = members.iter().map(|one| {
            json!({
                "key": one.key, "user": one.user, "endpoint": one.endpoint,
                "nodes": one.nodes, "steps_in_progress": one.is_told,
            })
        });
        return pretty(&json!({ "shown": shown.collect::<Vec<_>>() }));
    }
    let (keys, shown) = fleet.online(MAX_ONLINE);
    let shown = shown.iter().map(|one| {
        let nodes = one
            .nodes
            .iter()
            .map(|(node, held)| (node.to_string(), (*held).into()));
        let mut shown = online(&one.shown);
        shown["nodes"] = Value::Object(nodes.collect());
        shown
    });
    let shown: Vec<_> = shown.collect();
    pretty(&json!({ "keys": keys, "complete": fleet.is_synced(), "shown": shown }))
}

fn online(one: &Shown) -> Value {
    json!({ "key": one.key, "online": one.online, "leaving": one.leaving, "users": one.users })
}

/// The nodes that share the feed.
pub(super) fn nodes(sessions: &Sessions) -> Response<Body> {
    let Some(fleet) = sessions.fleet() else {
        return pretty(&json!({ "shared": false, "nodes": [] }));
    };
    let nodes = fleet.nodes();
    let nodes = nodes.iter().map(|node| {
        json!({
            "name": node.info.name,
            "id": node.id.to_string(),
            "this": node.is_me,
            "version": node.info.version,
            "since": node.info.since,
            "heard_seconds_ago": node.heard.map(|heard| heard.as_secs()),
            "leaving": node.is_leaving,
            "members": node.members,
        })
    });
    let (complete, nodes) = (fleet.is_synced(), nodes.collect::<Vec<_>>());
    pretty(&json!({ "shared": true, "complete": complete, "nodes": nodes }))
}

pub(super) fn channel_layer(layer: Option<&ChannelLayer>) -> Response<Body> {
    let Some(layer) = layer else {
        return pretty(&json!({ "layer": null }));
    };
    let (settings, status) = (layer.settings(), layer.status());
    pretty(&json!({
        "layer": match settings.layer {
            Layer::Core => "core",
            Layer::PubSub => "pubsub",
        },
        "hosts": settings.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "prefix": settings.prefix,
        "encrypted": !settings.keys.is_empty(),
        "capacity": settings.capacity,
        "connected": status.connected,
        "groups": status.groups,
        "deepest": status.deepest,
        "last_message": status.last_message.map(seconds),
        "last_error": status.last_error.as_ref().map(|(_, error)| error),
        "last_error_at": status.last_error.as_ref().map(|(at, _)| seconds(*at)),
    }))
}

/// Unix time.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn pretty(value: &Value) -> Response<Body> {
    reply::json(StatusCode::OK, format!("{value:#}\n"))
}

pub(super) fn sources(stream: Option<&Stream>) -> Response<Body> {
    let sse = stream.map(|stream| {
        let status = stream.status();
        json!({
            "url": stream.url(),
            "connected_since": status.connected.map(seconds),
            "cursor": Some(status.cursor).filter(|cursor| !cursor.is_empty()),
            "last_event": status.last_event.map(seconds),
            "last_error": status.last_error.as_ref().map(|(_, error)| error),
            "last_error_at": status.last_error.as_ref().map(|(at, _)| seconds(*at)),
            "events": status.events,
            "rejected": status.rejected,
        })
    });
    pretty(&json!({ "sse": sse }))
}
