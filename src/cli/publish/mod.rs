//! `outrigger publish`: one event to a running Outrigger, signed as the app
//! would sign it.

mod send;

use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{ArgGroup, Args};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::send::{Server, send, server, server_of, signed};
use super::{
    file::{self, ConfigArg},
    output::{Failure, print},
};
use crate::{
    config::{self, Settings},
    secret::Secret,
    upstream::{Address, CallResponse},
};

/// More is read from nobody: a webhook takes 1 MiB where the config says nothing.
const LARGEST: u64 = 64 << 20;
/// Where Outrigger listens if nothing else is said.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Send an event to a running Outrigger
///
/// Signs it with the webhook's secret, as the app would, and says what became of it.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("audience").args(["topics", "users"]).required(true).multiple(true)))]
pub(super) struct PublishArgs {
    /// The event's type
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// Who hears it: everybody subscribed to this topic; may be given several times
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only this user; without a topic: this user, wherever connected; several times too
    #[arg(long = "user", value_name = "ID")]
    users: Vec<String>,
    /// The same id is delivered once [default: a new one]
    #[arg(long)]
    id: Option<String>,
    /// To who is connected now, never replayed
    #[arg(long)]
    ephemeral: bool,
    /// The payload: JSON, or - for standard input
    #[arg(allow_hyphen_values = true)]
    data: String,
    /// Where Outrigger is [default: where the config says it listens]
    #[arg(long, value_name = "URL", value_parser = server)]
    url: Option<Server>,
    /// The variable that holds the webhook's secret; then no config is read
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    secret_env: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
}

const EXAMPLES: &str = "\
Examples:
  outrigger publish --type notification_message --topic notifications_42 '{\"text\": \"Hi\"}'
  outrigger publish --type new_message --user 42 --user 7 - < message.json
  outrigger publish --type ping --topic all null --url http://127.0.0.1:8080 --secret-env HOOK_SECRET

Exit codes: 0 it is in the feed (accepted now, or a duplicate), 1 it is not.";

/// An event as the webhook reads it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    topics: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    users: &'a [String],
    ephemeral: bool,
    data: Box<RawValue>,
}

/// What the webhook answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Option<String>,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    id: String,
    result: String,
    position: Option<String>,
    reason: Option<String>,
}

pub(super) fn run(args: PublishArgs) -> Result<(), Failure> {
    let event = Event {
        id: args.id.as_deref(),
        kind: &args.kind,
        topics: &args.topics,
        users: &args.users,
        ephemeral: args.ephemeral,
        data: payload(&args.data)?,
    };
    let body =
        serde_json::to_string(&event).map_err(|error| Failure::new(error, "give other DATA"))?;
    let (secret, usual) = match &args.secret_env {
        Some(name) => (from_environment(name)?, server_of(USUAL, false)),
        None => from_config(args.config)?,
    };
    let server = args.url.unwrap_or(usual);
    let id = args.id.clone().map_or_else(new_id, Ok)?;
    let headers = signed(&secret, &id, &body)?;
    tell(&server.0, &send(&server, headers, body)?)
}

fn payload(data: &str) -> Result<Box<RawValue>, Failure> {
    let mut text = data.to_owned();
    if data == "-" {
        text.clear();
        let read = io::stdin()
            .lock()
            .take(LARGEST + 1)
            .read_to_string(&mut text);
        read.map_err(|error| {
            let what = format!("standard input cannot be read: {error}");
            Failure::new(what, "pipe JSON into it, in UTF-8")
        })?;
        if text.len() as u64 > LARGEST {
            let what = format!("standard input has more than {LARGEST} bytes");
            return Err(Failure::new(what, "send a smaller payload"));
        }
    }
    serde_json::from_str(&text).map_err(|error| {
        let what = format!("DATA is not JSON: {error}");
        Failure::new(
            what,
            "a text needs its own quotes: '\"hello\"'; no payload is null",
        )
    })
}

fn from_environment(name: &str) -> Result<Secret, Failure> {
    let value = config::environment(name).filter(|value| !value.is_empty());
    value.map(Secret::new).ok_or_else(|| {
        let what = format!("the environment has no variable `{name}`");
        Failure::new(what, "set it to the secret that Outrigger runs with")
    })
}

/// The secret, and where Outrigger listens.
fn from_config(config: ConfigArg) -> Result<(Secret, Server), Failure> {
    let Settings {
        webhook, listen, ..
    } = file::read_found(config.config)?.settings;
    let secrets = webhook.map(|webhook| webhook.secrets).unwrap_or_default();
    let secret = secrets.into_iter().next().ok_or_else(|| {
        let what = "the config has no [source.webhook], so nothing can be published";
        Failure::new(
            what,
            "add it, with secret_env = \"OUTRIGGER_WEBHOOK_SECRET\"",
        )
    })?;
    Ok((secret, server_of(listen.address, listen.tls.is_some())))
}

fn new_id() -> Result<String, Failure> {
    let mut id = [0; 16];
    rand::fill(&mut id)
        .map_err(|_| Failure::new("no random bytes for an id", "give one: --id ID"))?;
    Ok(format!("cli_{}", URL_SAFE_NO_PAD.encode(id)))
}

/// Says what became of the event.
fn tell(address: &Address, response: &CallResponse) -> Result<(), Failure> {
    let answer: Answer = serde_json::from_slice(&response.body).unwrap_or_default();
    for outcome in &answer.results {
        let Outcome { id, result, .. } = outcome;
        let rest = match (&outcome.position, &outcome.reason) {
            (Some(position), _) => format!(" at {position}"),
            (None, Some(reason)) => format!(": {reason}"),
            (None, None) => String::new(),
        };
        print(&format!("{result} {id}{rest}"))?;
    }
    match response.status {
        StatusCode::ACCEPTED if !answer.results.is_empty() => Ok(()),
        status => {
            let said = answer.error.map(|error| format!(": {error}"));
            let what = format!("{address} answered {status}{}", said.unwrap_or_default());
            Err(Failure::new(what, way_out(status)))
        }
    }
}

fn way_out(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "sign with the secret that it runs with, and compare the clocks"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "send less, or raise source.webhook.max_body",
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            "mend the event and send it again"
        }
        StatusCode::SERVICE_UNAVAILABLE => "send it again later, with the same --id",
        _ => {
            "is this an Outrigger with [source.webhook]? `outrigger explain POST /outrigger/events`"
        }
    }
}
