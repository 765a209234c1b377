//! The app's own event stream as a source, through the front door.

mod kept;

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

/// What is on the admin port about the stream.
async fn shown(stage: &Stage) -> serde_json::Value {
    let (status, text) = stage.outrigger.admin("/sources").await;
    assert_eq!(status, 200, "{text}");
    let mut shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    shown["sse"].take()
}

#[tokio::test]
async fn garbage_is_skipped_and_told() {
    let app = App::start().await;
    let config = read_from(&app, "10s");
    let stage = Stage::with(app, "", &config).await;
    let (mut stream, _) = opened(&stage.app).await;
    let mut socket = stage.open("/ws/news", 1).await;
    let garbage = concat!(
        "id: 2\ndata: {\n\n",
        "id: 3\ndata: [1]\n\n",
        "id: 4\ndata: {\"type\":\"news\"}\n\n",
        "id: 5\ndata: {\"topics\":[\"news\"]}\n\n",
        "id: 6\ndata: {\"typ\":\"news\"}\n\n",
        "\u{0}\u{fffd}\n\nid\n\n:\n\nnonsense: 1\n\n",
    );
    stream
        .send(format!("{}{garbage}{}", event(1), event(7)))
        .await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    assert_eq!(socket.text().await, r#"{"n":7}"#);
    let shown = shown(&stage).await;
    let address = stage.app.address();
    assert_eq!(
        shown["url"],
        format!("{address}/events"),
        "without its query"
    );
    assert_eq!(
        (&shown["cursor"], &shown["events"]["accepted"]),
        (&json!("7"), &json!(2))
    );
    let reasons =
        json!({"not_json": 1, "not_an_object": 1, "nobody": 1, "missing": 1, "unknown_key": 1});
    assert_eq!(shown["rejected"], reasons);
    for (reason, count) in reasons.as_object().unwrap() {
        let name = format!("outrigger_sse_rejected_total{{result=\"{reason}\"}}");
        assert_eq!(stage.outrigger.metric(&name).await, count.as_f64().unwrap());
    }
    assert!(shown["connected_since"].is_number() && shown["last_event"].is_number());
}

#[tokio::test]
async fn a_hung_stream_is_left_and_read_on_elsewhere() {
    let app = App::start().await;
    let config = read_from(&app, "500ms");
    let stage = Stage::with(app, "", &config).await;
    let (mut hung, _) = opened(&stage.app).await;
    let mut socket = stage.open("/ws/news", 1).await;
    // Half an event is no event, and what comes of it later is nothing.
    hung.send(format!("{}id: 2\ndata: {{", event(1))).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#);
    let (mut stream, since) = opened(&stage.app).await;
    assert_eq!(since.as_deref(), Some("1"));
    let why = shown(&stage).await["last_error"].clone();
    assert!(
        why.as_str().unwrap().contains("not a byte for 500ms"),
        "{why}"
    );
    stream.send(event(2)).await;
    assert_eq!(socket.text().await, r#"{"n":2}"#);
    assert_eq!(
        stage
            .outrigger
            .metric("outrigger_sse_connects_total{result=\"silent\"}")
            .await,
        1.0
    );
}
