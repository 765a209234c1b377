//! How a client is to be spoken to: on a WebSocket, or by an event stream.

use http::{Response, request::Parts};

use super::{
    events::{self, EventStream},
    handshake,
    socket::Line,
};
use crate::{event::SessionId, forward, reply::Body};

/// How a client is to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    WebSocket,
    Events,
}

impl Way {
    /// What a request asks for.
    pub(super) fn of(head: &Parts) -> Self {
        match forward::is_upgrade(head) {
            true => Self::WebSocket,
            false => Self::Events,
        }
    }

    /// The head of the answer, or why the request is no handshake.
    pub(super) fn accept(self, head: &Parts) -> Result<Response<Body>, String> {
        match self {
            Self::WebSocket => handshake::switch(head),
            Self::Events => Ok(events::response(Body::EMPTY)),
        }
    }

    /// The line to the client; what it is sent by goes into the response.
    pub(super) fn line(
        self,
        head: &mut Parts,
        response: &mut Response<Body>,
        session: SessionId,
    ) -> Line {
        match self {
            Self::WebSocket => Line::WebSocket(handshake::upgrade(head)),
            Self::Events => {
                let (stream, body) = EventStream::new(session);
                *response.body_mut() = body;
                Line::Events(stream)
            }
        }
    }
}
