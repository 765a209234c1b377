//! The shared words: what an event is and where in the feed it stands.
//!
//! Sources build an [`Event`], the feed turns it into an [`Entry`] with a
//! [`Position`], everything above only reads. Names are parsed once at the edge
//! and shared from then on. This room imports nothing and does nothing.

use std::{fmt, str::FromStr, sync::Arc, time::SystemTime};

use serde_json::value::RawValue;
use smallvec::SmallVec;
use tokio::time::Instant;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// The name that events are published to and endpoints subscribe to; in
    /// Django Channels, a group.
    Topic
}
name_type! {
    /// What kind of thing happened (an event's `type`). Channels dispatches
    /// `chat.message` to `chat_message`, so look-ups treat `.` and `_` alike
    /// (see [`Kind::folded`]).
    Kind
}
name_type! {
    /// A user, as text, whatever JSON type the app gives the id.
    UserId
}
name_type! {
    /// The idempotency key of an event: the same id is delivered once.
    EventId
}

/// Types that begin like this are what nodes tell each other; clients never hear of them.
pub const NODE_FACTS: &str = "outrigger.node.";

/// An id, a type, a topic or a user is at most so many bytes long.
const MAX_NAME: usize = 255;

/// Whether a text that came from outside can be an id, a type, a topic or a user: 1 to
/// 255 bytes without control characters.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.contains(char::is_control)
}

impl Kind {
    /// The kind with `.` as `_`: the key under which frames are looked up.
    pub fn folded(&self) -> std::borrow::Cow<'_, str> {
        if self.0.contains('.') {
            self.0.replace('.', "_").into()
        } else {
            self.as_str().into()
        }
    }
}

/// One client connection, for as long as this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// One client connection among those of all nodes and all time: 128 random bits.
/// Its text is what apps and templates call a session by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionName(pub u128);

impl SessionName {
    /// The name that its text stands for.
    pub fn read(text: &str) -> Option<Self> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_name = text.len() == 32 && text.bytes().all(digit);
        is_name
            .then(|| u128::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Who does not get an event although it is for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Except {
    /// These users, on all their sockets.
    pub users: SmallVec<[UserId; 1]>,
    /// These sockets only: a user's other tab still hears.
    pub sessions: SmallVec<[SessionName; 1]>,
}

/// One thing that happened, as it came from a source.
#[derive(Clone, Debug)]
pub struct Event {
    /// The idempotency key.
    pub id: EventId,
    /// What kind of thing happened.
    pub kind: Kind,
    /// Every session subscribed to one of them hears it.
    pub topics: SmallVec<[Topic; 1]>,
    /// With topics: only sessions of these users. Alone: every session of
    /// these users whose endpoint has a frame for the kind.
    pub users: SmallVec<[UserId; 1]>,
    /// Who is left out.
    pub except: Except,
    /// The payload, as the bytes that came: spliced into frames, not re-encoded.
    pub data: Box<RawValue>,
    /// Delivered to who is connected, never replayed (typing, presence).
    pub ephemeral: bool,
}

/// A place in the order of one epoch: in memory `(0, n)`, on disk `(start, n)`, in a
/// Redis Stream `(milliseconds, n)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64, pub u64);

impl Offset {
    /// Before everything.
    pub const ZERO: Self = Self(0, 0);

    /// The offset of the next entry of a log that counts by one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0, self.1 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// Where an entry stands. The epoch changes when history is lost, so that an
/// old offset cannot lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the feed.
    pub epoch: u64,
    /// Where in it.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.epoch, self.offset)
    }
}

/// A position's text was not `<epoch>.<major>-<minor>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position looks like 1a2b.0-17")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, offset) = text.split_once('.').ok_or(NotAPosition)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| NotAPosition)?,
            offset: offset.parse()?,
        })
    }
}

impl FromStr for Offset {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (major, minor) = text.split_once('-').ok_or(NotAPosition)?;
        let number = |text: &str| text.parse().map_err(|_| NotAPosition);
        Ok(Self(number(major)?, number(minor)?))
    }
}

/// An event with its place in the feed. Always shared behind an [`Arc`].
#[derive(Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// When the feed took it.
    pub accepted: Instant,
    /// The same by the wall clock, of whichever node took it.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        let position = Position {
            epoch: 0xfeed,
            offset: Offset(3, 17),
        };
        assert_eq!(position.to_string(), "feed.3-17");
        assert_eq!("feed.3-17".parse(), Ok(position));
        assert_eq!("feed.3".parse::<Position>(), Err(NotAPosition));
    }

    #[test]
    fn names_have_bounds() {
        assert!(is_name("a") && is_name(&"é".repeat(127)));
        for no_name in ["", "a\nb", "\u{7f}", &"é".repeat(128)] {
            assert!(!is_name(no_name), "{no_name:?}");
        }
    }

    #[test]
    fn kinds_fold_dots_as_channels_does() {
        assert_eq!(Kind::from("chat.message").folded(), "chat_message");
        assert_eq!(Kind::from("chat_message").folded(), "chat_message");
    }
}
