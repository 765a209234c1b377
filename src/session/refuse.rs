//! Why a client is turned away at the handshake, and the close code that some
//! apps say it with.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header::RETRY_AFTER, request::Parts};
use hyper::upgrade::OnUpgrade;
use tracing::{debug, info};

use super::{
    CloseReason, Sessions, events, handshake, live,
    outgoing::Outgoing,
    permit::Denied,
    socket::{Line, Socket},
    way::Way,
};
use crate::{
    event::Offset,
    metrics::Because,
    reply::{self, Body},
    routes::{Endpoint, Refuse},
    wire::Peer,
};

/// Why a client is turned away.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    Origin,
    Handshake(String),
    /// Where one was looked for.
    NoToken(String),
    BadToken(String),
    NotPermitted(String),
    Unknown(String),
    Full(&'static str),
    /// The feed was never reached.
    NoFeed,
}

impl Refusal {
    fn metric(&self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Handshake(_) => "handshake",
            Self::NoToken(_) => "no_token",
            Self::BadToken(_) => "bad_token",
            Self::NotPermitted(_) => "not_permitted",
            Self::Unknown(_) => "app_unavailable",
            Self::Full(limit) => limit,
            Self::NoFeed => "feed_away",
        }
    }

    /// What says it where there is no close code.
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken(_) | Self::BadToken(_) => StatusCode::UNAUTHORIZED,
            Self::Origin | Self::NotPermitted(_) => StatusCode::FORBIDDEN,
            Self::Handshake(_) => StatusCode::BAD_REQUEST,
            Self::Unknown(_) | Self::Full(_) | Self::NoFeed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Origin => "the page's origin is not allowed",
            Self::Full(limit) => limit,
            Self::NoFeed => "the feed was not reached yet",
            Self::Handshake(why)
            | Self::NoToken(why)
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

impl Sessions {
    /// The refusal in the words of the app that the endpoint stands in for.
    pub(super) fn refuse(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        head: &mut Parts,
        (peer, protocol): (&Arc<Peer>, Option<HeaderValue>),
        refusal: &Refusal,
    ) -> Response<Body> {
        let reason = refusal.metric();
        Because::count(&self.metrics.sessions_refused, &endpoint.name, reason);
        info!(endpoint = %endpoint.name, reason, detail = refusal.detail(), address = %peer.address, "Session refused");
        let way = Way::of(head);
        let how = match refusal {
            Refusal::NoToken(_) => &endpoint.refuse.no_token,
            Refusal::BadToken(_) => &endpoint.refuse.bad_token,
            Refusal::NotPermitted(_) => &endpoint.refuse.not_permitted,
            Refusal::Origin => {
                return reply::text(StatusCode::FORBIDDEN, "This origin is not allowed.\n");
            }
            Refusal::Full(_) | Refusal::NoFeed | Refusal::Unknown(_) if way == Way::Events => {
                return events::come_back();
            }
            Refusal::Full(_) | Refusal::NoFeed | Refusal::Unknown(_) => return busy(),
            Refusal::Handshake(_) => return handshake::not_websocket(head),
        };
        match how {
            Refuse::Http(status) => reply::text(*status, ""),
            Refuse::Close { reason, .. } if way == Way::Events => {
                reply::text(refusal.status(), format!("{reason}\n"))
            }
            Refuse::Close { code, reason } => {
                let Ok(mut response) = handshake::switch(head) else {
                    return handshake::not_websocket(head);
                };
                // Without it a browser sees no close code, only a failure.
                let protocol = handshake::select(endpoint, head, protocol);
                handshake::agree(&mut response, protocol);
                let client = handshake::upgrade(head);
                let reason = CloseReason::Refused(*code, reason.clone());
                self.tracker
                    .spawn(turn_away(client, endpoint.clone(), reason, peer.clone()));
                response
            }
        }
    }
}

/// Try again.
pub(super) fn busy() -> Response<Body> {
    let mut response = reply::text(StatusCode::SERVICE_UNAVAILABLE, "Try again later.\n");
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Accepts a client only to tell it why not, as a close code.
async fn turn_away(
    client: OnUpgrade,
    endpoint: Arc<Endpoint>,
    reason: CloseReason,
    peer: Arc<Peer>,
) {
    match Socket::open(Line::WebSocket(client), &endpoint).await {
        Ok(socket) => {
            let mut nothing = Outgoing::new(Offset::ZERO);
            live::say_goodbye(socket, &mut nothing, &reason, |_, _| ()).await;
        }
        Err(error) => debug!(%error, address = %peer.address, "Refused client gone"),
    }
}
