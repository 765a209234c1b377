//! Restarts, with a feed that outlives the process.

use std::path::Path;

use super::*;
use crate::harness::{App, Outrigger, ok};

/// A stage whose feed is in this folder.
async fn stage(folder: &Path) -> Stage {
    let path = folder.join("feed").display().to_string();
    let tables = format!("[feed.disk]\npath = \"{path}\"\n[stop]\nspread = \"0s\"\n");
    Stage::with(App::answering(|_| ok("{}")).await, &tables, &eager("")).await
}

/// The process ends by a signal, and another begins.
async fn restart(stage: &mut Stage, signal: &str) {
    stage.outrigger.signal(signal).await;
    stage.outrigger.exit().await;
    stage.outrigger = Outrigger::start(&stage.config(&eager(""))).await;
}

#[tokio::test]
async fn after_a_kill_a_client_goes_on_at_its_last_pong() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path()).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    stage.tell_many("news", "news", 1..3).await;
    hears(&mut socket, 1..3).await;
    proven(&stage, &mut socket).await;
    let confirmed = progress(&stage).await["confirmed"]
        .as_str()
        .unwrap()
        .to_owned();
    let marks = folder.path().join("feed/marks");
    let marked = || async {
        std::fs::read_to_string(&marks)
            .unwrap()
            .contains(&confirmed)
    };
    until("the mark to be written", marked).await;
    // It reads this one and does not come to the ping behind it.
    tell(&stage, 3).await;
    hears(&mut socket, [3]).await;
    restart(&mut stage, "KILL").await;
    orphans(&stage, 1.0).await;
    tell(&stage, 4).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, 3..5).await;
    tell(&stage, 5).await;
    hears(&mut again, [5]).await;
    assert_eq!(adoptions(&stage, "adopted").await, 1.0);
}

#[tokio::test]
async fn a_client_is_known_from_its_handshake_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path()).await;
    tell(&stage, 1).await;
    let _socket = stage.open("/ws/news/", 1).await;
    restart(&mut stage, "KILL").await;
    tell(&stage, 2).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [2]).await;
}

#[tokio::test]
async fn a_stop_costs_nothing_twice_and_a_goodbye_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path()).await;
    let mut socket = stage.open("/ws/news/", 1).await;
    let mut other = stage.open("/ws/news/", 2).await;
    tell(&stage, 1).await;
    hears(&mut socket, [1]).await;
    hears(&mut other, [1]).await;
    other.close().await;
    stage.outrigger.signal("TERM").await;
    assert_eq!(socket.closed().await.code, 1012);
    stage.outrigger.exit().await;
    stage.outrigger = Outrigger::start(&stage.config(&eager(""))).await;
    orphans(&stage, 1.0).await;
    tell(&stage, 2).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, [2]).await;
}

#[tokio::test]
async fn who_was_in_doubt_at_a_kill_goes_on_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path()).await;
    let _silent = stage.open("/ws/news/", 1).await;
    tell(&stage, 1).await;
    let unproven = async || !progress(&stage).await["unconfirmed_since"].is_null();
    until("something to be unproven", unproven).await;
    // The same client, or a second tab: nobody knows for a second.
    let _second = stage.open("/ws/news/", 1).await;
    restart(&mut stage, "KILL").await;
    orphans(&stage, 2.0).await;
    tell(&stage, 2).await;
    let mut again = stage.open("/ws/news/", 1).await;
    hears(&mut again, 1..3).await;
    proven(&stage, &mut again).await;
    reset(again);
    orphans(&stage, 2.0).await;
    tell(&stage, 3).await;
    let mut once_more = stage.open("/ws/news/", 1).await;
    hears(&mut once_more, [3]).await;
    // There was a second tab: what it has missed is still there.
    let once_more = reader(once_more);
    let mut tab = stage.open("/ws/news/", 1).await;
    hears(&mut tab, 1..4).await;
    once_more.abort();
}
