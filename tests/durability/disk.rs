//! `[feed.disk]` under `kill -9`, without space, and with a second owner.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use outrigger::{
    event::{Offset, Position},
    feed::{self, Feed, Page},
    metrics::Metrics,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Moments, Senders, check, kills};
use crate::harness::{HOOK_SECRET, Message, Outrigger, post_event, until};

fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[app]\naddress = \"http://127.0.0.1:9\"\n[source.webhook]\nsecret = \"{HOOK_SECRET}\"\n\
         [feed.disk]\npath = \"{folder}\"\nkeep = \"10h\"\nmax_events = 100000000\nmax_bytes = \"64GiB\"\nmemory = \"1MiB\"\n"
    )
}

/// All that is in the folder, in order.
async fn read(folder: &Path) -> Vec<(String, Position)> {
    let settings = feed::Settings {
        keep: Duration::from_secs(36_000),
        max_events: 100_000_000,
        max_bytes: 1 << 36,
        memory: 1 << 20,
        kept: feed::Kept::Disk(feed::Disk {
            path: folder.to_owned(),
        }),
    };
    let feed = Feed::open(settings, Metrics::new()).unwrap();
    let mut cursor = Offset(1, 0);
    let mut read = Vec::new();
    loop {
        let Page::Entries { entries, reached } = feed.after(cursor, 10_000).await else {
            panic!("lost at {cursor}");
        };
        let place = |entry: &std::sync::Arc<outrigger::event::Entry>| {
            (entry.event.id.to_string(), entry.position)
        };
        read.extend(entries.iter().map(place));
        if reached == cursor {
            return read;
        }
        cursor = reached;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_missing_after_kills() {
    let folder = TempDir::new().unwrap();
    let (begun, kills, mut moments) = (Instant::now(), kills(), Moments::new());
    let senders = Senders::start();
    for kill in 0..kills {
        // While it reads what is there.
        if kill % 4 == 3 {
            let soon = moments.up_to(Duration::from_millis(60));
            Outrigger::stillborn(&config(folder.path()), soon).await;
            continue;
        }
        let mut outrigger = Outrigger::start(&config(folder.path())).await;
        senders.to(outrigger.addr());
        sleep(moments.up_to(Duration::from_millis(300))).await;
        outrigger.signal("KILL").await;
        outrigger.exit().await;
    }
    let mut outrigger = Outrigger::start(&config(folder.path())).await;
    senders.to(outrigger.addr());
    let told = senders.finish().await;
    let changes = outrigger.metric("outrigger_feed_epoch_changes_total").await;
    outrigger.signal("KILL").await;
    outrigger.exit().await;
    let read = read(folder.path()).await;
    check(&format!("{kills} kills"), begun, &told, &read);
    assert_eq!(changes, 0.0);
}

#[tokio::test]
async fn a_second_owner_is_told_who_has_the_folder() {
    let folder = TempDir::new().unwrap();
    let _first = Outrigger::start(&config(folder.path())).await;
    let (status, text) = Outrigger::refused(&config(folder.path())).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("another process has"), "{text}");
    assert!(text.contains("another path in [feed.disk]"), "{text}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    // Nobody can make a folder there, not even root.
    let (status, text) = Outrigger::refused(&config(Path::new("/proc/feed"))).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("cannot make /proc/feed"), "{text}");
}

/// Posts event `n` with a payload of 8 KB.
async fn post(outrigger: &Outrigger, n: usize) -> Message {
    let event = json!({"type": "news", "topics": ["news"], "data": {"filling": "x".repeat(8000)}});
    post_event(outrigger.addr(), HOOK_SECRET, &format!("event-{n}"), &event).await
}

#[tokio::test]
async fn a_full_disk_is_answered_503_until_there_is_space() {
    let Some(unshare) = own_mounts() else {
        println!("mounting is not allowed here: not tested");
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    // A disk of its own, of half a megabyte, that is gone with the process.
    let shell = format!(
        "exec unshare {unshare} sh -c 'mount -t tmpfs -o size=512k none {path} && exec \"$0\" \"$@\"' \"$0\" \"$@\""
    );
    let outrigger = Outrigger::start_in(&shell, &config(&folder.path().join("feed"))).await;
    let inside = format!("/proc/{}/root{path}", outrigger.pid());
    let ballast = Path::new(&inside).join("ballast");
    fs::write(&ballast, vec![1; 256 << 10]).unwrap();
    let mut taken = Vec::new();
    let refusal = loop {
        let answer = post(&outrigger, taken.len()).await;
        match answer.status() {
            202 => taken.push(format!("event-{}", taken.len())),
            _ => break answer,
        }
        assert!(taken.len() < 100, "it never filled up");
    };
    assert_eq!(refusal.status(), 503);
    assert_eq!(refusal.header("retry-after"), Some("5".into()));
    assert!(
        refusal.text().contains("the disk is full"),
        "{}",
        refusal.text()
    );
    assert_eq!(post(&outrigger, taken.len()).await.status(), 503);
    let full = "outrigger_feed_write_failures_total{result=\"full\"}";
    assert_eq!(outrigger.metric(full).await, 2.0);
    fs::remove_file(&ballast).unwrap();
    for _ in 0..9 {
        let answer = post(&outrigger, taken.len()).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["results"][0]["result"], "accepted", "{body}");
        taken.push(format!("event-{}", taken.len()));
    }
    let copy = TempDir::new().unwrap();
    for file in fs::read_dir(format!("{inside}/feed")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let read = read(copy.path()).await;
    let ids: Vec<_> = read.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, taken);
}

/// How `unshare` gives a process mounts of its own, if it may.
fn own_mounts() -> Option<&'static str> {
    ["-m", "-rm"].into_iter().find(|how| {
        let tried = Command::new("unshare").args([how, "true"]).status();
        tried.is_ok_and(|status| status.success())
    })
}

#[tokio::test]
async fn a_limit_on_files_costs_retries_but_no_event() {
    let folder = TempDir::new().unwrap();
    let shell = "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"";
    let mut outrigger = Outrigger::start_in(shell, &config(folder.path())).await;
    for n in 0..40 {
        until("a 202", || async {
            post(&outrigger, n).await.status() == 202
        })
        .await;
    }
    let failed = "outrigger_feed_write_failures_total{result=\"file_size\"}";
    assert!(outrigger.metric(failed).await >= 1.0);
    outrigger.signal("KILL").await;
    outrigger.exit().await;
    let ids: Vec<_> = read(folder.path())
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let all: Vec<_> = (0..40).map(|n| format!("event-{n}")).collect();
    assert_eq!(ids, all);
}
