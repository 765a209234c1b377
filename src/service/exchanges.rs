//! Exchanges with the app that rules make events of: watched while they pass, looked at
//! when they are over.
//!
//! The client's answer never waits for any of this. What is over stands in a bounded
//! queue; a task that lives as long as there is something in it finds out who asked,
//! asks `source::exchange` for the events, and puts them on the feed in the order in
//! which the exchanges ended. A client that goes away when the app already works for it
//! does not end that: the app's answer is read without it.

mod asking;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Duration, timeout},
};
use tracing::warn;

use self::{asking::Asking, queue::Queue};
use crate::{
    feed::Feed,
    forward::{Copied, Fault},
    metrics::{ByRule, Metrics, Shared, Taken},
    reply::{Body, Passed, Watched},
    routes::{Exchange, RouteTable},
    session::Sessions,
    source::exchange::{Finished, Payload, Skipped},
    upstream::{AppBody, Kept, NotKept},
    wire::Peer,
};

/// Answers that are read without their clients at the same time.
const MAX_LEFT: usize = 256;
/// How long the rest of such an answer may take.
const REST_TIMEOUT: Duration = Duration::from_secs(60);

/// What all watched exchanges share.
#[derive(Debug)]
pub(super) struct Exchanges {
    sessions: Arc<Sessions>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue>,
    left: Arc<Semaphore>,
}

/// One exchange that rules may be for.
pub(super) struct Case {
    rules: Vec<(Arc<Exchange>, Params)>,
    table: Arc<RouteTable>,
    peer: Arc<Peer>,
    /// The request's head, without its body and without what hyper keeps in it.
    head: Parts,
    copy: Copied,
}

type Params = Vec<(Arc<str>, Value)>;

impl Case {
    /// The exchange that begins with this request, if there is a rule for it.
    pub(super) fn begin<B>(
        table: &Arc<RouteTable>,
        request: &Request<B>,
        peer: &Arc<Peer>,
    ) -> Option<Self> {
        let (method, path) = (request.method(), request.uri().path());
        let rules = table.exchanges.iter();
        let rules: Vec<_> = rules
            .filter_map(|rule| Some((rule.clone(), rule.fits(method, path)?)))
            .collect();
        if rules.is_empty() {
            return None;
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method.clone_from(method);
        head.uri.clone_from(request.uri());
        head.headers.clone_from(request.headers());
        let limit = most(&rules, |rule| rule.needs.request);
        Some(Self {
            rules,
            table: table.clone(),
            peer: peer.clone(),
            head,
            copy: Arc::new(Mutex::new(Kept::new(limit))),
        })
    }

    /// Whether the app has all that the client says.
    fn is_asked(&self) -> bool {
        let copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.has_ended()
    }

    fn finished(&self, (answer, payload): (&Answer, Payload)) -> Finished {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = std::mem::replace(&mut *copy, Kept::new(0));
        Finished {
            status: answer.status,
            query: self.head.uri.query().map(str::to_owned),
            request: Payload::of(&self.head.headers).with(kept.take()),
            response: payload,
        }
    }
}

/// The largest body that one of the rules looks at.
fn most(rules: &[(Arc<Exchange>, Params)], looks: impl Fn(&Exchange) -> bool) -> usize {
    let looking = rules.iter().filter(|(rule, _)| looks(rule));
    looking.map(|(rule, _)| rule.max_body).max().unwrap_or(0)
}

/// The head of the app's answer, as far as it is needed.
struct Answer {
    status: http::StatusCode,
    payload: Payload,
}

impl Exchanges {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            feed,
            metrics,
            queue: Mutex::default(),
            left: Arc::new(Semaphore::new(MAX_LEFT)),
        })
    }

    /// Sends a request on, as `forward` does, and watches the exchange.
    pub(super) async fn forward(
        self: &Arc<Self>,
        case: Case,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Fault> {
        Asking::new(self.clone(), case, request).await
    }

    /// The app has answered: whoever drops the response ends the exchange.
    fn answered(self: &Arc<Self>, mut case: Case, response: Response<AppBody>) -> Response<Body> {
        let status = response.status();
        case.rules.retain(|(rule, _)| rule.is_for(status));
        if case.rules.is_empty() {
            return response.map(Body::App);
        }
        let kept = Kept::new(most(&case.rules, |rule| rule.needs.response));
        let payload = Payload::of(response.headers());
        let answer = Answer { status, payload };
        let this = self.clone();
        let then = move |passed| this.passed(case, answer, passed);
        response.map(|body| Body::Watched(Box::new(Watched::new(body, kept, then))))
    }

    fn passed(self: &Arc<Self>, case: Case, answer: Answer, passed: Passed) {
        let needs = case.rules.iter().any(|(rule, _)| rule.needs.response);
        match passed {
            Passed::Whole(kept) => self.over(case, answer, kept.take()),
            Passed::Left(body, kept) if needs && !kept.has_overflowed() => {
                self.read_rest(case, answer, (body, kept));
            }
            Passed::Left(_, kept) => self.over(case, answer, kept.take()),
            Passed::Broken => self.over(case, answer, Err(NotKept::Cut)),
        }
    }

    /// The client is gone, and the app has more to say.
    fn read_rest(self: &Arc<Self>, case: Case, answer: Answer, rest: (AppBody, Kept)) {
        let Ok(permit) = self.left.clone().try_acquire_owned() else {
            return self.skip_all(&case, &Skipped::ClientGone);
        };
        let this = self.clone();
        self.sessions.spawn(async move {
            let (body, mut kept) = rest;
            let whole = timeout(REST_TIMEOUT, read_on(body, &mut kept)).await;
            if whole == Ok(true) {
                kept.end();
            }
            drop(permit);
            this.over(case, answer, kept.take());
        });
    }

    /// Both sides have said all they say.
    fn over(self: &Arc<Self>, case: Case, mut answer: Answer, body: Result<bytes::Bytes, NotKept>) {
        let head = std::mem::replace(&mut answer.payload, Payload::of(&http::HeaderMap::new()));
        let finished = case.finished((&answer, head.with(body)));
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.push((case, finished)) {
            Ok(false) => {}
            Ok(true) => {
                drop(queue);
                let this = self.clone();
                let look = move || this.clone().look_at_all();
                self.sessions.spawn_to_the_end(look);
            }
            Err(case) => {
                drop(queue);
                self.skip_all(&case, &Skipped::QueueFull);
            }
        }
    }

    fn skip_all(&self, case: &Case, why: &Skipped) {
        for (rule, _) in &case.rules {
            self.skip(rule, why);
        }
    }

    fn skip(&self, rule: &Exchange, why: &Skipped) {
        warn!(source = "exchange", rule = %rule.name, reason = why.reason(), error = %why, "An exchange became no event");
        self.count(rule, why.reason(), "rejected");
    }

    fn count(&self, rule: &Exchange, result: &'static str, among_all: &'static str) {
        let labels = ByRule {
            rule: Shared(rule.name.clone()),
            result,
        };
        self.metrics.exchanges.get_or_create(&labels).inc();
        let labels = Taken {
            source: "exchange",
            result: among_all,
        };
        self.metrics.events.get_or_create(&labels).inc();
    }
}

/// Reads until there is nothing more, or more than is kept: whether it was all.
async fn read_on(mut body: AppBody, kept: &mut Kept) -> bool {
    loop {
        match body.frame().await {
            Some(Ok(frame)) => frame
                .data_ref()
                .into_iter()
                .for_each(|data| kept.pass(data)),
            Some(Err(_)) => return false,
            None => return true,
        }
        if kept.has_overflowed() {
            return false;
        }
    }
}
