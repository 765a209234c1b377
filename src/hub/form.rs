//! How what a session is sent stands on its wire: as the endpoint spells it, in an
//! envelope that says where in the feed it stands, or as an event stream. The texts are a contract with
//! clients (`docs/resume.md`): not a byte of them changes.

use std::fmt;

use serde::de::IgnoredAny;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::event::Position;

/// How a session is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Frames and nothing else, as the app has always sent them.
    #[default]
    Bare,
    /// Each frame in JSON, with its position: the subprotocol `outrigger.v1`.
    Envelope,
    /// Each frame as an event of a `text/event-stream`, with its position as its id.
    Events,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "frames",
            Self::Envelope => "outrigger.v1",
            Self::Events => "event_stream",
        })
    }
}

impl Form {
    /// Whether the client learns where it stands.
    pub fn tells_position(self) -> bool {
        match self {
            Self::Bare => false,
            Self::Envelope | Self::Events => true,
        }
    }

    /// The frame of an entry.
    pub fn event(self, frame: Utf8Bytes, position: Position) -> Utf8Bytes {
        match self {
            Self::Bare => frame,
            Self::Envelope => format!("{{\"position\":\"{position}\",\"frame\":{frame}}}").into(),
            Self::Events => format!("id: {position}\n{}\n", data(&frame)).into(),
        }
    }

    /// What is no event: a welcome, the reply to a message.
    pub fn reply(self, text: Utf8Bytes) -> Utf8Bytes {
        match self {
            Self::Bare => text,
            Self::Envelope if is_json(&text) => format!("{{\"frame\":{text}}}").into(),
            Self::Envelope => format!("{{\"text\":{}}}", Value::from(text.as_str())).into(),
            Self::Events => format!("{}\n", data(&text)).into(),
        }
    }

    /// Where the client stands, if it learns that.
    pub fn position(self, position: Position) -> Option<Utf8Bytes> {
        match self {
            Self::Bare => None,
            Self::Envelope => Some(format!("{{\"position\":\"{position}\"}}").into()),
            // Without data it is no event, but its id counts (WHATWG HTML, 9.2.6).
            Self::Events => Some(format!("id: {position}\n\n").into()),
        }
    }

    /// That the client has missed what nobody remembers, and where it goes on, if
    /// there is a way of saying so. The endpoint may have words of its own for it.
    pub fn history_lost(self, position: Position, own: Option<Utf8Bytes>) -> Option<Utf8Bytes> {
        match self {
            Self::Bare => own,
            Self::Envelope => {
                Some(format!("{{\"history_lost\":true,\"position\":\"{position}\"}}").into())
            }
            Self::Events => {
                let words = data(own.as_deref().unwrap_or("{}"));
                Some(format!("event: history_lost\nid: {position}\n{words}\n").into())
            }
        }
    }
}

/// Lines that stand for a text in an event stream. JSON may have line ends between its
/// tokens.
fn data(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 8);
    let text = text.replace("\r\n", "\n");
    for line in text.split(['\n', '\r']) {
        lines.push_str("data: ");
        lines.push_str(line);
        lines.push('\n');
    }
    lines
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Offset;

    #[test]
    fn envelopes_are_these_very_texts() {
        let at = Position {
            epoch: 0xfeed,
            offset: Offset(0, 17),
        };
        let form = Form::Envelope;
        let frame = Utf8Bytes::from_static("{\"type\": \"news\"}");
        assert_eq!(
            form.event(frame.clone(), at),
            r#"{"position":"feed.0-17","frame":{"type": "news"}}"#
        );
        assert_eq!(form.reply(frame), r#"{"frame":{"type": "news"}}"#);
        assert_eq!(form.reply("po\"ng".into()), r#"{"text":"po\"ng"}"#);
        assert_eq!(form.reply("".into()), r#"{"text":""}"#);
        assert_eq!(form.position(at).unwrap(), r#"{"position":"feed.0-17"}"#);
        assert_eq!(
            form.history_lost(at, Some("own".into())).unwrap(),
            r#"{"history_lost":true,"position":"feed.0-17"}"#
        );
    }

    #[test]
    fn without_envelopes_frames_stay_as_they_are() {
        let at = Position {
            epoch: 1,
            offset: Offset::ZERO,
        };
        assert_eq!(Form::Bare.event("{}".into(), at), "{}");
        assert_eq!(Form::Bare.reply("pong".into()), "pong");
        assert_eq!(Form::Bare.position(at), None);
        assert_eq!(Form::Bare.history_lost(at, None), None);
    }

    #[test]
    fn an_event_stream_has_ids_and_lines() {
        let at = Position {
            epoch: 0xfeed,
            offset: Offset(0, 17),
        };
        let form = Form::Events;
        assert_eq!(form.event("{}".into(), at), "id: feed.0-17\ndata: {}\n\n");
        assert_eq!(form.reply("".into()), "data: \n\n");
        assert_eq!(form.position(at).unwrap(), "id: feed.0-17\n\n");
        assert_eq!(
            form.history_lost(at, None).unwrap(),
            "event: history_lost\nid: feed.0-17\ndata: {}\n\n"
        );
        assert_eq!(
            data("{\r\n\"a\":\n1\r}"),
            "data: {\ndata: \"a\":\ndata: 1\ndata: }\n"
        );
    }
}
