//! A request to switch protocols, passed to the app; after its 101, bytes.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header::UPGRADE};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tokio::time::timeout;

use super::{Fault, body, headers, hygiene, pump::Pump};
use crate::{
    routes::Trusted,
    upstream::{AppBody, Stream, Upgrade, Upstream},
    wire::{Peer, Wire},
};

/// What the app said to it.
#[derive(Debug)]
pub enum Tunnelled {
    /// It switched: the response to give, and the tunnel to run once it is given.
    Switched(Response<()>, Tunnel),
    /// It answered something else, which is the client's.
    Refused(Box<Response<AppBody>>),
}

/// Both ends of a tunnel.
#[derive(Debug)]
pub struct Tunnel {
    client: OnUpgrade,
    app: Stream,
    early: Bytes,
    is_websocket: bool,
}

/// Whether a request asks for other protocols that may be tunnelled. `h2c` may
/// not: requests inside it would pass unseen.
pub(super) fn asks_for_protocol(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes);
    let mut protocols = lists
        .flat_map(|list| list.split(|byte| *byte == b','))
        .map(|protocol| protocol.trim_ascii().to_ascii_lowercase())
        .filter(|protocol| !protocol.is_empty())
        .peekable();
    protocols.peek().is_some() && !protocols.any(|protocol| protocol.starts_with(b"h2c"))
}

/// Whether the protocol asked for is WebSocket (RFC 6455, section 4.1).
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let protocol = headers.get(UPGRADE);
    protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Passes the request on.
///
/// # Errors
/// There is no response.
pub async fn open(
    app: &Arc<Upstream>,
    mut request: Request<Incoming>,
    peer: &Peer,
    trusted: &Trusted,
) -> Result<Tunnelled, Fault> {
    let client = hyper::upgrade::on(&mut request);
    let is_websocket = is_websocket(request.headers());
    let (mut head, incoming) = request.into_parts();
    headers::to_app(&mut head, peer, trusted, headers::Upgrades::Keep);
    let request = body::prepare((head, incoming), peer, app.settings(), None);
    match app.upgrade(request).await? {
        Upgrade::Switched {
            head,
            stream,
            early,
        } => {
            let mut response = Response::from_parts(*head, ());
            headers::to_client(response.headers_mut(), headers::Upgrades::Keep);
            Ok(Tunnelled::Switched(
                response,
                Tunnel {
                    client,
                    app: stream,
                    early,
                    is_websocket,
                },
            ))
        }
        Upgrade::Refused(mut response) => {
            hygiene::check_response(response.status(), response.headers())?;
            headers::to_client(response.headers_mut(), headers::Upgrades::Drop);
            *response.version_mut() = Version::HTTP_11;
            Ok(Tunnelled::Refused(response))
        }
    }
}

/// How long a frame that has begun may take to end when the tunnel has to.
const FRAME_END: Duration = Duration::from_secs(2);

/// Close, 1012 "service restart" (RFC 6455, section 5.5.1).
const FAREWELL: &[u8] = b"\x88\x11\x03\xf4service restart";

impl Tunnel {
    /// Carries bytes until both sides have ended, or until `home`: then the client
    /// of a WebSocket is told to come back, all others just see the end.
    ///
    /// # Errors
    /// What broke.
    pub async fn run(self, home: impl Future<Output = ()>) -> io::Result<()> {
        let client = Wire::upgraded(self.client).await?;
        let mut pump = Pump::new(client, (self.app, self.early));
        tokio::select! {
            ended = pump.run() => return ended,
            () = home => {}
        }
        if self.is_websocket {
            timeout(FRAME_END, pump.end_with(FAREWELL)).await??;
            pump.linger().await;
        }
        Ok(())
    }
}
