//! The docs, held to what is so: links lead somewhere, commands and configs can be
//! used as they are written, tables hold what the code holds, and what can be run
//! is run.

mod markdown;
mod templates;

use std::{collections::BTreeSet, fs, path::Path, process::Stdio};

use outrigger::{
    config::{self, Overrides},
    session::CloseReason,
};
use serde_json::{Value, json};
use tokio::process::Command;

use self::markdown::{Block, Doc, cells};
use crate::harness::{App, Outrigger, Socket, jwt, post_event, within};

const SECRET: &str = "a webhook secret of the docs";
const JWT_SECRET: &str = "a JWT secret that is long enough";

/// All that people read.
fn docs() -> Vec<Doc> {
    let mut paths = vec!["README.md".into()];
    for pattern in ["docs", "examples"] {
        markdown::find(Path::new(pattern), &mut paths);
    }
    let docs: Vec<_> = paths.iter().map(|path| Doc::read(path)).collect();
    assert!(docs.len() >= 9, "{paths:?}");
    docs
}

fn doc(path: &str) -> Doc {
    Doc::read(Path::new(path))
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for doc in docs() {
        for link in doc.links() {
            if let Err(why) = doc.follow(&link) {
                broken.push(format!("{}: {link}: {why}", doc.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_prose_has_plain_punctuation() {
    for doc in docs() {
        let strange = doc
            .text
            .chars()
            .find(|c| matches!(c, '\u{2014}' | '\u{2013}'));
        assert_eq!(strange, None, "{}", doc.path.display());
    }
}

#[test]
fn configs_can_be_used_as_they_stand() {
    let mut count = 0;
    for doc in docs() {
        // configuration.md shows parts that refer to others; tests/config.rs reads it.
        let is_reference = doc.path.ends_with("configuration.md");
        for block in doc
            .blocks()
            .filter(|block| block.is("toml") && !is_reference)
        {
            parse(
                &format!("{}:{}", doc.path.display(), block.line),
                &block.text,
            );
            count += 1;
        }
    }
    assert!(count >= 18, "only {count} configs");
    let manifest = fs::read_to_string("examples/kubernetes/outrigger.yaml").unwrap();
    let start = manifest.split_once("outrigger.toml: |\n").unwrap().1;
    let lines = start
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let text: Vec<_> = lines.map(str::trim_start).collect();
    assert!(text.len() > 30);
    parse("examples/kubernetes/outrigger.yaml", &text.join("\n"));
}

/// A config, or a part of one that is completed by what it takes for granted.
fn parse(place: &str, text: &str) {
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    let mut whole = text.to_owned();
    if !has("[") {
        whole.insert_str(0, "[[endpoint]]\nname = \"it\"\npath = \"/ws/it/\"\n");
    }
    if !has("[auth.") {
        whole.push_str("\n[auth.jwt]\nalgorithms = [\"HS256\"]\nsecret_env = \"SECRET\"\n");
    }
    let environment = |name: &str| Some(format!("{name}, which is a long secret"));
    let parsed = config::parse(
        &whole,
        Path::new("docs"),
        &Overrides::default(),
        &environment,
    );
    let Err(report) = parsed else { return };
    // Files that are the reader's.
    let known = |message: &str| message.ends_with("there is no such file");
    let wrong = report
        .problems()
        .iter()
        .find(|problem| !known(&problem.message));
    assert!(wrong.is_none(), "{place}\n{report}");
}

#[tokio::test]
async fn commands_can_be_typed_as_they_stand() {
    let mut lines = BTreeSet::new();
    for doc in docs() {
        lines.extend(doc.commands());
    }
    let unit = fs::read_to_string("examples/systemd/outrigger.service").unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/"));
    lines.insert(start.unwrap().to_owned());
    for name in [
        "init", "run", "check", "explain", "token", "publish", "demo", "tail", "trace",
    ] {
        let shown = lines
            .iter()
            .any(|line| line.split(' ').nth(1) == Some(name));
        assert!(shown, "outrigger {name} is nowhere in {lines:#?}");
    }
    for line in lines {
        let words = markdown::words(&line);
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        // What stands before --help is read first, and a wrong word ends it.
        command.args(&words[1..]).arg("--help").stdin(Stdio::null());
        let output = within(&line, command.output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{said}");
    }
}

/// The rows of a doc's table that has this heading, without it.
fn table(path: &str, heading: &str) -> Vec<Vec<String>> {
    let doc = doc(path);
    let rows = doc
        .text
        .lines()
        .skip_while(|line| !line.starts_with(heading));
    let rows: Vec<_> = rows
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    assert!(!rows.is_empty(), "{path} has no table {heading}");
    rows.into_iter().map(cells).collect()
}

/// The words in quotes of a stretch of source.
fn quoted(source: &str, from: &str, to: &str) -> BTreeSet<String> {
    let part = source.split_once(from).unwrap().1;
    let part = part.split_once(to).unwrap().0;
    part.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn close_codes_are_as_the_code_says() {
    use CloseReason::*;
    let reasons = [
        ClientClosed,
        ClientGone,
        NoPong,
        TooSlow,
        HistoryLost,
        Protocol,
        NotUtf8,
        TooLarge,
        Binary,
        TooFast,
        Disconnected(4003, "disconnected".into()),
        TokenExpired(4001),
        Moved,
        GoingAway,
    ];
    let row = |reason: &CloseReason| {
        [
            reason.code().to_string(),
            reason.text().into(),
            format!("`{}`", reason.metric()),
        ]
        .to_vec()
    };
    let mut expected: Vec<_> = reasons.iter().map(row).collect();
    expected.push(
        ["as configured", "as configured", "`refused`"]
            .map(str::to_owned)
            .to_vec(),
    );
    let rows = table("docs/endpoints.md", "| code | text |").into_iter();
    assert_eq!(
        rows.map(|row| row[..3].to_vec()).collect::<Vec<_>>(),
        expected
    );
    let source = include_str!("../src/session/close.rs");
    assert_eq!(
        quoted(source, "fn metric", "\n    }\n").len(),
        expected.len(),
        "a new reason is not shown"
    );
}

#[test]
fn refusals_are_as_the_code_says() {
    let mut words = quoted(
        include_str!("../src/session/refuse.rs"),
        "fn metric",
        "\n    }\n",
    );
    let registry = include_str!("../src/session/registry.rs");
    words.extend(quoted(registry, "fn admit", "Ok(Place"));
    let gather = include_str!("../src/session/gather.rs");
    words.extend(quoted(gather, "Refusal::Full(", ")"));
    let rows = table("docs/endpoints.md", "| reason | why |").into_iter();
    let shown: BTreeSet<_> = rows
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(shown, words);
}

#[test]
fn metrics_are_all_explained() {
    let source = include_str!("../src/metrics.rs");
    let list = source
        .split_once("\nmetrics! {\n")
        .unwrap()
        .1
        .split_once("\n}\n")
        .unwrap()
        .0;
    let names = list
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with("\";"));
    let names: Vec<_> = names
        .map(|line| {
            let (name, rest) = line.split_once(": ").unwrap();
            let counts = rest.split_once(" = ").unwrap().0.contains("Counter");
            format!("`{name}{}`", if counts { "_total" } else { "" })
        })
        .collect();
    assert!(names.len() > 25, "{names:?}");
    let rows = table("docs/operations.md", "| metric | labels |").into_iter();
    assert_eq!(rows.map(|row| row[0].clone()).collect::<Vec<_>>(), names);
}

/// An Outrigger whose app says 200 to everything.
async fn serve(config: &str) -> (App, Outrigger) {
    let app = App::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".into()).await;
    let config = format!(
        "{}{config}\n[auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{JWT_SECRET}\"\n\
         [source.webhook]\nsecret = \"{SECRET}\"\n",
        app.config()
    );
    let outrigger = Outrigger::start(&config).await;
    (app, outrigger)
}

/// What user 42 is sent for an event on `/ws/notifications/`.
async fn sent(config: &str, event: &Value) -> String {
    let (_app, outrigger) = serve(config).await;
    let token = jwt(JWT_SECRET, &json!({ "sub": "42" }));
    let path = format!("/ws/notifications/?token={token}");
    let mut socket = Socket::open(outrigger.addr(), &path).await;
    let answer = post_event(outrigger.addr(), SECRET, "e1", event).await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
    socket.text().await
}

#[tokio::test]
async fn the_first_endpoint_sends_what_is_shown() {
    let doc = doc("docs/endpoints.md");
    let blocks: Vec<Block> = doc.section("Notifications for one user").collect();
    let [config, event, frame] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let event = serde_json::from_str(&event.text).unwrap();
    assert_eq!(sent(&config.text, &event).await, frame.text.trim());
}

#[tokio::test]
async fn json_is_spelled_as_shown() {
    let doc = doc("docs/endpoints.md");
    let config = doc.section("JSON to the byte").next().unwrap().text;
    let config = config.replace(
        "{ type = \"notification\", text = \"{data.text}\" }",
        "\"{data}\"",
    );
    let shown = table("docs/endpoints.md", "| `json` |");
    let event = json!({ "type": "notification_message", "topics": ["notifications_42"], "data": { "text": "Grüße" } });
    for (row, style) in shown.iter().zip(["compact", "python"]) {
        let config = config.replace("\"python\"", &format!("\"{style}\""));
        assert_eq!(format!("`{}`", sent(&config, &event).await), row[2]);
    }
}

/// Runs a script as its reader would.
async fn shell(script: &str, env: &[(&str, &str)]) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .envs(env.iter().copied());
    let output = within("the script", command.stdin(Stdio::null()).output())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{script}\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[tokio::test]
async fn what_events_shows_for_the_shell_and_for_python_is_taken() {
    let (_app, outrigger) = serve("").await;
    let url = format!("http://{}", outrigger.addr());
    let env = [
        ("OUTRIGGER_URL", &*url),
        ("OUTRIGGER_WEBHOOK_SECRET", SECRET),
    ];
    let doc = doc("docs/events.md");
    let scripts: Vec<_> = doc
        .blocks()
        .filter(|block| block.is("sh"))
        .map(|block| block.text)
        .collect();
    let said = shell(&scripts.join("\n"), &env).await;
    assert!(said.lines().count() >= 5, "{said}");
    for line in said.lines() {
        assert!(
            line.ends_with(" 202") && !line.contains("rejected"),
            "{said}"
        );
    }
    let python = doc
        .blocks()
        .find(|block| block.text.contains("urllib.request"))
        .unwrap()
        .text;
    let said = shell(
        "python3 -c \"$SCRIPT\"",
        &[env[0], env[1], ("SCRIPT", &python)],
    )
    .await;
    assert!(said.contains("\"accepted\""), "{said}");
}

#[tokio::test]
async fn the_admin_port_answers_what_operations_asks() {
    let (_app, outrigger) = serve("").await;
    let doc = doc("docs/operations.md");
    let asks = doc
        .blocks()
        .find(|block| block.is("sh") && block.text.contains("/live"))
        .unwrap();
    let address = outrigger.admin_addr().to_string();
    let script = asks
        .text
        .replace("127.0.0.1:9464", &address)
        .replace("curl -s", "curl -sSf");
    let said = shell(&script, &[]).await;
    for part in [
        "live\n",
        "running\n",
        "outrigger_config_generation 1",
        "\"file_is_in_force\": true",
        "\"open\": 0",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}
