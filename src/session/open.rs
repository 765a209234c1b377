//! From the handshake to a session on its leg, or to a refusal in the words of
//! the app it stands in for.

use std::sync::Arc;

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION},
    request::Parts,
};
use hyper::body::Incoming;
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tracing::{debug, info};

use super::{
    CloseReason, Sessions,
    identify::{Known, Who},
    live, origin,
    refuse::{Refusal, turn_away},
    registry::Place,
};
use crate::{
    event::{Offset, Topic},
    frame::{Client, Scope},
    hub::{Outbox, Subscriber},
    metrics::Because,
    reply::{self, Body},
    rollout::Leg,
    routes::{Endpoint, Refuse, RouteTable, Step},
    wire::Peer,
};

/// What a handshake comes to.
#[derive(Debug)]
pub enum Opened {
    /// This answer: a 101 with a session behind it, or a refusal.
    Answered(Response<Body>),
    /// The app leg: pass the handshake on, and hold the place as long as the
    /// relay lasts.
    Relay(Request<Incoming>, Box<Held>),
}

/// A relayed session's place on the list.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held for its Drop")] Place);

/// The path's parameters with their values.
pub(super) type Params = Vec<(Arc<str>, Value)>;

impl Sessions {
    /// Decides a handshake.
    pub async fn open(
        self: &Arc<Self>,
        table: &Arc<RouteTable>,
        (endpoint, params): (Arc<Endpoint>, Params),
        request: Request<Incoming>,
        peer: &Arc<Peer>,
    ) -> Opened {
        let (mut head, body) = request.into_parts();
        // Who it is matters only where the answer depends on it.
        let rollout = &endpoint.rollout;
        let known = match rollout.asks_for_user() || rollout.decide(None).0 == Leg::Feed {
            true => Some(self.identify(table, &head, peer).await),
            false => None,
        };
        let user = known.as_ref().and_then(Known::user);
        let (leg, why) = rollout.decide(user.as_ref().map(|user| &user.user));
        debug!(endpoint = %endpoint.name, %leg, %why, "Leg chosen");
        match (leg, known) {
            (Leg::Feed, Some(known)) => {
                let protocol = known.subprotocol.clone();
                let opened = self
                    .open_feed(table, (endpoint.clone(), params), &mut head, (known, peer))
                    .await;
                Opened::Answered(opened.unwrap_or_else(|refusal| {
                    self.refuse(&endpoint, &mut head, (peer, protocol), &refusal)
                }))
            }
            _ => self.open_app(&endpoint, user, Request::from_parts(head, body), peer),
        }
    }

    fn open_app(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        user: Option<crate::auth::Identity>,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Opened {
        let user = user.map(|user| user.user);
        let at = (Leg::App, peer.address);
        match self
            .registry
            .admit(&endpoint.name, user.as_ref(), at, &endpoint.limits)
        {
            Ok(place) => Opened::Relay(request, Box::new(Held(place))),
            Err(limit) => {
                Because::count(&self.metrics.sessions_refused, &endpoint.name, limit);
                Opened::Answered(busy())
            }
        }
    }

    async fn open_feed(
        self: &Arc<Self>,
        table: &Arc<RouteTable>,
        (endpoint, params): (Arc<Endpoint>, Params),
        head: &mut Parts,
        (known, peer): (Known, &Arc<Peer>),
    ) -> Result<Response<Body>, Refusal> {
        if !origin::is_allowed(&endpoint.origins, &head.headers, known.by_cookie) {
            return Err(Refusal::Origin);
        }
        let mut response = handshake(head).map_err(Refusal::Handshake)?;
        let Known {
            who,
            caller,
            subprotocol,
            ..
        } = known;
        let identity = admit(&endpoint, who)?;
        let expires_at = identity.as_ref().and_then(|user| user.expires_at);
        let mut client = client_of(identity, params);
        self.permit(table, &endpoint, &mut client, &caller).await?;
        let topics = topics(&endpoint, &client).map_err(Refusal::NotPermitted)?;
        let at = (Leg::Feed, peer.address);
        let place = self
            .registry
            .admit(&endpoint.name, client.user.as_ref(), at, &endpoint.limits);
        let place = place.map_err(Refusal::Full)?;
        agree(
            &mut response,
            subprotocol.or_else(|| select(&endpoint, head)),
        );
        let (subscriber, since) = self.subscribe(endpoint.clone(), client, topics, &place);
        let session = live::Start {
            client: hyper::upgrade::on(&mut *head_request(head)),
            path: head.uri.path().into(),
            caller: calls_app(&endpoint).then(|| Arc::new(caller)),
            subscriber,
            table: table.clone(),
            since,
            expires_at,
            place,
            peer: peer.clone(),
        };
        self.tracker.spawn(live::run(self.clone(), session));
        Ok(response)
    }

    /// Subscribes before the client is told that it is connected, so that what is
    /// published after that reaches it.
    fn subscribe(
        &self,
        endpoint: Arc<Endpoint>,
        client: Client,
        topics: Box<[Topic]>,
        place: &Place,
    ) -> (Arc<Subscriber>, Offset) {
        let limits = &endpoint.limits;
        let since = self.feed.head().offset;
        let outbox = Arc::new(Outbox::new(
            since,
            limits.outbox_frames,
            limits.outbox_bytes,
        ));
        let session = place.listed().session;
        let subscriber = Arc::new(Subscriber {
            session,
            client: Arc::new(client),
            endpoint,
            topics,
            outbox,
        });
        self.hub.join(&subscriber);
        (subscriber, since)
    }

    fn refuse(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        head: &mut Parts,
        (peer, protocol): (&Arc<Peer>, Option<HeaderValue>),
        refusal: &Refusal,
    ) -> Response<Body> {
        let reason = refusal.metric();
        Because::count(&self.metrics.sessions_refused, &endpoint.name, reason);
        info!(endpoint = %endpoint.name, reason, detail = %refusal.detail(), address = %peer.address, "Session refused");
        let how = match refusal {
            Refusal::NoToken => &endpoint.refuse.no_token,
            Refusal::BadToken(_) => &endpoint.refuse.bad_token,
            Refusal::NotPermitted(_) => &endpoint.refuse.not_permitted,
            Refusal::Origin => {
                return reply::text(StatusCode::FORBIDDEN, "This origin is not allowed.\n");
            }
            Refusal::Full(_) | Refusal::Unknown(_) => return busy(),
            Refusal::Handshake(_) => return not_websocket(head),
        };
        match how {
            Refuse::Http(status) => reply::text(*status, ""),
            Refuse::Close { code, reason } => {
                let Ok(mut response) = handshake(head) else {
                    return not_websocket(head);
                };
                // Without it a browser sees no close code, only a failure.
                agree(&mut response, protocol.or_else(|| select(endpoint, head)));
                let client = hyper::upgrade::on(&mut *head_request(head));
                let reason = CloseReason::Refused(*code, reason.clone());
                self.tracker
                    .spawn(turn_away(client, endpoint.clone(), reason, peer.clone()));
                response
            }
        }
    }
}

/// hyper hands out the upgrade of a request by its extensions alone.
fn head_request(head: &mut Parts) -> Box<Request<()>> {
    let mut request = Request::new(());
    *request.extensions_mut() = std::mem::take(&mut head.extensions);
    Box::new(request)
}

impl Known {
    fn user(&self) -> Option<crate::auth::Identity> {
        match &self.who {
            Who::User(identity) => Some(Box::as_ref(identity).clone()),
            Who::Nobody | Who::Unproven(_) | Who::Unknown(_) => None,
        }
    }
}

fn admit(endpoint: &Endpoint, who: Who) -> Result<Option<crate::auth::Identity>, Refusal> {
    match who {
        Who::User(identity) => Ok(Some(*identity)),
        Who::Nobody if endpoint.anonymous => Ok(None),
        Who::Nobody => Err(Refusal::NoToken),
        Who::Unproven(why) => Err(Refusal::BadToken(why)),
        Who::Unknown(why) => Err(Refusal::Unknown(why)),
    }
}

pub(super) fn client_of(identity: Option<crate::auth::Identity>, params: Params) -> Client {
    match identity {
        Some(identity) => Client {
            user: Some(identity.user),
            user_value: Some(identity.user_value),
            claims: Some(identity.claims),
            params,
            ..Client::default()
        },
        None => Client {
            params,
            ..Client::default()
        },
    }
}

/// What a client subscribes to on an endpoint.
pub(super) fn topics(endpoint: &Endpoint, client: &Client) -> Result<Box<[Topic]>, String> {
    let scope = Scope {
        client: Some(client),
        ..Scope::default()
    };
    let topics = endpoint
        .topics
        .iter()
        .map(|topic| topic.render(&scope).map(Topic::from));
    topics
        .collect::<Result<_, _>>()
        .map_err(|missing| missing.to_string())
}

/// Whether sessions of the endpoint ask the app for anything after the handshake.
fn calls_app(endpoint: &Endpoint) -> bool {
    endpoint
        .actions
        .iter()
        .any(|action| matches!(action.step, Step::Call(_)))
}

/// Whether a changed endpoint lets in whom the old one let in, by the same
/// questions; and whether its sessions kept what new actions need.
pub(super) fn admits_alike(old: &Endpoint, new: &Endpoint) -> bool {
    old.permit == new.permit
        && old.lookups == new.lookups
        && old.anonymous == new.anonymous
        && (calls_app(old) || !calls_app(new))
}

fn handshake(head: &Parts) -> Result<Response<Body>, String> {
    let mut request = Request::new(());
    request.method_mut().clone_from(&head.method);
    *request.version_mut() = head.version;
    request.headers_mut().clone_from(&head.headers);
    let response = create_response(&request).map_err(|error| error.to_string())?;
    Ok(response.map(|()| Body::EMPTY))
}

fn agree(response: &mut Response<Body>, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
}

fn select(endpoint: &Endpoint, head: &Parts) -> Option<HeaderValue> {
    let offers = head.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offers: Vec<_> = offers
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let chosen = endpoint
        .subprotocols
        .iter()
        .find(|known| offers.contains(&&***known))?;
    HeaderValue::try_from(&**chosen).ok()
}

fn busy() -> Response<Body> {
    let mut response = reply::text(StatusCode::SERVICE_UNAVAILABLE, "Try again later.\n");
    response
        .headers_mut()
        .insert(http::header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// RFC 6455, section 4.4: which version is spoken.
fn not_websocket(head: &Parts) -> Response<Body> {
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
