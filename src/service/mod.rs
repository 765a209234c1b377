//! One request in, one decision: forward, tunnel, session, webhook or flags.
//!
//! Called by each connection. It reads the table of the moment, hands the request
//! to the room that owns the answer, and counts and logs how it ended.

mod exchanges;
mod finish;
mod flags;
mod webhook;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::CONNECTION};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    feed::Feed,
    forward::{self, Fault, Tunnelled},
    metrics::{Ended, Metrics},
    reply::{self, Body},
    routes::{Route, RouteTable, Tables},
    session::{Held, Opened, Sessions, events},
    wire::{Peer, Phase, Watchdog},
};

use exchanges::{Case, Exchanges};
use finish::Finish;
pub use finish::Tracked;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything a request may need.
#[derive(Debug)]
pub struct Service {
    tables: Tables,
    sessions: Arc<Sessions>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    exchanges: Arc<Exchanges>,
    watchdog: Watchdog,
    ids: finish::RequestIds,
    /// Closed: no more events from outside.
    door: CancellationToken,
    access_log: bool,
}

/// A response and whose it is.
type Answer = (Response<Body>, Origin);

/// Who made a response, and so whose doing it is if it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The app.
    App,
    /// This program, by itself.
    Own,
    /// This program, because there is none of the app's.
    Fault(&'static str),
}

impl Origin {
    /// `app`, `client`, `outrigger` or `none`, as the metric says it.
    fn fault(self, status: StatusCode) -> &'static str {
        match self {
            _ if status.as_u16() < 400 => "none",
            Self::Fault(side) => side,
            _ if status.is_client_error() => "client",
            Self::App => "app",
            // These two tell of the app's own (RFC 9110, section 15.6).
            Self::Own
                if [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&status) =>
            {
                "app"
            }
            Self::Own => "outrigger",
        }
    }
}

impl Service {
    /// Puts the rooms together.
    pub fn new(
        tables: Tables,
        sessions: Arc<Sessions>,
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
        (watchdog, door, access_log): (Watchdog, CancellationToken, bool),
    ) -> Arc<Self> {
        let ids = finish::RequestIds::new();
        let exchanges = Exchanges::new(sessions.clone(), feed.clone(), metrics.clone());
        Arc::new(Self {
            exchanges,
            tables,
            sessions,
            feed,
            metrics,
            watchdog,
            ids,
            door,
            access_log,
        })
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Who looks after slow connections.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Answers one request.
    pub async fn serve(
        &self,
        mut request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<Tracked> {
        peer.activity.enter(Phase::Busy);
        let id = self.identify(&mut request);
        let mut finish = Finish::begin(self.metrics.clone(), &peer);
        if self.access_log {
            finish.log(&request, id);
        }
        let (response, origin) = self.answer(request, &peer).await;
        // What the app said before goes out before, and not into the body.
        peer.interim.drained().await;
        finish.head(response.status(), origin.fault(response.status()));
        response.map(|body| Tracked::new(body, finish))
    }

    /// Keeps the request's id or gives it one, for the app's log and ours.
    fn identify(&self, request: &mut Request<Incoming>) -> HeaderValue {
        if let Some(id) = request.headers().get(&REQUEST_ID) {
            return id.clone();
        }
        let id = self.ids.next();
        request.headers_mut().insert(REQUEST_ID, id.clone());
        id
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Arc<Peer>) -> Answer {
        let (mut head, body) = request.into_parts();
        if let Err(improper) = forward::check(&head, !http_body::Body::is_end_stream(&body), peer) {
            let result = improper.reason();
            self.metrics
                .requests_refused
                .get_or_create(&Ended { result })
                .inc();
            debug!(error = %improper, address = %peer.address, "Request refused");
            let mut response = reply::text(improper.status(), format!("{improper}\n"));
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            return (response, Origin::Fault("client"));
        }
        let dropped = forward::drop_underscored(&mut head.headers);
        if dropped > 0 {
            self.metrics.headers_dropped.inc_by(dropped as u64);
            debug!(dropped, address = %peer.address, "Headers with underscores left out");
        }
        let upgrades = forward::is_upgrade(&head);
        let socket = upgrades && forward::is_websocket(&head.headers);
        let stream =
            !upgrades && events::is_asked_for(&head) && http_body::Body::is_end_stream(&body);
        let table = self.tables.borrow().clone();
        let route = table.find(head.uri.path(), socket || stream);
        let request = Request::from_parts(head, body);
        // Boxed is what is rare and large: every connection holds room for the rest.
        match route {
            Route::Forward if upgrades => Box::pin(self.tunnel(&table, request, peer, None)).await,
            Route::Forward => self.forward(&table, request, peer).await,
            Route::Session(endpoint, params) => {
                let opened = self
                    .sessions
                    .open(&table, (endpoint, params), request, peer);
                match Box::pin(opened).await {
                    Opened::Answered(response) => (response, Origin::Own),
                    Opened::Forward(request) => self.forward(&table, request, peer).await,
                    Opened::Relay(request, held) => {
                        Box::pin(self.tunnel(&table, request, peer, Some(held))).await
                    }
                }
            }
            Route::Webhook => (self.webhook(&table, request).await, Origin::Own),
            Route::Flags => (
                Box::pin(self.flags(&table, request, peer)).await,
                Origin::Own,
            ),
        }
    }

    async fn forward(
        &self,
        table: &Arc<RouteTable>,
        request: Request<Incoming>,
        peer: &Arc<Peer>,
    ) -> Answer {
        // Without rules there is nothing to look for.
        if !table.exchanges.is_empty()
            && let Some(case) = Case::begin(table, &request, peer)
        {
            return match Box::pin(self.exchanges.forward(case, request)).await {
                Ok(response) => (response, Origin::App),
                Err(fault) => no_answer(&fault, peer),
            };
        }
        match forward::forward(&table.app, request, peer, &table.trusted, None).await {
            Ok(response) => (response.map(Body::App), Origin::App),
            Err(fault) => no_answer(&fault, peer),
        }
    }

    async fn tunnel(
        &self,
        table: &RouteTable,
        request: Request<Incoming>,
        peer: &Arc<Peer>,
        held: Option<Box<Held>>,
    ) -> Answer {
        match forward::open(&table.app, request, peer, &table.trusted).await {
            Ok(Tunnelled::Refused(response)) => (response.map(Body::App), Origin::App),
            Ok(Tunnelled::Switched(response, tunnel)) => {
                let (metrics, peer) = (self.metrics.clone(), peer.clone());
                let home = self.sessions.home();
                self.sessions.spawn(async move {
                    let carried = Carried::begin(held, &metrics);
                    if let Err(error) = tunnel.run(home).await {
                        debug!(%error, address = %peer.address, "Tunnel broke");
                    }
                    drop(carried);
                });
                (response.map(|()| Body::EMPTY), Origin::App)
            }
            Err(fault) => no_answer(&fault, peer),
        }
    }
}

/// A tunnel in the count: a session's, or one on its own.
enum Carried {
    Session(#[expect(dead_code, reason = "held for its Drop")] Box<Held>),
    Alone(Arc<Metrics>),
}

impl Carried {
    fn begin(held: Option<Box<Held>>, metrics: &Arc<Metrics>) -> Self {
        if let Some(held) = held {
            return Self::Session(held);
        }
        metrics.tunnels.inc();
        Self::Alone(metrics.clone())
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Self::Alone(metrics) = self {
            metrics.tunnels.dec();
        }
    }
}

fn no_answer(fault: &Fault, peer: &Peer) -> Answer {
    let side = fault.side();
    match side {
        "client" => debug!(error = %fault, address = %peer.address, "Request broke off"),
        _ => warn!(error = %fault, address = %peer.address, "The app gave no response"),
    }
    let mut response = reply::text(fault.status(), fault.text());
    if fault.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    (response, Origin::Fault(side))
}

/// How long a whole body of ours may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_doing_of_who_made_it() {
        for (origin, status, fault) in [
            (Origin::App, 101, "none"),
            (Origin::App, 302, "none"),
            (Origin::App, 404, "client"),
            (Origin::App, 503, "app"),
            (Origin::Own, 200, "none"),
            (Origin::Own, 400, "client"),
            (Origin::Own, 503, "outrigger"),
            (Origin::Own, 502, "app"),
            (Origin::Fault("client"), 400, "client"),
            (Origin::Fault("outrigger"), 503, "outrigger"),
            (Origin::Fault("app"), 504, "app"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(origin.fault(status), fault, "{origin:?} {status}");
        }
    }
}
