//! `outrigger tail`: events as they come, a line each, through restarts.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use clap::Args;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::sleep;

use super::{
    output::{Failure, print_on, say},
    reach::{self, AdminArg},
};
use crate::upstream::{Address, AppBody};

/// Between two attempts to reach an Outrigger that was there.
const PAUSE: Duration = Duration::from_millis(500);
/// A line is never longer: an event is at most as large as a webhook.
const LONGEST: usize = 64 << 20;

/// Watch events as they come
///
/// Prints a line for each event that a running Outrigger accepts: when, its type, whom
/// it is for, how large it is, how many sessions are subscribed, its id and position.
/// Goes on by itself when Outrigger was restarted. The payload may be private, so it is
/// shown with --data only.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct TailArgs {
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// Only events to this topic; several times too
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only events that name this user or that the user's sessions hear; several times too
    #[arg(long = "user", value_name = "ID")]
    users: Vec<String>,
    /// Only events for which this endpoint has a frame; several times too
    #[arg(long = "endpoint", value_name = "NAME")]
    endpoints: Vec<String>,
    /// With the payloads
    #[arg(long)]
    data: bool,
    /// Begin after this position instead of now
    #[arg(long, value_name = "POSITION")]
    since: Option<String>,
    /// As JSON, a line each, as the admin port says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArg,
}

const EXAMPLES: &str = "\
Examples:
  outrigger tail
  outrigger tail --user 42
  outrigger tail --type new_message --topic messages_7 --data
  outrigger tail --json | jq -c 'select(.subscribed == 0)'

What became of one of them: outrigger trace ID";

/// A tail that goes on.
struct Tail {
    node: Address,
    query: Vec<(&'static str, String)>,
    /// All up to here has been shown.
    reached: Option<String>,
    json: bool,
    data: bool,
    coloured: bool,
}

pub(super) fn run(args: TailArgs) -> Result<(), Failure> {
    let mut nodes = args.admin.addresses()?.into_iter();
    let (Some(node), None) = (nodes.next(), nodes.next()) else {
        let help = "run it once for each; with a feed in Redis one shows all events";
        return Err(Failure::new("a tail follows one admin port", help));
    };
    let mut query = Vec::new();
    for (word, values) in [
        ("type", args.kinds),
        ("topic", args.topics),
        ("user", args.users),
        ("endpoint", args.endpoints),
    ] {
        query.extend(values.into_iter().map(|value| (word, value)));
    }
    if args.data {
        query.push(("data", "1".into()));
    }
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let tail = Tail {
        node,
        query,
        reached: args.since,
        json: args.json,
        data: args.data,
        coloured: io::stdout().is_terminal() && !unwanted,
    };
    follow(tail)
}

#[tokio::main(flavor = "current_thread")]
async fn follow(mut tail: Tail) -> Result<(), Failure> {
    let mut was_there = false;
    loop {
        match tail.connect().await {
            Ok(body) => {
                if was_there {
                    say("-- Outrigger is back");
                }
                was_there = true;
                if !tail.read(body).await? {
                    return Ok(());
                }
                say(&format!(
                    "-- {} has ended or is out of reach; waiting for it",
                    tail.node
                ));
            }
            Err(Refused::Away(_)) if was_there => {}
            Err(Refused::Away(why) | Refused::No(why)) => {
                let what = format!("{} cannot be tailed: {why}", tail.node);
                let help = "is it running there? If elsewhere, say where: --admin ADDRESS";
                return Err(Failure::new(what, help));
            }
        }
        sleep(PAUSE).await;
    }
}

/// Why there is no tail.
enum Refused {
    /// Nobody answers.
    Away(String),
    /// It says no.
    No(String),
}

impl Tail {
    async fn connect(&self) -> Result<AppBody, Refused> {
        let mut query: Vec<_> = self
            .query
            .iter()
            .map(|(word, value)| (*word, value.as_str()))
            .collect();
        query.extend(self.reached.as_deref().map(|reached| ("since", reached)));
        let path = reach::path("/tail", &query);
        let response = reach::follow(&self.node, &path)
            .await
            .map_err(Refused::Away)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = http_body_util::Limited::new(response.into_body(), 4096)
            .collect()
            .await;
        let said = body.map(|body| body.to_bytes()).unwrap_or_default();
        let said = format!("{status}: {}", String::from_utf8_lossy(&said).trim());
        Err(match status.is_server_error() {
            true => Refused::Away(said),
            false => Refused::No(said),
        })
    }

    /// Shows what comes until that ends. Says whether anybody still reads.
    async fn read(&mut self, mut body: AppBody) -> Result<bool, Failure> {
        let mut unread = BytesMut::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            unread.extend_from_slice(&piece);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = unread.split_to(end);
                unread.advance(1);
                if !self.show(&line)? {
                    return Ok(false);
                }
            }
            if unread.len() > LONGEST {
                return Err(Failure::new("a line has no end", "is this an Outrigger?"));
            }
        }
        Ok(true)
    }

    fn show(&mut self, line: &[u8]) -> Result<bool, Failure> {
        let Ok(told) = serde_json::from_slice::<Value>(line) else {
            return Ok(true);
        };
        let reached = told["reached"].as_str().or(told["position"].as_str());
        if let Some(reached) = reached {
            self.reached = Some(reached.to_owned());
        }
        if let Some(count) = told["skipped"].as_u64() {
            say(&format!(
                "-- skipped {count} events: they came faster than they were read here"
            ));
        }
        if let Some(missed) = told["missed"].as_str() {
            say(&format!("-- {missed}"));
        }
        match told["position"].is_string() {
            true if self.json => print_on(&String::from_utf8_lossy(line)),
            true => print_on(&self.line(&told)),
            false => Ok(true),
        }
    }

    /// An event for people.
    fn line(&self, told: &Value) -> String {
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        let list = |key: &str| {
            let all = told[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            all.collect::<Vec<_>>().join(",")
        };
        let time = text("at").split_once('T').map_or("", |(_, time)| time);
        let whom = match (list("topics"), list("users")) {
            (topics, users) if users.is_empty() => topics,
            (topics, users) if topics.is_empty() => format!("users {users}"),
            (topics, users) => format!("{topics} users {users}"),
        };
        let heard = told["subscribed"].as_u64().unwrap_or(0);
        let paint = |code: &str, text: String| match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        };
        let unheard = if heard == 0 { "33" } else { "0" };
        let mut line = format!(
            "{}  {}  {whom:<28}  {}  {:>8}  {}  {}",
            paint("2", time.to_owned()),
            paint("36", format!("{:<24}", text("type"))),
            paint(unheard, format!("{heard:>4} subscribed")),
            format!("{} B", told["size"]),
            text("id"),
            paint("2", text("position").to_owned()),
        );
        if self.data {
            line = format!("{line}  {}", told["data"]);
        }
        line
    }
}
