//! `outrigger trace`: what became of an event, session by session.

use std::process::ExitCode;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    output::{Failure, print, say},
    reach::{self, AdminArg},
};
use crate::upstream::Address;

/// Say who got an event, and who did not and why
///
/// Asks the admin port of a running Outrigger when an event was accepted, for which
/// sessions it was, and how far it has come with each: a pong of the browser proves
/// that it has it. With --user all sessions of that user are shown, also those that the
/// event was not for, with the reason.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// The event's id, or its position as the webhook answered it
    event: String,
    /// All sessions of this user instead of those it was for
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Sessions shown at most
    #[arg(long, value_name = "N", default_value = "100")]
    limit: u16,
    /// As JSON, for each port as it answered
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArg,
}

const EXAMPLES: &str = "\
Why did user 42 not get it?
  outrigger trace order-17 --user 42

Examples:
  outrigger trace order-17
  outrigger trace 6439c1d2a0b3f.0-17 --json
  outrigger trace order-17 --admin 10.0.0.1:9464 --admin 10.0.0.2:9464

An id is what the event was published with; without one it is the webhook-id. Sessions
are those of the nodes that are asked: give --admin for each.

Exit codes: 0 found, 1 not found (or nobody could be asked), 2 usage.";

/// The states of sessions that an event was for.
const MEANT: [&str; 8] = [
    "confirmed",
    "written",
    "queued",
    "behind",
    "accepted",
    "ephemeral_while_behind",
    "slow",
    "closed",
];

/// What one node says.
struct Said {
    node: Address,
    found: bool,
    answer: Value,
}

pub(super) fn run(args: TraceArgs) -> Result<ExitCode, Failure> {
    let nodes = args.admin.addresses()?;
    let limit = args.limit.to_string();
    let mut query = vec![("event", args.event.as_str()), ("limit", &limit)];
    query.extend(args.user.as_deref().map(|user| ("user", user)));
    let said = ask(&nodes, &reach::path("/trace", &query))?;
    let found = said.iter().any(|said| said.found);
    match args.json {
        true => print_json(&said)?,
        false => print(&report(&args.event, &said))?,
    }
    Ok(if found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[tokio::main(flavor = "current_thread")]
async fn ask(nodes: &[Address], path: &str) -> Result<Vec<Said>, Failure> {
    let (mut said, mut silent) = (Vec::new(), Vec::new());
    for node in nodes {
        match ask_one(node, path).await {
            Ok(answer) => said.push(answer),
            Err(why) => silent.push(format!("{node} cannot be asked: {why}")),
        }
    }
    if said.is_empty() {
        let help = "is it running there? If elsewhere, say where: --admin ADDRESS";
        return Err(Failure::new(silent.join("; "), help));
    }
    silent
        .iter()
        .for_each(|why| say(&format!("warning: {why}")));
    Ok(said)
}

async fn ask_one(node: &Address, path: &str) -> Result<Said, String> {
    let answer = reach::ask(node, path.to_owned()).await?;
    let found = answer.status == StatusCode::OK;
    let told = serde_json::from_slice(&answer.body).ok();
    match told {
        Some(told) if found || answer.status == StatusCode::NOT_FOUND => Ok(Said {
            node: node.clone(),
            found,
            answer: told,
        }),
        _ => Err(format!(
            "it answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body).trim()
        )),
    }
}

fn print_json(said: &[Said]) -> Result<(), Failure> {
    let [one] = said else {
        let nodes = said.iter();
        let nodes =
            nodes.map(|said| json!({ "admin": said.node.to_string(), "answer": said.answer }));
        return print(&format!("{:#}", Value::Array(nodes.collect())));
    };
    print(&format!("{:#}", one.answer))
}

/// All of it for people, what matters most first.
fn report(event: &str, said: &[Said]) -> String {
    let mut lines = Vec::new();
    let Some(first) = said.iter().find(|said| said.found) else {
        let reasons = said.iter().map(|said| missing(event, &said.answer));
        let mut reasons: Vec<_> = reasons.collect();
        reasons.dedup();
        return reasons.join("\n");
    };
    lines.push(summary(&first.answer["event"], said));
    lines.extend(of_user(said));
    lines.extend(about(&first.answer["event"]));
    for said in said {
        if said.found
            && said.answer["shown"]
                .as_array()
                .is_some_and(|shown| !shown.is_empty())
        {
            lines.push(String::new());
            lines.extend(table(said));
        }
    }
    if said
        .iter()
        .any(|said| said.answer["rules_changed_since"] == true)
    {
        let note = "The config has changed since: for whom it was is told by the rules of now.";
        lines.extend([String::new(), note.into()]);
    }
    lines.join("\n")
}

fn summary(event: &Value, said: &[Said]) -> String {
    let sessions = said
        .iter()
        .filter_map(|said| said.answer["sessions"].as_u64());
    let sessions: u64 = sessions.sum();
    let nodes = match said.len() {
        1 => String::new(),
        count => format!(" on {count} nodes"),
    };
    let plural = if sessions == 1 { "session" } else { "sessions" };
    let states: Vec<(&str, u64)> = said
        .iter()
        .flat_map(|said| said.answer["states"].as_object().into_iter().flatten())
        .map(|(word, count)| (word.as_str(), count.as_u64().unwrap_or(0)))
        .collect();
    let of = |meant| {
        states
            .iter()
            .copied()
            .filter(move |(word, _)| MEANT.contains(word) == meant)
    };
    let states = match (counts(of(true)), counts(of(false))) {
        (none, other) if none.is_empty() && other.is_empty() => ": nobody heard it".to_owned(),
        (none, other) if none.is_empty() => format!("; not for {other}"),
        (meant, other) if other.is_empty() => format!(": {meant}"),
        (meant, other) => format!(": {meant}; not for {other}"),
    };
    let (at, position) = (moment(text(&event["at"])), text(&event["position"]));
    format!("accepted {at} at {position}; for {sessions} {plural}{nodes}{states}")
}

/// `2 confirmed, 1 written`.
fn counts<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for (word, count) in all {
        match counts.iter_mut().find(|(other, _)| *other == word) {
            Some((_, sum)) => *sum += count,
            None => counts.push((word, count)),
        }
    }
    let counts = counts.iter().map(|(word, count)| format!("{count} {word}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// What it came to for the user who was asked for.
fn of_user(said: &[Said]) -> Option<String> {
    let user = said.iter().find_map(|said| said.answer["user"].as_str())?;
    let shown = said
        .iter()
        .flat_map(|said| said.answer["shown"].as_array().into_iter().flatten());
    let states = counts(shown.map(|trail| (text(&trail["state"]), 1)));
    Some(match states.is_empty() {
        true => format!("user {user}: no session is open, and none has ended lately"),
        false => format!("user {user}: {states}"),
    })
}

fn about(event: &Value) -> Vec<String> {
    let list = |value: &Value| {
        let all = value.as_array().into_iter().flatten().map(text);
        all.collect::<Vec<_>>().join(", ")
    };
    let ephemeral = match event["ephemeral"] == true {
        true => ", ephemeral",
        false => "",
    };
    let kind = format!(
        "{} ({} bytes{ephemeral})",
        text(&event["type"]),
        event["size"]
    );
    let lines = [
        ("id", text(&event["id"]).to_owned()),
        ("type", kind),
        ("topics", list(&event["topics"])),
        ("users", list(&event["users"])),
    ];
    let said = lines.iter().filter(|(_, text)| !text.is_empty());
    said.map(|(word, text)| format!("  {word:<8}  {text}"))
        .collect()
}

fn table(said: &Said) -> Vec<String> {
    let rows = said.answer["shown"].as_array().into_iter().flatten();
    let mut rows: Vec<[String; 5]> = rows.map(row).collect();
    let headings = ["session", "endpoint", "user", "from", "what became of it"];
    rows.insert(0, headings.map(str::to_owned));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
    let line = |row: &[String; 5]| {
        let [a, b, c, d] = widths;
        let [session, endpoint, user, from, state] = row;
        format!("  {session:<a$}  {endpoint:<b$}  {user:<c$}  {from:<d$}  {state}")
    };
    rows.iter().map(line).collect()
}

fn row(trail: &Value) -> [String; 5] {
    let cell = |key: &str| trail[key].as_str().unwrap_or("-").to_owned();
    let state = format!("{}: {}", text(&trail["state"]), why(trail));
    [
        cell("session"),
        cell("endpoint"),
        cell("user"),
        cell("address"),
        state,
    ]
}

/// A state in words.
fn why(trail: &Value) -> String {
    let mut said = match text(&trail["state"]) {
        "confirmed" => format!(
            "the client has it, by {}",
            moment(text(&trail["confirmed_by"]))
        ),
        "written" => "given to the socket; no pong has come for it yet".into(),
        "queued" => "waits to be written".into(),
        "behind" => "the session is behind and will read it from the feed".into(),
        "accepted" => "not handed out yet".into(),
        "no_subscriber" => "the session heard none of its topics".into(),
        "not_permitted" => "the event is for other users".into(),
        "left_out" => "the event or the endpoint's `except` leaves this client out".into(),
        "no_frame" => "the endpoint has no frame for its type".into(),
        "ephemeral_while_behind" => "ephemeral, and the session was behind when it came".into(),
        "slow" => "the client read too slowly".into(),
        "closed" => "the session ended before it was written".into(),
        "closed_before" => "the session had ended before".into(),
        "opened_later" => format!("opened at {}, after it", moment(text(&trail["opened"]))),
        "app_leg" => "the app serves this session".into(),
        "unknown" => "the session's topics have changed since".into(),
        other => other.to_owned(),
    };
    if let (Some(at), Some(because)) = (trail["closed"].as_str(), trail["closed_because"].as_str())
    {
        said += &format!(" (closed {}: {because})", moment(at));
    }
    said
}

fn missing(event: &str, answer: &Value) -> String {
    let oldest = answer["oldest"].as_str().map(moment);
    match (text(&answer["why"]), oldest) {
        ("never_seen", _) => format!(
            "{event} was never accepted: nothing is forgotten since the feed began, and it is not there"
        ),
        ("not_since", Some(oldest)) => {
            format!("{event} was not accepted since {oldest}; what is older is forgotten")
        }
        ("other_life", _) => {
            format!("{event} is a position of another life of the feed, which has begun anew since")
        }
        (_, Some(oldest)) => {
            format!("{event} is forgotten: the oldest event that is remembered is of {oldest}")
        }
        (_, None) => format!("{event} is forgotten: it is older than the feed keeps"),
    }
}

/// `2026-11-21 14:03:12.123`, UTC.
fn moment(text: &str) -> String {
    text.replace('T', " ").replace('Z', " UTC")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
