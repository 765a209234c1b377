//! Places of clients in a file: kept over a restart, and whatever a torn or garbled file holds.

use super::*;
use crate::event::Offset;

fn mark(n: u64) -> Mark {
    Mark {
        endpoint: "news".into(),
        params: r#"["a\"b"]"#.into(),
        user: "é".into(),
        at: Position {
            epoch: 7,
            offset: Offset(1, n),
        },
        window: Duration::from_secs(60),
        doubted: false,
        undecided: false,
    }
}

fn found(folder: &Path) -> Vec<(SessionName, Mark)> {
    let mut found = Marks::in_folder(folder, Metrics::new()).take_found();
    found.sort_by_key(|(session, _)| session.0);
    found
}

#[tokio::test]
async fn marks_survive_their_process() {
    let folder = tempfile::tempdir().unwrap();
    let marks = Marks::in_folder(folder.path(), Metrics::new());
    for n in 1..=3 {
        marks.put(SessionName(n), || mark(0));
    }
    marks.write().await;
    marks.move_to(SessionName(2), mark(9).at);
    marks.remove(SessionName(1));
    marks.doubt(SessionName(3), true);
    marks.write().await;
    let doubted = Mark {
        doubted: true,
        ..mark(0)
    };
    let expected = [(SessionName(2), mark(9)), (SessionName(3), doubted)];
    assert_eq!(found(folder.path()), expected);
    assert_eq!(found(folder.path()), expected, "and once more");
}

#[tokio::test]
async fn what_is_torn_or_garbled_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let marks = Marks::in_folder(folder.path(), Metrics::new());
    for n in 1..=3 {
        marks.put(SessionName(n), || mark(u64::try_from(n).unwrap()));
        marks.write().await;
    }
    let path = folder.path().join("marks");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let garbled = lines[1].replace("news", "nows");
    let (torn, _) = lines[2].split_at(lines[2].len() / 2);
    std::fs::write(&path, format!("\u{0}\n{}\n{garbled}\n{torn}", lines[0])).unwrap();
    assert_eq!(found(folder.path()), [(SessionName(1), mark(1))]);
}

#[tokio::test]
async fn the_file_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let marks = Marks::in_folder(folder.path(), Metrics::new());
    marks.put(SessionName(1), || mark(0));
    for round in 0..3 {
        for n in 0..15_000 {
            marks.put(SessionName(2 + n), || mark(0));
        }
        marks.write().await;
        for n in 0..15_000 {
            marks.remove(SessionName(2 + n));
        }
        marks.move_to(SessionName(1), mark(round + 1).at);
        marks.write().await;
    }
    marks.write().await;
    let text = std::fs::read_to_string(folder.path().join("marks")).unwrap();
    assert!(text.lines().count() < 50_000, "{}", text.lines().count());
    assert_eq!(found(folder.path()), [(SessionName(1), mark(3))]);
}

#[tokio::test]
async fn who_waits_for_its_mark_waits_until_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let marks = Marks::in_folder(folder.path(), Metrics::new());
    let stop = CancellationToken::new();
    let waits = async {
        marks.put(SessionName(1), || mark(0));
        marks.saved().await;
        let text = std::fs::read_to_string(folder.path().join("marks")).unwrap();
        assert_eq!(text.lines().count(), 1);
        stop.cancel();
    };
    tokio::join!(marks.run(stop.clone()), waits);
}
