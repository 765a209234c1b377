//! The parts of a config in words.

use super::request::Asked;
use crate::{
    auth::TokenSource,
    event::UserId,
    frame::Text,
    routes::{Action, Method, Per, Presence, Refuse, RouteTable, Step, Topics},
    session::{Who, preview::Shown},
};

/// The user, if it is one.
pub(super) fn user_of(who: Option<&Who>) -> Option<&UserId> {
    match who? {
        Who::User(identity) => Some(&identity.user),
        Who::Nobody | Who::Unproven(_) | Who::Unknown(_) => None,
    }
}

/// Who the client is, and how that is known.
pub(super) fn who(table: &RouteTable, client: &Shown, asked: &Asked) -> String {
    let by = client
        .source
        .as_ref()
        .map_or_else(String::new, TokenSource::to_string);
    match (&client.who, &table.auth.method) {
        (Some(Who::User(user)), _) if asked.user.is_some() => {
            format!("{}, as you say; the claims are not known", user.user_value)
        }
        (Some(Who::User(user)), _) => format!("{}, by the token in {by}", user.user_value),
        (Some(Who::Nobody), _) => format!("nobody: {}", table.auth.why_nobody()),
        (Some(Who::Unproven(why) | Who::Unknown(why)), _) => {
            format!("not proven by the token in {by}: {why}")
        }
        (None, Method::App(rules)) => {
            format!("the app would say: GET {}, as the client", rules.path)
        }
        (None, Method::None | Method::Jwt(_)) => "not known".into(),
    }
}

/// How somebody is turned away.
pub(super) fn refusal(how: &Refuse) -> String {
    match how {
        Refuse::Http(status) => format!("HTTP {}", status.as_u16()),
        Refuse::Close { code, reason } if reason.is_empty() => format!("close code {code}"),
        Refuse::Close { code, reason } => format!("close code {code} \"{reason}\""),
    }
}

/// What a client's message causes.
pub(super) fn action(action: &Action) -> String {
    let when: Vec<_> = action.when.iter().map(ToString::to_string).collect();
    let when = match when.is_empty() {
        true => "every message".to_owned(),
        false => when.join(", "),
    };
    format!("{when}: {}", steps(&action.steps))
}

/// How it is counted who is online, and what is done about it.
pub(super) fn presence(presence: &Presence) -> String {
    let per = match presence.per {
        Per::User => "user",
        Per::Socket => "socket",
    };
    let told = |steps: &[Step]| match steps.is_empty() {
        true => "nothing".to_owned(),
        false => self::steps(steps),
    };
    let (online, offline) = (told(&presence.online), told(&presence.offline));
    let (key, grace) = (presence.key.source(), presence.grace);
    format!("{key}, per {per}; online: {online}; offline after {grace:?}: {offline}")
}

/// What is done, in order.
pub(super) fn steps(steps: &[Step]) -> String {
    let does: Vec<_> = steps.iter().map(step).collect();
    match does.is_empty() {
        true => "ignored".to_owned(),
        false => does.join(", then "),
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Call(call) => format!("calls {} {}", call.method, call.path.source()),
        Step::SetKey(set) => format!("sets the key {}", set.key.source()),
        Step::DeleteKey(key) => format!("deletes the key {}", key.source()),
        Step::GroupSend(send) => format!("sends to the group {}", send.group.source()),
        Step::Publish(publish) => format!("publishes {}", publish.kind),
        Step::Subscribe(subscribe) => format!("subscribes to {}", topics(&subscribe.topics)),
        Step::Unsubscribe(from) => format!("unsubscribes from {}", topics(from)),
        Step::Reply(_) => "replies".to_owned(),
    }
}

fn topics(topics: &Topics) -> String {
    let all: Vec<_> = topics.texts.iter().map(Text::source).collect();
    all.join(", ")
}
