//! `outrigger trace` and `outrigger tail`, as whoever types them meets them.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStderr, ChildStdout, Command},
};

use super::{becomes, endpoints, publish, silent};
use crate::harness::{App, Outrigger, Stage, ok, post_event, preamble, within};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Exit code, standard output, standard error.
async fn run(args: &[&str]) -> (i32, String, String) {
    let output = within("a command", command(args).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A text in which numbers and widths are alike each time.
fn still(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = line.split_whitespace().map(|word| {
            let is_digit = |c: char| c.is_ascii_hexdigit();
            let moves = word.contains("-") && word.contains('.') && word.starts_with(is_digit);
            match word {
                _ if moves => "POSITION".to_owned(),
                _ if word.starts_with("127.0.0.1:") => "ADDRESS".to_owned(),
                _ if word.starts_with(|c: char| c.is_ascii_digit()) && word.len() >= 10 => {
                    "TIME".to_owned()
                }
                _ => word.to_owned(),
            }
        });
        out += &" ".repeat(indent);
        out += &words.collect::<Vec<_>>().join(" ");
        out.push('\n');
    }
    out
}

#[tokio::test]
async fn trace_says_first_what_matters_most() {
    let stage = Stage::new(&endpoints("heartbeat = \"1m\"")).await;
    let _one = silent(&stage, 1, false).await;
    let _deaf = stage.open("/ws/deaf", 42).await;
    publish(&stage, "order-17", &json!({"users": [1, 42]})).await;
    becomes(&stage, "order-17", 1, "written").await;
    let admin = stage.outrigger.admin_addr().to_string();
    let traced = run(&["trace", "order-17", "--admin", &admin]).await;
    let of_user = run(&["trace", "order-17", "--user", "42", "--admin", &admin]).await;
    let nobody = run(&["trace", "order-17", "--user", "7", "--admin", &admin]).await;
    let unknown = run(&["trace", "order-18", "--admin", &admin]).await;
    assert_eq!((traced.0, of_user.0, nobody.0, unknown.0), (0, 0, 0, 1));
    let all = [traced, of_user, nobody, unknown].map(|(_, out, _)| still(&out));
    insta::assert_snapshot!("trace", all.join("---\n"));
    let (code, out, _) = run(&["trace", "order-17", "--json", "--admin", &admin]).await;
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["found"]), (0, &json!(true)));
    assert_eq!(run(&["trace"]).await.0, 2);
    let (code, _, said) = run(&["trace", "order-17", "--admin", "127.0.0.1:9"]).await;
    assert!(code == 1 && said.contains("--admin ADDRESS"), "{said}");
}

#[tokio::test]
async fn several_nodes_are_asked_and_one_may_be_away() {
    let stage = Stage::new(&endpoints("")).await;
    publish(&stage, "order-17", &json!({})).await;
    let other = Stage::new(&endpoints("")).await;
    let admins = [stage, other].map(|stage| {
        let admin = stage.outrigger.admin_addr().to_string();
        (stage, admin)
    });
    let [(_, one), (_, two)] = &admins;
    let args = [
        "trace",
        "order-17",
        "--admin",
        two,
        "--admin",
        "127.0.0.1:9",
        "--admin",
        one,
    ];
    let (code, out, said) = run(&args).await;
    assert_eq!(code, 0, "{said}");
    assert!(
        out.starts_with("accepted ") && out.contains("on 2 nodes"),
        "{out}"
    );
    assert!(
        said.contains("warning: http://127.0.0.1:9 cannot be asked"),
        "{said}"
    );
}

struct Tail {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    said: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    fn start(args: &[&str]) -> Self {
        let mut command = command(&[&["tail"], args].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, said }
    }

    async fn line(&mut self) -> String {
        within("a line", self.out.next_line())
            .await
            .unwrap()
            .unwrap()
    }

    async fn said(&mut self) -> String {
        within("a note", self.said.next_line())
            .await
            .unwrap()
            .unwrap()
    }
}

#[tokio::test]
async fn a_tail_goes_on_after_a_restart_and_says_what_it_missed() {
    let app = App::answering(|_| ok("{}")).await;
    // A port that is free now: the second process has to have the same.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = free.local_addr().unwrap().to_string();
    drop(free);
    let config = format!(
        "{}\n[admin]\naddress = \"{admin}\"\n{}",
        preamble(&app),
        endpoints("")
    );
    let mut outrigger = Outrigger::start(&config).await;
    let post = async |outrigger: &Outrigger, id: &str| {
        let event = json!({"id": id, "type": "news", "topics": ["news"], "data": 1});
        let answer = post_event(outrigger.addr(), crate::harness::HOOK_SECRET, id, &event).await;
        assert_eq!(answer.status(), 202);
    };
    let mut tail = Tail::start(&["--admin", &admin, "--data"]);
    outrigger
        .metric_becomes("outrigger_tails_total{result=\"begun\"}", 1.0)
        .await;
    post(&outrigger, "first").await;
    let line = tail.line().await;
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..=4], ["news", "news", "0", "subscribed"], "{line}");
    assert!(
        line.contains(" first ") && line.ends_with("  1") && !line.contains('\x1b'),
        "{line}"
    );
    outrigger.signal("TERM").await;
    outrigger.exit().await;
    assert!(tail.said().await.contains("waiting for it"));
    let outrigger = Outrigger::start(&config).await;
    post(&outrigger, "second").await;
    assert_eq!(tail.said().await, "-- Outrigger is back");
    assert!(tail.said().await.contains("the feed has begun anew"));
    assert!(tail.line().await.contains(" second "));
    assert!(tail.child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_tail_of_nobody_says_what_to_do() {
    let (code, _, said) = run(&["tail", "--admin", "127.0.0.1:9"]).await;
    assert!(
        code == 1 && said.contains("cannot be tailed") && said.contains("--admin ADDRESS"),
        "{said}"
    );
}
