//! Several sockets of one user on one path.

use super::*;

#[tokio::test]
async fn a_second_tab_gets_nothing_twice() {
    let stage = Stage::new(&endpoint("", "")).await;
    let first = stage.open("/ws/news/", 1).await;
    let first = reader(first);
    written(&stage, 1..3).await;
    // The first has not proven these, and answers when it is asked.
    let second = stage.open("/ws/news/", 1).await;
    let second = reader(second);
    tell(&stage, 3).await;
    // Before the last word, at which both readers leave.
    let known = async || adoptions(&stage, "second_tab").await == 1.0;
    until("the second tab to be known as one", known).await;
    tell(&stage, 999).await;
    assert_eq!(first.await.unwrap().len(), 3);
    assert_eq!(second.await.unwrap(), [r#"{"n":3}"#]);
    assert_eq!(adoptions(&stage, "adopted").await, 0.0);
}

#[tokio::test]
async fn two_tabs_that_died_begin_at_the_lower_place_and_a_third_anew() {
    let stage = Stage::new(&eager("")).await;
    let mut first = stage.open("/ws/news/", 1).await;
    written(&stage, 1..2).await;
    hears(&mut first, [1]).await;
    proven(&stage, &mut first).await;
    tell(&stage, 2).await;
    // The second has the feed from here on; the first is at 1.
    hears(&mut first, [2]).await;
    let mut second = stage.open("/ws/news/", 1).await;
    let first = reader(first);
    tell(&stage, 3).await;
    hears(&mut second, [3]).await;
    first.abort();
    drop(first.await);
    reset(second);
    orphans(&stage, 2.0).await;
    tell(&stage, 4).await;
    let mut returned = [
        stage.open("/ws/news/", 1).await,
        stage.open("/ws/news/", 1).await,
    ];
    let mut began = Vec::new();
    for socket in &mut returned {
        began.push(socket.json().await["n"].as_u64().unwrap());
        hears(socket, began[began.len() - 1] + 1..5).await;
    }
    assert_eq!(began[0], began[1], "both at the lower place");
    orphans(&stage, 0.0).await;
    let [first, second] = returned;
    let readers = [reader(first), reader(second)];
    let mut third = stage.open("/ws/news/", 1).await;
    tell(&stage, 5).await;
    hears(&mut third, [5]).await;
    readers.iter().for_each(JoinHandle::abort);
}
