//! The source against a server that says what each test wants.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Frame;
use http_body_util::Full;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    event::Offset,
    feed,
    metrics::{Ended, Metrics, Taken},
};

fn source(address: &str) -> (Source, Arc<Feed>, Arc<Metrics>) {
    let metrics = Metrics::new();
    let feed_settings = feed::Settings::memory(Duration::from_secs(600), 100, 8 << 20);
    let feed = Feed::new(feed_settings, metrics.clone());
    let settings = Settings {
        address: address.parse().unwrap(),
        path: "/events?all=1".into(),
        headers: vec![(
            HeaderName::from_static("x-key"),
            HeaderValue::from_static("k"),
        )],
        silence: Duration::from_secs(30),
        max_backoff: Duration::from_millis(1),
    };
    let upstream = Upstream::new(settings.upstream(), metrics.clone());
    let stream = Stream::new(&settings, metrics.clone());
    let source = Source::new(settings, stream, upstream, feed.clone());
    (source, feed, metrics)
}

fn idle() -> (Source, Arc<Feed>, Arc<Metrics>) {
    source("http://127.0.0.1:9")
}

fn heard(feed: &Feed) -> Vec<String> {
    match feed.recent(Offset::ZERO, 100).unwrap() {
        feed::Page::Entries { entries, .. } => entries
            .iter()
            .map(|entry| {
                let event = &entry.event;
                format!("{} {} {}", event.id, event.kind, event.data.get())
            })
            .collect(),
        feed::Page::Lost { .. } => vec!["lost".into()],
    }
}

fn counted(metrics: &Metrics, result: &'static str) -> u64 {
    let source = "sse";
    metrics
        .events
        .get_or_create(&Taken { source, result })
        .get()
}

fn ends(metrics: &Metrics, result: &'static str) -> u64 {
    metrics.sse_connects.get_or_create(&Ended { result }).get()
}

#[tokio::test]
async fn each_event_is_taken_as_from_the_webhook() {
    let (mut source, feed, metrics) = idle();
    let stream = concat!(
        "id: 1\nevent: ignored\ndata: {\"type\":\"t\",\"topics\":[\"a\"],\ndata: \"data\":1}\n\n",
        "id: 2\nevent: named\ndata: {\"topics\":[\"a\"],\"data\":2}\n\n",
        "id: 3\ndata: {\"id\":\"own\",\"type\":\"t\",\"users\":[7],\"data\":3}\n\n",
        "id: 2\nevent: named\ndata: {\"topics\":[\"a\"],\"data\":2}\n\n",
        "id: 5\ndata: {\"topics\":[\"a\"]}\n\n",
        "id: 6\ndata: {\n\n",
        ": still here\n\nid: 7\n\n",
    );
    let failure = source.read(Full::new(Bytes::from(stream))).await;
    assert_eq!(
        failure.to_string(),
        "the stream broke off: the server ended it"
    );
    assert_eq!(heard(&feed), ["1 t 1", "2 named 2", "own t 3"]);
    let counts = ["accepted", "duplicate", "rejected"].map(|result| counted(&metrics, result));
    assert_eq!(counts, [3, 1, 2]);
    let why = ["nobody", "missing", "not_json"]
        .map(|reason| source.stream.status().rejected.get(reason).copied());
    assert_eq!(why, [None, Some(1), Some(1)]);
    assert_eq!(source.stream.cursor(), "7");
}

#[tokio::test]
async fn events_of_a_stream_without_ids_are_never_taken_for_each_other() {
    let (mut source, feed, metrics) = idle();
    let one = "data: {\"type\":\"t\",\"topics\":[\"a\"]}\n\n";
    source.read(Full::new(Bytes::from(one.repeat(2)))).await;
    source.reading.begin("");
    source.read(Full::new(Bytes::from(one))).await;
    assert_eq!(heard(&feed).len(), 3);
    assert_eq!(counted(&metrics, "accepted"), 3);
    assert_eq!(source.stream.cursor(), "");
}

#[tokio::test]
async fn an_event_without_an_id_is_known_by_its_place_behind_one() {
    let (mut source, feed, metrics) = idle();
    let one = "data: {\"type\":\"t\",\"topics\":[\"a\"]}\n\n";
    let other = "data: {\"type\":\"u\",\"topics\":[\"a\"]}\n\n";
    source
        .read(Full::new(Bytes::from(format!("id: 1\n{one}{one}{one}"))))
        .await;
    assert_eq!(heard(&feed).len(), 3);
    assert_eq!(source.stream.cursor(), "1");
    source.reading.begin("1");
    source
        .read(Full::new(Bytes::from(format!("{one}{other}{one}"))))
        .await;
    let counts = ["accepted", "duplicate"].map(|result| counted(&metrics, result));
    assert_eq!(
        counts,
        [5, 1],
        "the first and the third were there, but one of them has changed its place"
    );
    source
        .read(Full::new(Bytes::from(format!("id: 2\n\n{one}"))))
        .await;
    assert_eq!(
        counted(&metrics, "accepted"),
        6,
        "behind another id it is another"
    );
}

#[tokio::test]
async fn an_event_that_is_too_large_is_skipped_and_the_next_one_taken() {
    let (mut source, feed, metrics) = idle();
    let large = "x".repeat(parser::MAX_SIZE);
    let stream = format!(
        "id: 1\ndata: \"{large}\"\n\nid: 2\ndata: {{\"type\":\"t\",\"topics\":[\"a\"]}}\n\n"
    );
    source.read(Full::new(Bytes::from(stream))).await;
    assert_eq!(heard(&feed), ["2 t null"]);
    assert_eq!(counted(&metrics, "rejected"), 1);
    assert_eq!(source.stream.cursor(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_counts_as_hung_and_a_comment_is_a_sign_of_life() {
    let (mut source, _, _) = idle();
    let (send, mut receive) = mpsc::channel::<Bytes>(1);
    let body = Pieces(&mut receive);
    let began = tokio::time::Instant::now();
    let talk = async {
        sleep(Duration::from_secs(29)).await;
        send.send(Bytes::from_static(b":\n")).await.unwrap();
        std::future::pending::<()>().await;
    };
    let failure = tokio::select! {
        failure = source.read(body) => failure,
        () = talk => unreachable!(),
    };
    assert!(matches!(failure, Failure::Silent(_)));
    assert_eq!(began.elapsed(), Duration::from_secs(59));
}

#[tokio::test(start_paused = true)]
async fn while_the_feed_takes_nothing_the_cursor_stays() {
    let (mut source, feed, metrics) = idle();
    feed.close();
    let stream = "id: 1\ndata: {\"type\":\"t\",\"topics\":[\"a\"]}\n\n";
    let reading = source.read(Full::new(Bytes::from(stream)));
    assert!(timeout(Duration::from_secs(60), reading).await.is_err());
    assert_eq!(source.stream.cursor(), "");
    assert!(counted(&metrics, "unavailable") > 10);
}

#[test]
fn pauses_grow_to_their_bound_and_keep_what_the_server_asked() {
    let (mut source, _, _) = idle();
    source.settings.max_backoff = Duration::from_secs(8);
    source.retry = Duration::from_secs(2);
    let broken = Failure::Broken(String::new());
    for most in [1, 2, 4, 8, 8, 8] {
        let pause = source.pause(&broken);
        assert!(pause >= source.retry, "{pause:?}");
        assert!(
            pause <= source.retry + Duration::from_secs(most),
            "{pause:?}"
        );
    }
    source.failures = u32::MAX - 1;
    source.pause(&broken);
    assert_eq!(source.pause(&Failure::Stopped), PAUSE_AFTER_STOP);
}

#[tokio::test]
async fn it_connects_again_from_where_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (source, feed, metrics) = source(&address);
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(source.run(cancel.clone()));

    let head = answer(&listener, "500 Oops", "text/plain", "").await;
    assert!(head.starts_with("GET /events?all=1 HTTP/1.1"), "{head}");
    for line in [
        "accept: text/event-stream",
        "x-key: k",
        &address.replace("http://", "host: "),
    ] {
        assert!(head.to_lowercase().contains(line), "{head}");
    }
    answer(&listener, "200 OK", "text/html", "").await;
    let event = |n: u32| format!("id: {n}\ndata: {{\"type\":\"t\",\"topics\":[\"a\"]}}\n\n");
    let stream = "text/event-stream; charset=utf-8";
    let head = answer(&listener, "200 OK", stream, &format!("{}id: 9\n", event(1))).await;
    assert!(!head.contains("last-event-id"), "{head}");
    let head = answer(&listener, "200 OK", stream, &event(2)).await;
    assert!(head.contains("last-event-id: 1\r\n"), "{head}");
    let head = answer(&listener, "204 No Content", stream, "").await;
    assert!(head.contains("last-event-id: 2\r\n"), "{head}");
    assert_eq!(heard(&feed), ["1 t null", "2 t null"]);

    cancel.cancel();
    tasks.close();
    tasks.wait().await;
    let counts = ["opened", "refused", "not_a_stream"].map(|result| ends(&metrics, result));
    assert_eq!(counts, [2, 1, 1]);
}

/// Serves one connection: reads the head of the request, answers, closes.
async fn answer(listener: &TcpListener, status: &str, media_type: &str, body: &str) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream: BufReader<TcpStream> = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.unwrap() > 0);
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    head
}

/// A body whose pieces come from a channel.
struct Pieces<'a>(&'a mut mpsc::Receiver<Bytes>);

impl Body for Pieces<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
