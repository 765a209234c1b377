//! `GET /outrigger/flags`: the frontend's own answer to "legacy or realtime", by
//! the same rules and for the same user as the sockets' routing.

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY,
    },
};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::Service;
use crate::{
    event::UserId,
    reply::{self, Body},
    rollout::Leg,
    routes::RouteTable,
    session::Who,
    wire::Peer,
};

impl Service {
    pub(super) async fn flags(
        &self,
        table: &RouteTable,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Response<Body> {
        let (head, _) = request.into_parts();
        let mut response = match head.method {
            Method::GET | Method::HEAD => {
                let who = self.sessions.who(table, &head, peer).await;
                reply::json(StatusCode::OK, flags(table, &who).to_string())
            }
            Method::OPTIONS => preflight(),
            _ => reply::text(StatusCode::METHOD_NOT_ALLOWED, "Flags are read with GET.\n"),
        };
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(VARY, HeaderValue::from_static("Authorization, Cookie"));
        // Any page may ask with a token, which it has to hold; with a cookie only the
        // app's own, because credentials are never allowed to others.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
}

const METHODS: &str = "GET, HEAD, OPTIONS";

/// What a browser asks before a foreign page may send a token in a header (Fetch
/// standard, section 3.2).
fn preflight() -> Response<Body> {
    let mut response = reply::text(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// The answer for one user: endpoints by name with their leg, flags by name with
/// their value.
pub(crate) fn flags(table: &RouteTable, who: &Who) -> Value {
    let user = match who {
        Who::User(identity) => Some(&identity.user),
        Who::Nobody | Who::Unproven(_) | Who::Unknown(_) => None,
    };
    let endpoints = table.endpoints.iter().map(|endpoint| {
        let (leg, why) = endpoint.rollout.decide(user);
        let realtime = leg == Leg::Feed;
        let answer = json!({ "realtime": realtime, "path": endpoint.path.source(), "reason": why.to_string() });
        (endpoint.name.to_string(), answer)
    });
    let flags = table.flags.iter().map(|flag| {
        let on = flag.rollout.decide(user).0 == Leg::Feed;
        (
            flag.name.to_string(),
            if on {
                flag.on.clone()
            } else {
                flag.off.clone()
            },
        )
    });
    json!({
        "user": user.map(UserId::as_str),
        "generation": table.generation,
        "endpoints": endpoints.collect::<Map<_, _>>(),
        "flags": flags.collect::<Map<_, _>>(),
    })
}
