//! The answer to a WebSocket handshake (RFC 6455, section 4.2).

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::way::Way;
use crate::{
    hub::Form,
    reply::{self, Body},
    routes::Endpoint,
};

/// The subprotocol of clients that learn where they stand.
const ENVELOPES: &str = "outrigger.v1";

/// The 101, or why the request is no handshake.
pub(super) fn switch(head: &Parts) -> Result<Response<Body>, String> {
    let mut request = Request::new(());
    request.method_mut().clone_from(&head.method);
    *request.version_mut() = head.version;
    request.headers_mut().clone_from(&head.headers);
    let response = create_response(&request).map_err(|error| error.to_string())?;
    Ok(response.map(|()| Body::EMPTY))
}

/// The connection, as soon as the 101 is written. hyper hands it out by the extensions
/// of a request alone; they are gone then.
pub(super) fn upgrade(head: &mut Parts) -> OnUpgrade {
    let mut request = Request::new(());
    *request.extensions_mut() = std::mem::take(&mut head.extensions);
    hyper::upgrade::on(request)
}

/// Names the subprotocol that is spoken.
pub(super) fn agree(response: &mut Response<Body>, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
}

/// The form that the client asks for.
pub(super) fn form(head: &Parts) -> Form {
    match Way::of(head) {
        Way::Events => Form::Events,
        Way::WebSocket if offers(head).any(|offer| offer == ENVELOPES) => Form::Envelope,
        Way::WebSocket => Form::Bare,
    }
}

/// The subprotocol that is spoken: our own where it is offered, else that by which the
/// token came, else the first of the endpoint's that the client offers.
pub(super) fn select(
    endpoint: &Endpoint,
    head: &Parts,
    by_token: Option<HeaderValue>,
) -> Option<HeaderValue> {
    match form(head) {
        Form::Events => None,
        Form::Envelope => Some(HeaderValue::from_static(ENVELOPES)),
        Form::Bare => by_token.or_else(|| of_endpoint(endpoint, head)),
    }
}

fn offers(head: &Parts) -> impl Iterator<Item = &str> {
    let lists = head.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

fn of_endpoint(endpoint: &Endpoint, head: &Parts) -> Option<HeaderValue> {
    let offers: Vec<_> = offers(head).collect();
    let chosen = endpoint
        .subprotocols
        .iter()
        .find(|known| offers.contains(&&***known))?;
    HeaderValue::try_from(&**chosen).ok()
}

/// The refusal of what is no handshake; it says which version is spoken (section 4.4).
pub(super) fn not_websocket(head: &Parts) -> Response<Body> {
    let version = head.headers.get(SEC_WEBSOCKET_VERSION);
    let known = version.is_some_and(|version| version == "13");
    let status = if known {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::UPGRADE_REQUIRED
    };
    let mut response = reply::text(status, "This is no WebSocket handshake of version 13.\n");
    response
        .headers_mut()
        .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}
