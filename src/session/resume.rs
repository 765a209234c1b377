//! Where a session begins: at the head of the feed, or after the place that its client
//! names, by `?since=` or `Last-Event-ID`.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::request::Parts;
use tracing::debug;

use super::Sessions;
use crate::{
    event::{Offset, Position},
    feed::{Feed, Page},
    hub::Form,
    metrics::Because,
    routes::Endpoint,
};

/// On a feed that is shared a client may know more than this node: by as much time as
/// this, in the milliseconds that such a feed counts in.
const LEAD: u64 = 60_000;

/// What a client says about where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Was(Position),
    /// Something that is no position.
    Else,
}

/// Where a session begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// Entries up to here are not for it.
    pub(super) at: Position,
    pub(super) how: How,
}

/// How it came to begin there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// At the head, as it asked for nothing else.
    Fresh,
    /// Where the client was. What it missed is read first.
    Resumed,
    /// At the head: what the client missed is not remembered.
    Lost,
}

impl Said {
    /// Reads it from a handshake. A browser that reconnects by itself repeats the URL,
    /// so the header is the newer word. An empty one says nothing.
    pub(super) fn of(head: &Parts) -> Self {
        let header = head.headers.get("last-event-id");
        let header = header.map(|value| value.to_str().unwrap_or("?"));
        let mut pairs = head.uri.query().unwrap_or_default().split('&');
        let query = pairs.find_map(|pair| pair.strip_prefix("since="));
        let mut said = [header, query].into_iter().flatten();
        match said.find(|text| !text.is_empty()).map(str::parse) {
            None => Self::Nothing,
            Some(Ok(position)) => Self::Was(position),
            Some(Err(_)) => Self::Else,
        }
    }
}

impl Sessions {
    /// Where a session begins whose client says this.
    pub(super) fn begin(&self, endpoint: &Arc<Endpoint>, said: Said, form: Form) -> Begin {
        let head = self.feed.head();
        let begin = |at, how| Begin { at, how };
        let lost = match said {
            Said::Nothing => return begin(head, How::Fresh),
            Said::Was(position) => match remembered(&self.feed, position) {
                Ok(()) => return begin(position, How::Resumed),
                Err(why) => why,
            },
            Said::Else => {
                self.count_resume(endpoint, "not_a_position");
                debug!(endpoint = %endpoint.name, "What a client says about where it was is no position");
                // To who speaks our subprotocol it can mean nothing else.
                if !form.tells_position() {
                    return begin(head, How::Fresh);
                }
                return begin(head, How::Lost);
            }
        };
        self.count_resume(endpoint, "history_lost");
        debug!(endpoint = %endpoint.name, why = lost, "What a client missed is not remembered");
        begin(head, How::Lost)
    }

    /// Counts what became of a client that said where it was.
    pub(super) fn count_resume(&self, endpoint: &Endpoint, result: &'static str) {
        Because::count(&self.metrics.resumes, &endpoint.name, result);
    }
}

/// Whether what stands after a position may be remembered; else why it is not.
fn remembered(feed: &Feed, position: Position) -> Result<(), &'static str> {
    let place = feed.place(position).ok_or("another epoch")?;
    let head = feed.head().offset;
    if place > head && !(feed.is_shared() && is_near(place, head)) {
        return Err("beyond the head");
    }
    match feed.recent(place, 1) {
        Some(Page::Lost { .. }) => Err("trimmed"),
        Some(Page::Entries { .. }) | None => Ok(()),
    }
}

/// Whether another node may have come so far already. Who says more than that would
/// hear nothing for too long.
fn is_near(place: Offset, head: Offset) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    place.0 <= head.0.max(now).saturating_add(LEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn said(uri: &str, header: Option<&str>) -> Said {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header("Last-Event-ID", header);
        }
        Said::of(&request.body(()).unwrap().into_parts().0)
    }

    fn was(text: &str) -> Said {
        Said::Was(text.parse().unwrap())
    }

    #[test]
    fn the_header_is_newer_than_the_query() {
        assert_eq!(said("/ws", None), Said::Nothing);
        assert_eq!(said("/ws?since=&a=b", Some("")), Said::Nothing);
        assert_eq!(said("/ws?a=b&since=1f.0-3", None), was("1f.0-3"));
        assert_eq!(said("/ws?since=1f.0-3", Some("1f.0-4")), was("1f.0-4"));
        assert_eq!(said("/ws?since=1f.0-3", Some("")), was("1f.0-3"));
        for no_position in ["yesterday", "1f", "1f.3", "1f.0-", "2026-11-21", "%31f.0-3"] {
            let uri = format!("/ws?since={no_position}");
            assert_eq!(said(&uri, None), Said::Else, "{no_position}");
        }
        assert_eq!(said("/ws", Some("\u{e9}")), Said::Else);
    }

    #[test]
    fn what_no_node_can_have_reached_is_not_near() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        let head = Offset(now - 3_600_000, 0);
        assert!(is_near(Offset(now, 7), head));
        assert!(is_near(Offset(now + 30_000, 0), head));
        assert!(!is_near(Offset(now + 120_000, 0), head));
        assert!(is_near(Offset(now + 120_000, 0), Offset(now + 90_000, 0)));
        assert!(!is_near(Offset(u64::MAX, 0), head));
    }
}
