//! How what a session is sent stands on its wire: as the endpoint spells it, or in an
//! envelope that says where in the feed it stands. The texts are a contract with
//! clients (`docs/resume.md`): not a byte of them changes.

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
    /// The same frames in an event stream, which has ids for positions.
    Events,
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
            Self::Bare | Self::Events => frame,
            Self::Envelope => format!("{{\"position\":\"{position}\",\"frame\":{frame}}}").into(),
        }
    }

    /// What is no event: a welcome, the reply to a message.
    pub fn reply(self, text: Utf8Bytes) -> Utf8Bytes {
        match self {
            Self::Bare | Self::Events => text,
            Self::Envelope if is_json(&text) => format!("{{\"frame\":{text}}}").into(),
            Self::Envelope => format!("{{\"text\":{}}}", Value::from(text.as_str())).into(),
        }
    }

    /// Where the client stands, if a message says so.
    pub fn position(self, position: Position) -> Option<Utf8Bytes> {
        (self == Self::Envelope).then(|| format!("{{\"position\":\"{position}\"}}").into())
    }

    /// That the client has missed what nobody remembers, and where it goes on, if
    /// there is a way of saying so. `words` are those of the endpoint.
    pub fn history_lost(self, position: Position, words: Option<Utf8Bytes>) -> Option<Utf8Bytes> {
        let own = || format!("{{\"history_lost\":true,\"position\":\"{position}\"}}").into();
        match self {
            Self::Bare => words,
            Self::Envelope => Some(own()),
            Self::Events => Some(words.unwrap_or_else(own)),
        }
    }
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
            form.history_lost(at, Some("{}".into())).unwrap(),
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
        let words = Some("{}".into());
        assert_eq!(Form::Bare.history_lost(at, words.clone()), words);
        assert_eq!(Form::Events.history_lost(at, words.clone()), words);
    }
}
