//! Why sessions are closed: one table from the reason to the code on the wire,
//! the text behind it, and the word in the metric.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::hub::End;

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye.
    ClientClosed,
    /// The connection is gone without a word.
    ClientGone,
    /// No sign of life within a heartbeat.
    NoPong,
    /// The client does not read.
    TooSlow,
    /// What the client missed is no longer remembered.
    HistoryLost,
    /// The client broke RFC 6455.
    Protocol,
    /// A text that is no UTF-8.
    NotUtf8,
    /// A message over the limit.
    TooLarge,
    /// A binary message, which no endpoint takes.
    Binary,
    /// More messages than the limit allows.
    TooFast,
    /// The credential ran out; the endpoint says how that is told.
    TokenExpired(u16),
    /// The endpoint is gone or its rules for coming in have changed.
    Moved,
    /// The process is stopping.
    GoingAway,
    /// The app ends it, with this code and text.
    Disconnected(u16, Arc<str>),
    /// Accepted only to be told why not.
    Refused(u16, Arc<str>),
}

impl CloseReason {
    /// The close code (RFC 6455, section 7.4).
    pub fn code(&self) -> u16 {
        match self {
            Self::ClientClosed | Self::ClientGone => 1000,
            Self::NoPong => 1011,
            Self::TooSlow | Self::TooFast => 1008,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLarge => 1009,
            Self::Moved | Self::GoingAway | Self::HistoryLost => 1012,
            Self::TokenExpired(code) | Self::Disconnected(code, _) | Self::Refused(code, _) => {
                *code
            }
            Self::Binary => 1003,
        }
    }

    /// The text in the close frame.
    pub fn text(&self) -> &str {
        match self {
            Self::ClientClosed | Self::ClientGone => "",
            Self::NoPong => "no answer to ping",
            Self::TooSlow => "too slow",
            Self::HistoryLost => "history lost",
            Self::Protocol => "protocol error",
            Self::NotUtf8 => "not UTF-8",
            Self::TooLarge => "message too large",
            Self::Binary => "binary messages are not taken",
            Self::TooFast => "too many messages",
            Self::TokenExpired(_) => "token expired",
            Self::Moved | Self::GoingAway => "service restart",
            Self::Disconnected(_, text) | Self::Refused(_, text) => text,
        }
    }

    /// The word in the metric and the log.
    pub fn metric(&self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ClientGone => "client_gone",
            Self::NoPong => "no_pong",
            Self::TooSlow => "too_slow",
            Self::HistoryLost => "history_lost",
            Self::Protocol => "protocol",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::Binary => "binary",
            Self::TooFast => "too_fast",
            Self::TokenExpired(_) => "token_expired",
            Self::Moved => "moved",
            Self::GoingAway => "going_away",
            Self::Disconnected(..) => "disconnected",
            Self::Refused(..) => "refused",
        }
    }

    /// Whether the client leaves with all that was for it up to here.
    pub(super) fn takes_along(&self) -> bool {
        matches!(self, Self::Moved | Self::GoingAway | Self::Disconnected(..))
    }

    /// Whether what the client said before still counts: not if it broke the rules, or
    /// may no longer say anything.
    pub(super) fn hears_out(&self) -> bool {
        match self {
            Self::ClientClosed
            | Self::ClientGone
            | Self::NoPong
            | Self::TooSlow
            | Self::HistoryLost
            | Self::Moved
            | Self::GoingAway => true,
            Self::Protocol
            | Self::NotUtf8
            | Self::TooLarge
            | Self::Binary
            | Self::TooFast
            | Self::TokenExpired(_)
            | Self::Disconnected(..)
            | Self::Refused(..) => false,
        }
    }

    /// Whether a client that comes back goes on where it was. Not if it left by its own
    /// word, if it was told that it begins anew, or if the app sent it away. Who broke
    /// the rules or whose token ran out was let in anew when it comes back.
    pub(super) fn leaves_orphan(&self) -> bool {
        match self {
            Self::ClientGone
            | Self::NoPong
            | Self::TooSlow
            | Self::Moved
            | Self::GoingAway
            | Self::TokenExpired(_)
            | Self::Protocol
            | Self::NotUtf8
            | Self::TooLarge
            | Self::Binary
            | Self::TooFast => true,
            Self::ClientClosed | Self::HistoryLost | Self::Disconnected(..) | Self::Refused(..) => {
                false
            }
        }
    }

    /// Why the hub ended a session.
    pub(super) fn of_end(end: End) -> Self {
        match end {
            End::Asked(farewell) => Self::Disconnected(farewell.code, farewell.reason),
            End::TooManyChanges => Self::HistoryLost,
        }
    }

    /// The frame that tells the client.
    pub(super) fn frame(&self) -> CloseFrame {
        CloseFrame {
            code: CloseCode::from(self.code()),
            reason: self.text().into(),
        }
    }

    /// What reading from a client came to.
    pub(super) fn of_read(error: &Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLarge,
            Error::Utf8(_) => Self::NotUtf8,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::ClientGone,
            Error::Protocol(_) => Self::Protocol,
            _ => Self::ClientGone,
        }
    }
}
