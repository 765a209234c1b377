//! Why a client is turned away at the handshake, and the close code that some
//! apps say it with.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use tracing::debug;

use super::{CloseReason, outgoing::Outgoing, permit::Denied, socket};
use crate::{event::Offset, routes::Endpoint, wire::Peer};

/// Why a client is turned away.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    Origin,
    Handshake(String),
    NoToken,
    BadToken(String),
    NotPermitted(String),
    Unknown(String),
    Full(&'static str),
}

impl Refusal {
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Handshake(_) => "handshake",
            Self::NoToken => "no_token",
            Self::BadToken(_) => "bad_token",
            Self::NotPermitted(_) => "not_permitted",
            Self::Unknown(_) => "app_unavailable",
            Self::Full(limit) => limit,
        }
    }

    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Origin | Self::NoToken => "",
            Self::Full(limit) => limit,
            Self::Handshake(why)
            | Self::BadToken(why)
            | Self::NotPermitted(why)
            | Self::Unknown(why) => why,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unproven(why) => Self::BadToken(why),
            Denied::NotPermitted(why) => Self::NotPermitted(why),
            Denied::Unknown(why) => Self::Unknown(why),
        }
    }
}

/// Accepts a client only to tell it why not, as a close code.
pub(super) async fn turn_away(
    client: OnUpgrade,
    endpoint: Arc<Endpoint>,
    reason: CloseReason,
    peer: Arc<Peer>,
) {
    match socket::socket(client, &endpoint).await {
        Ok(socket) => socket::say_goodbye(socket, Outgoing::new(Offset::ZERO), &reason).await,
        Err(error) => debug!(%error, address = %peer.address, "Refused client gone"),
    }
}
