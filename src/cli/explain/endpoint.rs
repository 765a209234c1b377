//! A WebSocket handshake on an endpoint's path.

use std::sync::Arc;

use serde_json::Value;

use super::{Lines, client, request::Asked, words};
use crate::{
    frame::Text,
    rollout::Leg,
    routes::{Endpoint, Permit, RouteTable, Step},
    session::{
        Who,
        preview::{Admitted, TurnedAway, feed_leg},
    },
};

type Params = Vec<(Arc<str>, Value)>;

pub(super) fn session(
    table: &RouteTable,
    (endpoint, params): (&Endpoint, Params),
    asked: &Asked,
) -> Lines {
    let client = client(table, asked);
    let mut lines = place(endpoint, &params);
    lines.push(("user", words::who(table, &client, asked)));
    let rollout = &endpoint.rollout;
    if client.who.is_none() && rollout.asks_for_user() {
        lines.push(("leg", "depends on the user: say who with --user ID".into()));
        return lines;
    }
    let (leg, why) = rollout.decide(words::user_of(client.who.as_ref()));
    lines.push(("leg", format!("{leg}: {why}")));
    if leg == Leg::App {
        lines.push(("result", relayed(table)));
        return lines;
    }
    lines.push(("permit", permit(endpoint)));
    let Some(who) = client.who else {
        lines.extend(heard(endpoint));
        lines.push((
            "result",
            "as the app says; to see the rest, say who it is with --user ID".into(),
        ));
        return lines;
    };
    lines.extend(decided(endpoint, (who, client.by_cookie), params, asked));
    lines
}

fn place(endpoint: &Endpoint, params: &Params) -> Lines {
    let mut lines = vec![(
        "endpoint",
        format!(
            "{} at {}, with and without the slash at the end",
            endpoint.name, endpoint.path
        ),
    )];
    for (name, value) in params {
        lines.push(("parameter", format!("{name} = {value}")));
    }
    lines.push(("plain HTTP", "on this path is forwarded to the app".into()));
    lines
}

fn relayed(table: &RouteTable) -> String {
    let app = &table.app.settings().address;
    format!("relayed to the app at {app}, the path as it is: its slash counts there")
}

fn decided(endpoint: &Endpoint, client: (Who, bool), params: Params, asked: &Asked) -> Lines {
    let decision = feed_leg(endpoint, client, params, &asked.head.headers);
    let admitted = match decision {
        Ok(admitted) => admitted,
        Err(TurnedAway { why, how }) => {
            return vec![(
                "result",
                format!("turned away with {}: {why}", words::refusal(&how)),
            )];
        }
    };
    let Admitted { questions, topics } = admitted;
    let mut lines = Lines::new();
    for path in &questions {
        lines.push(("would ask", format!("GET {path} of the app, as the client")));
    }
    lines.extend(topics.into_iter().map(|topic| ("topic", topic)));
    lines.extend(said(endpoint));
    let connect = endpoint.moments.on_connect.iter();
    let mut connect = connect.flat_map(|one| &one.steps);
    let is_asked = !questions.is_empty() || connect.any(Step::calls_app);
    lines.push(("result", match !is_asked {
        true => "connected, served from the feed".into(),
        false => format!(
            "connected and served from the feed if the app answers 2xx; {} on 401, {} on another 4xx",
            words::refusal(&endpoint.refuse.bad_token),
            words::refusal(&endpoint.refuse.not_permitted),
        ),
    }));
    lines
}

fn permit(endpoint: &Endpoint) -> String {
    match &endpoint.permit {
        Permit::Anyone if endpoint.anonymous => "everybody, also without a token".into(),
        Permit::Anyone => "everybody who is known".into(),
        Permit::Own(param) => format!("{{{param}}} of the path must be the user's own id"),
        Permit::Claim { claim, value } => {
            format!("the claim {claim} must be or list {}", value.source())
        }
        Permit::Ask { path, .. } => format!("the app answers GET {} with 2xx", path.source()),
    }
}

/// What is done when clients say nothing.
fn moments(endpoint: &Endpoint) -> Lines {
    let moments = &endpoint.moments;
    let connect = moments.on_connect.iter();
    let mut lines: Lines = connect
        .map(|one| ("on connect", words::steps(&one.steps)))
        .collect();
    for every in &moments.every {
        let text = format!("every {:?}: {}", every.interval, words::steps(&every.steps));
        lines.push(("while open", text));
    }
    let leave = moments.on_disconnect.iter();
    lines.extend(leave.map(|steps| ("on leaving", words::steps(steps))));
    lines
}

/// Topics as they are written, and the rest.
fn heard(endpoint: &Endpoint) -> Lines {
    let topics = endpoint.topics.iter().map(Text::source);
    let mut lines: Lines = topics.map(|topic| ("topic", topic.to_owned())).collect();
    lines.extend(said(endpoint));
    lines
}

/// What clients are sent, may say, and hear when they are turned away.
fn said(endpoint: &Endpoint) -> Lines {
    let kinds = endpoint.frames.kinds();
    let frames = match kinds.is_empty() {
        true => "none".to_owned(),
        false => kinds.join(", "),
    };
    let mut lines = vec![("frames", frames)];
    if endpoint.actions.is_empty() {
        let none = "none: messages of clients are dropped";
        lines.push(("actions", none.into()));
    }
    for action in &endpoint.actions {
        lines.push(("action", words::action(action)));
    }
    lines.extend(moments(endpoint));
    let presence = endpoint.presence.iter();
    lines.extend(presence.map(|one| ("presence", words::presence(one))));
    let refuse = &endpoint.refuse;
    let refusals = format!(
        "{} without a token, {} with a bad one, {} where not permitted",
        words::refusal(&refuse.no_token),
        words::refusal(&refuse.bad_token),
        words::refusal(&refuse.not_permitted),
    );
    lines.push(("refuses", refusals));
    lines
}
