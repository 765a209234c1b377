//! Who has the folder, and a disk that takes nothing for a while.

use super::*;

#[tokio::test]
async fn a_folder_belongs_to_one() {
    let folder = folder_in_memory();
    let feed = open(folder.path());
    let refused = try_open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("another process has"), "{refused}");
    close(feed).await;
    open(folder.path());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_says_so_and_goes_on_later() {
    let folder = folder_in_memory();
    let path = folder.path().join("feed");
    let feed = open(&path);
    let away = folder.path().join("away");
    fs::rename(&path, &away).unwrap();
    for _ in 0..2 {
        let refused = feed.append(events(["a"])).await.unwrap_err();
        assert_eq!(refused.reason, "the feed's folder is gone");
    }
    assert!(feed.status().last_error.is_some());
    assert_eq!(ids_after(&feed, START).await, Vec::<String>::new());
    fs::rename(&away, &path).unwrap();
    let taken = feed.append(events(["a"])).await.unwrap();
    assert!(matches!(taken[..], [Appended::Accepted(_)]));
    assert!(feed.status().last_error.is_none());
    assert_eq!(ids_after(&feed, START).await, ["a"]);
}

#[tokio::test]
async fn what_its_successor_disowns_is_never_read() {
    let (folder, data, two, _) = three().await;
    let path = segments(folder.path()).remove(0);
    // As if the third write had failed, and the file could not be cut back.
    fs::write(&path, &data[..two]).unwrap();
    let feed = open(folder.path());
    append(&feed, &["d"]).await;
    close(feed).await;
    fs::write(&path, &data).unwrap();
    let feed = open(folder.path());
    assert_eq!(ids_after(&feed, START).await, ["a", "b", "d"]);
    let taken = feed.append(events(["c"])).await.unwrap();
    assert!(matches!(taken[..], [Appended::Accepted(_)]));
}
