//! The client in the docs, run as it stands there.

use std::{fs, process::Stdio};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::endpoint;
use crate::harness::{Stage, as_user, within};

const DRIVER: &str = r#"
import { listen } from "./listen.mjs";
let greeted = false;
const client = listen(process.argv[2], (frame) => {
  console.log(JSON.stringify(frame));
  if (frame.hello && !greeted) client.send({ type: "ping" });
  greeted = true;
}, () => console.log("lost"));
"#;

/// Whether there is a node that knows WebSocket.
async fn has_node() -> bool {
    let mut node = Command::new("node");
    node.args([
        "--experimental-websocket",
        "-e",
        "new WebSocket('ws://127.0.0.1:1').onerror = () => {}",
    ]);
    let status = node.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn the_client_in_the_docs_misses_nothing() {
    if !has_node().await {
        println!("There is no node with WebSocket: skipped");
        return;
    }
    let docs = fs::read_to_string("docs/resume.md").unwrap();
    let begins = docs.find("export function listen").unwrap();
    let example = docs[begins..].split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("listen.mjs"), example).unwrap();
    fs::write(dir.path().join("driver.mjs"), DRIVER).unwrap();
    let more = "welcome = { hello = true }\n\
                actions = [{ when = { type = \"ping\" }, reply = { type = \"pong\" } }]\n";
    let stage = Stage::new(&endpoint(more)).await;
    let url = format!("ws://{}{}", stage.outrigger.addr(), as_user("/ws/news", 1));
    let mut node = Command::new("node");
    node.args([
        "--experimental-websocket",
        "--no-warnings",
        "driver.mjs",
        &url,
    ]);
    node.current_dir(dir.path()).stdout(Stdio::piped());
    let mut node = node.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut line = async || {
        let line = within("the client to say something", lines.next_line()).await;
        line.unwrap().expect("the client ended")
    };
    assert_eq!(line().await, r#"{"hello":true}"#);
    assert_eq!(line().await, r#"{"type":"pong"}"#);
    for round in 0..3 {
        // The socket ends between two events.
        let event = |n| json!({"type": "news", "topics": ["news"], "data": {"n": n}});
        let end = json!({"type": "outrigger.disconnect", "users": [1], "data": {"code": 3001}});
        stage
            .publish(&json!({"events": [event(0), end, event(1), event(2)]}))
            .await;
        assert_eq!(line().await, r#"{"type":"news","n":0}"#, "round {round}");
        assert_eq!(line().await, r#"{"hello":true}"#);
        for n in 1..3 {
            let news = format!("{{\"type\":\"news\",\"n\":{n}}}");
            let next = line().await;
            assert_eq!(next, news, "round {round}");
        }
    }
}
