//! Carrying a request or a tunnel to the app, unchanged.
//!
//! Called by the service for plain requests and by the session for the app leg.
//! What may not pass is refused in `hygiene` before anything is sent; what is
//! hop-by-hop is taken out in `headers`; bodies stream both ways and the first
//! byte goes on at once.

mod body;
mod boundary;
mod headers;
mod hygiene;
mod pump;
mod tunnel;

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::{
    routes::Trusted,
    upstream::{AppBody, Kept, SendError, Upstream},
    wire::Peer,
};

pub use headers::{WHO, drop_underscored, tell_who};
pub use hygiene::{Improper, check};
pub use tunnel::{Tunnel, Tunnelled, is_websocket, open};

/// A copy of a client's body that grows while the body passes.
pub type Copied = Arc<Mutex<Kept>>;

/// Whether a request asks to switch to a protocol that is passed through.
pub fn is_upgrade(head: &http::request::Parts) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && tunnel::asks_for_protocol(&head.headers)
        && headers::connection_says(&head.headers, "upgrade")
}

/// Sends a request on and gives back the app's response. Its body is also copied, if
/// somebody wants to look at it later.
///
/// # Errors
/// There is no response.
pub async fn forward(
    app: &Arc<Upstream>,
    request: Request<Incoming>,
    peer: &Peer,
    trusted: &Trusted,
    copy: Option<Copied>,
) -> Result<Response<AppBody>, Fault> {
    let (mut head, incoming) = request.into_parts();
    headers::to_app(&mut head, peer, trusted, headers::Upgrades::Drop);
    let request = body::prepare((head, incoming), peer, app.settings(), copy);
    let mut response = app.send(request).await?;
    hygiene::check_response(response.status(), response.headers())?;
    headers::to_client(response.headers_mut(), headers::Upgrades::Drop);
    // The version is between neighbours (RFC 9110, section 2.5).
    *response.version_mut() = Version::HTTP_11;
    Ok(response)
}

/// Why the client gets no response of the app's.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The app could not be asked.
    #[error(transparent)]
    App(SendError),
    /// The client's body broke off or stood still.
    #[error("the client's request broke off: {0}")]
    Client(String),
}

impl From<SendError> for Fault {
    /// The app is not to blame for a body that the client did not send.
    fn from(error: SendError) -> Self {
        match error {
            SendError::Broken(error) if error.is_user() => Self::Client(error.to_string()),
            other => Self::App(other),
        }
    }
}

impl Fault {
    /// What the client is told (RFC 9110, sections 15.6.3 to 15.6.5).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::App(SendError::Timeout(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::App(SendError::Busy(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::App(_) => StatusCode::BAD_GATEWAY,
            Self::Client(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Whose doing it is, as a metric says it.
    pub fn side(&self) -> &'static str {
        match self {
            Self::App(SendError::Busy(_)) => "outrigger",
            Self::App(_) => "app",
            Self::Client(_) => "client",
        }
    }

    /// A short text for the client that gives nothing away.
    pub fn text(&self) -> &'static str {
        match self {
            Self::App(SendError::Timeout(_)) => "The application did not answer in time.\n",
            Self::App(SendError::Busy(_)) => "The application is busy.\n",
            Self::App(SendError::Connect { .. }) => "The application cannot be reached.\n",
            Self::App(SendError::Broken(_) | SendError::Improper(_)) => {
                "The application's answer broke off.\n"
            }
            Self::Client(_) => "The request broke off.\n",
        }
    }
}
