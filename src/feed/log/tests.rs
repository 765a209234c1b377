//! The feed in memory as sources, the hub and sessions use it: order, ids, bounds, what is lost.

use serde_json::value::RawValue;

use super::{super::window::ENTRY_COST, *};

fn feed(keep: u64, max_events: usize) -> Arc<Feed> {
    let max_bytes = 10 * (ENTRY_COST + 100);
    let settings = Settings::memory(Duration::from_secs(keep), max_events, max_bytes);
    Feed::new(settings, Metrics::new())
}

fn event(id: &str, data: &str) -> Event {
    Event {
        id: id.into(),
        kind: "k".into(),
        topics: Default::default(),
        users: Default::default(),
        except: Default::default(),
        data: RawValue::from_string(format!("{data:?}")).unwrap(),
        ephemeral: false,
    }
}

fn ids(page: Page) -> Vec<String> {
    match page {
        Page::Entries { entries, .. } => entries
            .iter()
            .map(|entry| entry.event.id.to_string())
            .collect(),
        Page::Lost { oldest } => vec![format!("lost until {oldest}")],
    }
}

#[tokio::test]
async fn each_id_is_taken_once_and_in_order() {
    let feed = feed(60, 10);
    let events = ["a", "b", "a"].map(|id| event(id, "")).to_vec();
    let appended = feed.append(events).await.unwrap();
    assert!(
        matches!(appended[..], [Appended::Accepted(a), Appended::Accepted(_), Appended::Duplicate(b)] if a == b)
    );
    assert_eq!(ids(feed.after(Offset::ZERO, 10).await), ["a", "b"]);
    assert_eq!(ids(feed.after(Offset(0, 1), 10).await), ["b"]);
    assert_eq!(
        ids(feed.after(Offset(0, 2), 10).await),
        Vec::<String>::new()
    );
    assert_eq!(feed.head().offset, Offset(0, 2));
}

#[tokio::test]
async fn what_is_forgotten_is_said_to_be_lost() {
    let feed = feed(60, 3);
    for id in ["a", "b", "c", "d", "e"] {
        feed.append(vec![event(id, "")]).await.unwrap();
        feed.handed_out(feed.head().offset);
    }
    assert_eq!(ids(feed.after(Offset(0, 1), 10).await), ["lost until 0-2"]);
    assert_eq!(ids(feed.after(Offset(0, 2), 2).await), ["c", "d"]);
    assert!(matches!(
        feed.append(vec![event("a", "")]).await.unwrap()[..],
        [Appended::Accepted(_)]
    ));
}

#[tokio::test(start_paused = true)]
async fn age_and_bytes_are_bounded_too() {
    let feed = feed(60, 1000);
    feed.append(vec![event("old", "")]).await.unwrap();
    feed.handed_out(feed.head().offset);
    tokio::time::advance(Duration::from_secs(61)).await;
    feed.trim();
    assert_eq!(ids(feed.after(Offset::ZERO, 10).await), ["lost until 0-1"]);
    for n in 0..50 {
        feed.append(vec![event(&n.to_string(), &"x".repeat(98))])
            .await
            .unwrap();
        feed.handed_out(feed.head().offset);
    }
    assert_eq!(ids(feed.after(feed.head().offset, 10).await).len(), 0);
    assert_eq!(ids(feed.after(Offset(0, 41), 100).await).len(), 10);
}

#[tokio::test]
async fn what_has_not_been_handed_out_is_not_pushed_out() {
    let feed = feed(0, 3);
    let events = |ids: &[&str]| ids.iter().map(|id| event(id, "")).collect();
    feed.append(events(&["a", "b"])).await.unwrap();
    feed.append(events(&["c", "d"])).await.unwrap_err();
    feed.trim();
    assert_eq!(ids(feed.after(Offset::ZERO, 10).await), ["a", "b"]);
    feed.handed_out(Offset(0, 1));
    feed.append(events(&["c", "d"])).await.unwrap();
    assert_eq!(ids(feed.after(Offset(0, 1), 10).await), ["b", "c", "d"]);
}

#[tokio::test]
async fn a_closed_feed_says_when_to_come_back() {
    let feed = feed(60, 3);
    feed.close();
    let refused = feed.append(vec![event("a", "")]).await.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(5));
}
