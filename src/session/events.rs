//! A session as an event stream (`text/event-stream`, WHATWG HTML, 9.2): the frames of
//! a WebSocket as the body of a response, each with its position as its id. A browser
//! names the last one when it comes back.

use std::task::{Context, Poll};

use http::{
    HeaderName, HeaderValue, Method, Response,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
        CONTENT_TYPE, VARY,
    },
    request::Parts,
};
use serde_json::json;
use tokio::time::Duration;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::scattered;
use crate::{
    event::SessionId,
    reply::{Body, Gone, Writer, pipe},
};

/// A client comes back so long after the end of a stream, each at another moment: all
/// streams of a process may end at once.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_SPREAD: Duration = Duration::from_secs(2);
/// Who is turned away for the moment comes back so long after.
const RETRY_BUSY: Duration = Duration::from_secs(5);

/// nginx holds back what it sends on unless this says otherwise.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether a request asks for an event stream: `*/*` does not.
pub fn is_asked_for(head: &Parts) -> bool {
    let lists = head.headers.get_all(ACCEPT).iter();
    let mut types = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    head.method == Method::GET
        && types.any(|media| {
            let mut parts = media.split(';').map(str::trim);
            let is_stream = parts
                .next()
                .is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"));
            is_stream && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

/// The head of a stream; its body is to come.
pub(super) fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Lets a page of another origin read the answer, if that origin may.
pub(super) fn share(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}

/// A stream that only says when to come back. An `EventSource` gives up for good on
/// any status but 200.
pub(super) fn come_back() -> Response<Body> {
    let mut text = retry(RETRY_BUSY);
    text.push_str(&close(1013, "try again later"));
    response(Body::from(bytes::Bytes::from(text)))
}

/// The session's end of a stream.
#[derive(Debug)]
pub(super) struct EventStream(Writer);

impl EventStream {
    /// A session's stream, and the body it is sent by.
    pub(super) fn new(session: SessionId) -> (Self, Body) {
        let (writer, body) = pipe();
        writer.write(retry(RETRY + scattered(session, RETRY_SPREAD)).as_bytes());
        (Self(writer), Body::Piped(body))
    }

    /// The client says nothing; it can only go away.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll_gone(cx)
    }

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx).map_err(gone)
    }

    pub(super) fn poll_flush(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_flush(cx).map_err(gone)
    }

    /// Puts a message into the stream; its text is an event already.
    pub(super) fn send(&self, message: &Message) {
        match message {
            Message::Text(text) => self.0.write(text.as_bytes()),
            Message::Ping(_) => self.0.write(b":\n\n"),
            Message::Close(Some(frame)) => {
                let end = close(frame.code.into(), &frame.reason);
                self.0.write(end.as_bytes());
            }
            // No other messages are sent.
            Message::Binary(_) | Message::Pong(_) | Message::Close(None) | Message::Frame(_) => {}
        }
    }
}

fn gone(_: Gone) -> Error {
    Error::ConnectionClosed
}

fn retry(pause: Duration) -> String {
    format!("retry: {}\n", pause.as_millis())
}

fn close(code: u16, reason: &str) -> String {
    let what = json!({ "code": code, "reason": reason });
    format!("event: close\ndata: {what}\n\n")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(method: &str, accept: &str) -> bool {
        let request = Request::builder().method(method).header(ACCEPT, accept);
        is_asked_for(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_who_names_the_type_asks_for_a_stream() {
        assert!(asked("GET", "text/event-stream"));
        assert!(asked(
            "GET",
            "application/json;q=0.5, Text/Event-Stream; q=0.9"
        ));
        for accept in [
            "*/*",
            "text/*",
            "text/event-stream;q=0",
            "text/event-streams",
        ] {
            assert!(!asked("GET", accept), "{accept}");
        }
        assert!(!asked("HEAD", "text/event-stream"));
        assert!(!asked("POST", "text/event-stream"));
    }

    #[test]
    fn a_reason_cannot_leave_its_line() {
        assert_eq!(
            close(4003, "no\n\ndata: x"),
            "event: close\ndata: {\"code\":4003,\"reason\":\"no\\n\\ndata: x\"}\n\n"
        );
    }
}
