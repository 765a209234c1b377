//! The place in the app's stream, kept on the disk with the events before it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, time::sleep};

use super::NEWS;
use crate::harness::{App, Connection, Events, Outrigger, as_user, preamble, until};

const EVENTS: u64 = 1500;
const KILLS: u64 = 10;

/// Sends what stands behind the place that is asked for, from an app that has said
/// so many events so far, and goes on as it says more. Each third has no id.
async fn serve(mut connection: Connection, said: Arc<AtomicU64>) {
    let asked = connection.request_head().await;
    let since = asked
        .header("last-event-id")
        .map_or(0, |id| id.parse().unwrap());
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await;
    let (mut stream, _) = connection.into_tcp();
    let mut next: u64 = since + 1;
    loop {
        while next <= said.load(Ordering::Relaxed) {
            let event = json!({"type": "news", "topics": ["news"], "data": {"n": next}});
            let id = if next.is_multiple_of(3) {
                String::new()
            } else {
                format!("id: {next}\n")
            };
            let text = format!("{id}data: {event}\n\n");
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            next += 1;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// An app that streams, and how many events it has said.
async fn streaming() -> (Arc<App>, Arc<AtomicU64>) {
    let (app, said) = (Arc::new(App::start().await), Arc::<AtomicU64>::default());
    let (listening, counter) = (app.clone(), said.clone());
    tokio::spawn(async move {
        loop {
            let connection = listening.accept_ever().await;
            tokio::spawn(serve(connection, counter.clone()));
        }
    });
    (app, said)
}

async fn cursor(outrigger: &Outrigger) -> Value {
    let (_, text) = outrigger.admin("/sources").await;
    let mut shown: Value = serde_json::from_str(&text).unwrap();
    shown["sse"]["cursor"].take()
}

#[tokio::test]
async fn a_killed_reader_goes_on_at_its_place() {
    let (app, said) = streaming().await;
    let folder = TempDir::new().unwrap();
    let feed = folder.path().join("feed");
    let config = format!(
        "{}\n[feed.disk]\npath = \"{}\"\n[source.sse]\nurl = \"{}/events\"\nmax_backoff = \"50ms\"\n{NEWS}",
        preamble(&app),
        feed.display(),
        app.address()
    );
    let mut outrigger = Outrigger::start(&config).await;
    let mut events = Events::open(outrigger.addr(), &as_user("/ws/news", 1), &[]).await;
    let begin = events.quiet_id().await;
    for kill in 1..=KILLS {
        said.store(EVENTS * kill / KILLS, Ordering::Relaxed);
        // Another moment each time, before and after it has read anything.
        sleep(Duration::from_millis(37 * (kill * 7 % 11))).await;
        outrigger.signal("KILL").await;
        outrigger.exit().await;
        outrigger = Outrigger::start(&config).await;
    }
    let last = json!((EVENTS - 1).to_string());
    until("the whole stream to be read", || async {
        cursor(&outrigger).await == last
    })
    .await;
    let since = [("Last-Event-ID", &*begin)];
    let mut events = Events::open(outrigger.addr(), &as_user("/ws/news", 1), &since).await;
    for n in 1..=EVENTS {
        assert_eq!(events.json().await["n"], n, "each once and in order");
    }
    assert_eq!(outrigger.metric("outrigger_sse_rejected_total").await, 0.0);
}
