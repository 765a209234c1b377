//! The app's own event stream as a source, through the front door.

use serde_json::json;

use crate::harness::{App, Connection, Stage, as_user};

const NEWS: &str = r#"
[[endpoint]]
name = "news"
path = "/ws/news"
topics = ["news"]
frames = { news = { n = "{data.n}" } }
"#;

/// The config of a stream of this app; `silence` is what the tests change.
fn read_from(app: &App, silence: &str) -> String {
    let url = format!("{}/events?of=all", app.address());
    format!("[source.sse]\nurl = \"{url}\"\nsilence = \"{silence}\"\n{NEWS}")
}

/// Takes the next connection to the stream and begins to answer it.
async fn opened(app: &App) -> (Connection, Option<String>) {
    let mut stream = app.accept().await;
    let asked = stream.request_head().await;
    assert_eq!(asked.target(), "/events?of=all");
    assert_eq!(asked.header("accept").as_deref(), Some("text/event-stream"));
    stream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await;
    (stream, asked.header("last-event-id"))
}

fn event(n: u64) -> String {
    let event = json!({"type": "news", "topics": ["news"], "data": {"n": n}});
    format!("id: {n}\ndata: {event}\n\n")
}

#[tokio::test]
async fn events_reach_sockets_and_a_broken_stream_goes_on_where_it_was() {
    let app = App::start().await;
    let config = read_from(&app, "10s");
    let stage = Stage::with(app, "", &config).await;
    let (mut stream, since) = opened(&stage.app).await;
    assert_eq!(since, None);
    let mut socket = stage
        .connect(&as_user("/ws/news", 1), &[])
        .await
        .ok()
        .unwrap();
    stream.send(event(1)).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    drop(stream);
    let (mut stream, since) = opened(&stage.app).await;
    assert_eq!(since.as_deref(), Some("1"));
    stream.send(format!("{}{}", event(1), event(2))).await;
    assert_eq!(socket.text().await, r#"{"n":2}"#, "each event once");
}

#[tokio::test]
async fn a_changed_stream_keeps_its_place() {
    let app = App::start().await;
    let config = read_from(&app, "10s");
    let stage = Stage::with(app, "", &config).await;
    let (mut stream, _) = opened(&stage.app).await;
    let mut socket = stage
        .connect(&as_user("/ws/news", 1), &[])
        .await
        .ok()
        .unwrap();
    stream.send(event(7)).await;
    assert_eq!(socket.text().await, r#"{"n":7}"#);
    stage
        .outrigger
        .rewrite(&stage.config(&read_from(&stage.app, "11s")));
    let (mut stream, since) = opened(&stage.app).await;
    assert_eq!(since.as_deref(), Some("7"));
    stream.send(event(8)).await;
    assert_eq!(socket.text().await, r#"{"n":8}"#);
}
