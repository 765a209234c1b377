//! From the handshake to a session on its leg.

use std::sync::Arc;

use http::{Request, Response, request::Parts};
use hyper::body::Incoming;
use serde_json::Value;
use tracing::debug;

use super::{
    Sessions,
    adopt::{Key, Newcomer, Stand},
    desk::Desk,
    events, handshake,
    identify::{Known, Who},
    live::{self, Subscription},
    origin,
    progress::Track,
    refuse::{Refusal, busy},
    registry::Place,
    resume::{Begin, How, Said},
    way::Way,
};
use crate::{
    auth::Identity,
    event::{SessionName, Topic},
    feed::Feed,
    frame::{Client, Scope},
    hub::{Outbox, Subscriber},
    metrics::Because,
    reply::Body,
    rollout::Leg,
    routes::{Endpoint, RouteTable, Step},
    wire::Peer,
};

/// What a handshake comes to.
#[derive(Debug)]
pub enum Opened {
    /// This answer: a 101 with a session behind it, or a refusal.
    Answered(Response<Body>),
    /// The app serves it: pass the request on.
    Forward(Request<Incoming>),
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
                let shared = origin::shared(&endpoint.origins, &head.headers, known.by_cookie);
                let opened = self
                    .open_feed(table, (endpoint.clone(), params), &mut head, (known, peer))
                    .await;
                let mut response = opened.unwrap_or_else(|refusal| {
                    self.refuse(&endpoint, &mut head, (peer, protocol), &refusal)
                });
                if Way::of(&head) == Way::Events {
                    events::share(&mut response, shared);
                }
                Opened::Answered(response)
            }
            _ if Way::of(&head) == Way::Events => Opened::Forward(Request::from_parts(head, body)),
            _ => self.open_app(&endpoint, user, Request::from_parts(head, body), peer),
        }
    }

    fn open_app(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        user: Option<Identity>,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Opened {
        let user = user.map(|user| user.user);
        let at = (Leg::App, peer.address);
        match self
            .registry
            .admit(&endpoint.name, user.as_ref(), at, &endpoint.limits)
        {
            Ok(place) => {
                place.opened();
                Opened::Relay(request, Box::new(Held(place)))
            }
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
        let way = Way::of(head);
        check_origin(way, &endpoint, head, known.by_cookie)?;
        let mut response = way.accept(head).map_err(Refusal::Handshake)?;
        let Known {
            who,
            caller,
            subprotocol,
            ..
        } = known;
        let identity = admit(&endpoint, who, table, &self.feed)?;
        let expires_at = identity.as_ref().and_then(|user| user.expires_at);
        let mut client = client_of(identity, params);
        client.session = Some(SessionName(super::random()));
        self.permit(table, &endpoint, &mut client, &caller).await?;
        let at = (Leg::Feed, peer.address);
        let place = self
            .registry
            .admit(&endpoint.name, client.user.as_ref(), at, &endpoint.limits);
        let place = place.map_err(Refusal::Full)?;
        let credentials = Arc::new(caller);
        let desk = Desk {
            sessions: self.clone(),
            table: table.clone(),
            endpoint: endpoint.clone(),
            client: Arc::new(client),
            session: place.listed().session,
            caller: calls_app(&endpoint).then(|| credentials.clone()),
            outbox: None,
        };
        let caller = desk.caller.clone();
        let (mut client, here) = self.connect(desk).await?;
        self.see_who_is_online(&endpoint, &mut client).await;
        let topics = topics(&endpoint, &client).map_err(Refusal::NotPermitted)?;
        let protocol = handshake::select(&endpoint, head, subprotocol);
        handshake::agree(&mut response, protocol);
        let (subscriber, begin) = self.subscribe((endpoint, head), client, topics, &place);
        let asks = (&*subscriber, begin.0.at.offset);
        let topics = self.gather(table, asks, &credentials).await?;
        let subscription = Subscription::new(self.clone(), subscriber.clone(), caller);
        here.hand_over();
        let stand = self.stand((&subscriber, &topics), begin.0, table).await;
        place.opened();
        let session = live::Start {
            client: way.line(head, &mut response, place.listed().session),
            stand,
            path: head.uri.path().into(),
            subscription,
            table: table.clone(),
            begin,
            expires_at,
            place,
            peer: peer.clone(),
        };
        peer.activity.begin_session();
        self.tracker.spawn(live::run(self.clone(), session));
        // What is published after the 101 must reach it, whatever brings it here.
        tokio::join!(self.hub.demand().joined(&topics), self.feed.marks().saved());
        Ok(response)
    }

    /// What a client is told at connect may say who is online.
    async fn see_who_is_online(self: &Arc<Self>, endpoint: &Endpoint, client: &mut Arc<Client>) {
        self.know_the_others(endpoint).await;
        if let Some(online) = self.roster(endpoint, client) {
            Arc::make_mut(client).online = Some(online);
        }
    }

    /// Subscribes before the client is told that it is connected, so that what is
    /// published after that reaches it.
    fn subscribe(
        &self,
        (endpoint, head): (Arc<Endpoint>, &Parts),
        client: Arc<Client>,
        topics: Box<[Topic]>,
        place: &Place,
    ) -> (Arc<Subscriber>, (Begin, Track)) {
        let limits = &endpoint.limits;
        let form = handshake::form(head);
        let begin = self.begin(&endpoint, Said::of(head), form);
        let (since, known) = (begin.at.offset, self.feed.known());
        let outbox = Outbox::new(since, limits.outbox_frames, limits.outbox_bytes);
        let outbox = Arc::new(outbox.subscribed_at(known.max(since)));
        let session = place.listed().session;
        let subscriber = Arc::new(Subscriber {
            session,
            client,
            endpoint,
            topics,
            form,
            outbox,
        });
        let track = Track::new(begin.at.offset);
        place.hears(&subscriber.outbox, track.clone());
        self.hub.join(&subscriber);
        // What came between the place where it begins and now: it was told, or will be,
        // that it has had everything up to there.
        let moved = form.tells_position() && self.feed.head() != begin.at;
        if moved || begin.how == How::Resumed {
            subscriber.missed(subscriber.outbox.fall_behind(), &self.metrics);
        }
        (subscriber, (begin, track))
    }
}

impl Sessions {
    /// A session whose client cannot say where it was stands among those of its key, and
    /// other nodes know it.
    async fn stand(
        &self,
        (subscriber, topics): (&Subscriber, &[Topic]),
        begin: Begin,
        table: &RouteTable,
    ) -> Option<(Stand, Vec<Topic>)> {
        let says = begin.how != How::Fresh || subscriber.form.tells_position();
        let key = (!says).then(|| Key::of(&subscriber.endpoint, &subscriber.client))??;
        let stand = self.adoptions.arrive(Newcomer {
            name: subscriber.client.session.unwrap_or_default(),
            window: subscriber.endpoint.resume.window,
            key,
            head: begin.at.offset,
            outbox: &subscriber.outbox,
            generation: table.generation,
        });
        stand.announced().await;
        Some((stand, topics.to_vec()))
    }
}

impl Known {
    fn user(&self) -> Option<Identity> {
        match &self.who {
            Who::User(identity) => Some(Box::as_ref(identity).clone()),
            Who::Nobody | Who::Unproven(_) | Who::Unknown(_) => None,
        }
    }
}

fn check_origin(
    way: Way,
    endpoint: &Endpoint,
    head: &Parts,
    by_cookie: bool,
) -> Result<(), Refusal> {
    let (origins, headers) = (&endpoint.origins, &head.headers);
    let hides = way == Way::Events && origin::hides(origins, headers);
    let allowed = !hides && origin::is_allowed(origins, headers, by_cookie);
    allowed.then_some(()).ok_or(Refusal::Origin)
}

fn admit(
    endpoint: &Endpoint,
    who: Who,
    table: &RouteTable,
    feed: &Feed,
) -> Result<Option<Identity>, Refusal> {
    if feed.unopened().is_some() {
        return Err(Refusal::NoFeed);
    }
    match who {
        Who::User(identity) => Ok(Some(*identity)),
        Who::Nobody if endpoint.anonymous => Ok(None),
        Who::Nobody => Err(Refusal::NoToken(table.auth.why_nobody())),
        Who::Unproven(why) => Err(Refusal::BadToken(why)),
        Who::Unknown(why) => Err(Refusal::Unknown(why)),
    }
}

pub(super) fn client_of(identity: Option<Identity>, params: Params) -> Client {
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
    endpoint.steps().any(Step::calls_app)
}

/// Whether a changed endpoint lets in whom the old one let in, by the same
/// questions; and whether its sessions kept what new actions need.
pub(super) fn admits_alike(old: &Endpoint, new: &Endpoint) -> bool {
    old.permit == new.permit
        && old.lookups == new.lookups
        && old.topics_from == new.topics_from
        && old.moments.on_connect == new.moments.on_connect
        && old.anonymous == new.anonymous
        && (calls_app(old) || !calls_app(new))
}
