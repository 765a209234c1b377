//! The log on a disk that is cut, flipped, emptied and opened again.

mod owners;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;
use tempfile::TempDir;

use super::super::{Feed, Kept, OpenError};
use super::*;
use crate::{event::Position, metrics::Metrics};

/// Before the first event of the first life.
const START: Offset = Offset(1, 0);

/// Where a sync costs nothing, if there is such a place.
fn folder_in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

fn settings(folder: &Path) -> super::super::Settings {
    super::super::Settings {
        keep: Duration::from_secs(600),
        max_events: 100_000,
        max_bytes: 64 << 20,
        memory: 1 << 20,
        kept: Kept::Disk(Settings {
            path: folder.to_owned(),
        }),
    }
}

fn try_open(folder: &Path) -> Result<Arc<Feed>, OpenError> {
    Feed::open(settings(folder), Metrics::new())
}

fn open(folder: &Path) -> Arc<Feed> {
    try_open(folder).unwrap()
}

async fn close(feed: Arc<Feed>) {
    feed.close();
    feed.ended().await;
}

fn event(id: &str) -> Event {
    Event {
        id: id.into(),
        kind: "k".into(),
        topics: Default::default(),
        users: Default::default(),
        except: Default::default(),
        data: RawValue::from_string(format!("{:?}", "x".repeat(60))).unwrap(),
        ephemeral: false,
    }
}

fn ephemeral(id: &str) -> Event {
    let ephemeral = true;
    Event {
        ephemeral,
        ..event(id)
    }
}

fn events<I: ToString>(ids: impl IntoIterator<Item = I>) -> Vec<Event> {
    ids.into_iter().map(|id| event(&id.to_string())).collect()
}

async fn append(feed: &Feed, ids: &[&str]) -> Vec<Position> {
    let appended = feed.append(events(ids)).await.unwrap();
    let position = |appended| match appended {
        Appended::Accepted(position) | Appended::Duplicate(position) => position,
    };
    appended.into_iter().map(position).collect()
}

async fn ids_after(feed: &Feed, cursor: Offset) -> Vec<String> {
    match feed.after(cursor, usize::MAX).await {
        Page::Entries { entries, .. } => entries
            .iter()
            .map(|entry| entry.event.id.to_string())
            .collect(),
        Page::Lost { oldest } => vec![format!("lost until {oldest}")],
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    paths.sort();
    paths
}

/// A folder with three events, each of a write of its own, as a crash would leave it:
/// what it holds before and after the last, and the positions.
async fn three() -> (TempDir, Vec<u8>, usize, Vec<Position>) {
    let folder = folder_in_memory();
    let feed = open(folder.path());
    let mut positions = append(&feed, &["a"]).await;
    positions.extend(append(&feed, &["b"]).await);
    let two = feed.status().bytes;
    positions.extend(append(&feed, &["c"]).await);
    let path = segments(folder.path()).remove(0);
    let data = fs::read(&path).unwrap();
    close(feed).await;
    fs::write(&path, &data).unwrap();
    (folder, data, usize::try_from(two).unwrap(), positions)
}

#[tokio::test]
async fn what_was_taken_is_there_after_a_restart_at_its_place() {
    let folder = folder_in_memory();
    let feed = open(folder.path());
    let before = append(&feed, &["a", "b", "a"]).await;
    assert_eq!(before[0], before[2]);
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(
        feed.place(before[0]),
        Some(before[0].offset),
        "the epoch stays"
    );
    assert_eq!(ids_after(&feed, START).await, ["a", "b"]);
    assert_eq!(ids_after(&feed, before[0].offset).await, ["b"]);
    let again = feed.append(events(["b", "c"])).await.unwrap();
    assert_eq!(again[0], Appended::Duplicate(before[1]));
    assert!(matches!(again[1], Appended::Accepted(at) if at.offset == Offset(2, 1)));
    assert_eq!(ids_after(&feed, START).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_place_before_the_first_event_is_one() {
    let folder = folder_in_memory();
    for start in 1..4 {
        let feed = open(folder.path());
        assert_eq!(feed.head().offset, Offset(start, 0));
        assert_eq!(ids_after(&feed, START).await, [""; 0]);
        close(feed).await;
    }
    let feed = open(folder.path());
    append(&feed, &["a"]).await;
    assert_eq!(ids_after(&feed, START).await, ["a"]);
}

#[tokio::test]
async fn ephemeral_events_take_a_place_but_are_not_written() {
    let folder = folder_in_memory();
    let feed = open(folder.path());
    feed.append(vec![ephemeral("e")]).await.unwrap();
    let first = &segments(folder.path())[0];
    let length = fs::metadata(first).unwrap().len();
    feed.append(vec![ephemeral("d")]).await.unwrap();
    assert_eq!(
        fs::metadata(first).unwrap().len(),
        length,
        "nothing to sync"
    );
    feed.append(vec![event("a"), ephemeral("f"), event("b")])
        .await
        .unwrap();
    let all = ["e", "d", "a", "f", "b"];
    assert_eq!(ids_after(&feed, START).await, all);
    let again = feed.append(vec![ephemeral("f")]).await.unwrap();
    assert!(matches!(again[..], [Appended::Duplicate(_)]));
    let ahead = feed.append(vec![ephemeral("g")]).await.unwrap();
    let Appended::Accepted(ahead) = ahead[0] else {
        panic!("{ahead:?}");
    };
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(ids_after(&feed, START).await, ["a", "b"]);
    append(&feed, &["c"]).await;
    assert_eq!(
        ids_after(&feed, ahead.offset).await,
        ["c"],
        "seen from beyond what was written"
    );
}

#[tokio::test]
async fn a_write_cut_off_anywhere_costs_only_itself() {
    let (folder, data, two, positions) = three().await;
    let path = segments(folder.path()).remove(0);
    for cut in two..data.len() {
        fs::write(&path, &data[..cut]).unwrap();
        let feed = open(folder.path());
        assert_eq!(ids_after(&feed, START).await, ["a", "b"], "cut at {cut}");
        assert_eq!(feed.place(positions[0]), Some(positions[0].offset));
        assert_eq!(fs::read(&path).unwrap().len(), two);
        close(feed).await;
    }
}

#[tokio::test]
async fn flipped_bits_are_told_or_cost_what_was_written_last() {
    let (folder, data, two, positions) = three().await;
    let path = segments(folder.path()).remove(0);
    for at in 0..data.len() {
        let copy = folder_in_memory();
        fs::copy(folder.path().join("meta"), copy.path().join("meta")).unwrap();
        let mut flipped = data.clone();
        flipped[at] ^= 1_u8 << (at % 8);
        fs::write(copy.path().join(path.file_name().unwrap()), flipped).unwrap();
        let feed = open(copy.path());
        if at < two {
            assert_eq!(feed.place(positions[0]), None, "flipped at {at}");
            let again = feed.append(events(["d"])).await.unwrap();
            assert!(matches!(again[..], [Appended::Accepted(_)]));
            close(feed).await;
            let feed = open(copy.path());
            assert_eq!(ids_after(&feed, Offset(2, 0)).await, ["d"]);
            close(feed).await;
        } else {
            assert_eq!(ids_after(&feed, START).await, ["a", "b"]);
            close(feed).await;
        }
    }
}

#[tokio::test]
async fn a_good_stop_seals_the_last_write_too() {
    let folder = folder_in_memory();
    let feed = open(folder.path());
    let positions = append(&feed, &["a"]).await;
    close(feed).await;
    let path = segments(folder.path()).remove(0);
    let mut data = fs::read(&path).unwrap();
    let middle = data.len() / 2;
    data[middle] ^= 1;
    fs::write(&path, data).unwrap();
    assert_eq!(open(folder.path()).place(positions[0]), None);
}

#[tokio::test]
async fn a_missing_file_and_missing_knowledge_change_the_epoch() {
    let folder = folder_in_memory();
    let mut last = Vec::new();
    for id in ["a", "b", "c"] {
        let feed = open(folder.path());
        last = append(&feed, &[id]).await;
        close(feed).await;
    }
    fs::remove_file(&segments(folder.path())[1]).unwrap();
    let feed = open(folder.path());
    assert_eq!(feed.place(last[0]), None);
    let known = feed.append(events(["a"])).await.unwrap();
    assert!(
        matches!(known[..], [Appended::Duplicate(_)]),
        "ids still hold"
    );
    let now = append(&feed, &["d"]).await;
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(feed.place(now[0]), Some(now[0].offset), "told once");
    close(feed).await;
    fs::remove_file(folder.path().join("meta")).unwrap();
    let feed = open(folder.path());
    assert_eq!(feed.place(now[0]), None);
}

#[tokio::test]
async fn cursors_survive_with_events_and_without() {
    let folder = folder_in_memory();
    let cursor = |text: &str| Some(("sse".into(), text.into()));
    let feed = open(folder.path());
    let batch = |events, cursor| Batch { events, cursor };
    feed.append_batch(batch(events(["a"]), cursor("1")))
        .await
        .unwrap();
    assert_eq!(feed.cursor("sse").await.as_deref(), Some("1"));
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(feed.cursor("sse").await.as_deref(), Some("1"));
    feed.append_batch(batch(vec![ephemeral("e")], cursor("2")))
        .await
        .unwrap();
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(feed.cursor("sse").await.as_deref(), Some("2"));
    append(&feed, &["b"]).await;
    close(feed).await;
    let older = segments(folder.path());
    fs::write(&older[0], "").unwrap();
    let feed = open(folder.path());
    assert_eq!(
        feed.cursor("sse").await.as_deref(),
        Some("2"),
        "each segment begins with them"
    );
    close(feed).await;
    let feed = open(folder.path());
    assert_eq!(
        feed.cursor("sse").await.as_deref(),
        Some("2"),
        "and so does a new epoch"
    );
}

#[tokio::test]
async fn a_slow_reader_gets_from_the_files_what_memory_has_forgotten() {
    let folder = folder_in_memory();
    let mut settings = settings(folder.path());
    settings.memory = 20_000;
    settings.max_bytes = 4 << 20;
    let feed = Feed::open(settings, Metrics::new()).unwrap();
    let mut wanted = Vec::new();
    for n in 0..100 {
        let ids = (0..20).map(|m| format!("{n}-{m}"));
        wanted.extend(ids.clone());
        feed.append(events(ids)).await.unwrap();
        feed.handed_out(feed.head().offset);
    }
    assert!(feed.recent(START, 10).is_none(), "not in memory");
    assert_eq!(ids_after(&feed, START).await, wanted);
    let (mut cursor, mut read) = (START, Vec::new());
    loop {
        let Page::Entries { entries, reached } = feed.after(cursor, 128).await else {
            panic!("lost at {cursor}");
        };
        read.extend(entries.iter().map(|entry| entry.event.id.to_string()));
        cursor = reached;
        if entries.len() < 128 {
            break;
        }
    }
    assert_eq!(read, wanted);
}

#[tokio::test]
async fn old_segments_go_and_readers_are_told() {
    let folder = folder_in_memory();
    let mut settings = settings(folder.path());
    settings.max_events = 1000;
    settings.memory = 1 << 20;
    let feed = Feed::open(settings.clone(), Metrics::new()).unwrap();
    for n in 0..100 {
        let ids = (0..20).map(|m| format!("{n}-{m}"));
        feed.append(events(ids)).await.unwrap();
        if n < 50 {
            feed.handed_out(feed.head().offset);
        }
        feed.trim();
        if n == 49 || n == 70 {
            assert!(feed.status().events >= 1000);
        }
    }
    assert!(feed.status().events > 1000, "what nobody has seen stays");
    feed.handed_out(feed.head().offset);
    feed.trim();
    append(&feed, &["last"]).await;
    let status = feed.status();
    assert!((1000..1100).contains(&status.events), "{status:?}");
    assert_eq!(segments(folder.path()).len(), status.segments);
    let lost = format!("lost until {}", status.floor);
    assert_eq!(ids_after(&feed, START).await, [lost]);
    let whole = ids_after(&feed, status.floor).await;
    assert_eq!(whole.len() as u64, status.events);
    let again = feed.append(events(["0-0", "99-19"])).await.unwrap();
    assert!(matches!(
        again[..],
        [Appended::Accepted(_), Appended::Duplicate(_)]
    ));
    close(feed).await;
    let feed = Feed::open(settings, Metrics::new()).unwrap();
    assert_eq!(feed.status().floor, status.floor);
    assert_eq!(ids_after(&feed, status.floor).await.len(), whole.len() + 1);
}
