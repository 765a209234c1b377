//! What a client's messages cause: one after the other, in order, at most so
//! many waiting, and never in the way of what is sent to it.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use http::{HeaderValue, header::CONTENT_TYPE};
use serde_json::Value;
use smallvec::SmallVec;
use tokio::time::{Duration, Instant, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::debug;

use super::{Sessions, caller::Caller};
use crate::{
    event::{Event, Except, Topic, UserId},
    feed::Appended,
    frame::{Missing, Scope, Text},
    hub::Subscriber,
    metrics::{Because, Taken},
    routes::{Call, Exclude, Publish, Reply, RouteTable, Step},
    upstream::CallRequest,
};

/// Messages of one session that may wait for their turn.
const MAX_WAITING: usize = 16;
/// How long a session's last messages may take once it has ended.
const FINISH: Duration = Duration::from_secs(5);
/// The largest answer of the app that is read after a call.
const MAX_ANSWER: usize = 64 * 1024;

/// The messages of one session that are not done with.
#[derive(Default)]
pub(super) struct Work {
    waiting: VecDeque<Utf8Bytes>,
    current: Option<Pin<Box<dyn Future<Output = Option<Utf8Bytes>> + Send>>>,
}

/// Everything a message is handled with.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) sessions: Arc<Sessions>,
    pub(super) table: Arc<RouteTable>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) caller: Option<Arc<Caller>>,
}

impl Work {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    pub(super) fn push(&mut self, message: Utf8Bytes) {
        self.waiting.push_back(message);
    }

    /// Whether a message waits and nothing is being done.
    pub(super) fn is_due(&self) -> bool {
        self.current.is_none() && !self.waiting.is_empty()
    }

    /// Begins with the next message.
    pub(super) fn start(&mut self, desk: Desk) {
        if let Some(message) = self.waiting.pop_front() {
            self.current = Some(Box::pin(desk.handle(message)));
        }
    }

    /// Waits until the message is done with and gives the reply to it, if there is
    /// one; for ever, if nothing is being done.
    pub(super) async fn done(&mut self) -> Option<Utf8Bytes> {
        let Some(current) = &mut self.current else {
            return std::future::pending().await;
        };
        let reply = current.await;
        self.current = None;
        reply
    }

    /// Does what is left without anybody to reply to, within a time: a client that said
    /// something and left is heard all the same.
    pub(super) async fn finish(mut self, desk: Desk) {
        let all = async {
            loop {
                if self.is_due() {
                    self.start(desk.clone());
                }
                if self.current.is_none() {
                    return;
                }
                self.done().await;
            }
        };
        if timeout(FINISH, all).await.is_err() {
            debug!("Messages were not done with in time after a session ended");
        }
    }
}

impl Desk {
    /// Does what a message asks for and gives the reply, if there is one.
    async fn handle(self, text: Utf8Bytes) -> Option<Utf8Bytes> {
        let endpoint = self.subscriber.endpoint.clone();
        let Ok(message) = serde_json::from_str::<Value>(&text) else {
            self.dropped("invalid_json");
            return self.render(endpoint.invalid_json.as_ref()?, &Value::Null);
        };
        let Some(action) = endpoint.actions.iter().find(|action| action.fits(&message)) else {
            self.dropped("no_action");
            return None;
        };
        match &action.step {
            Step::Reply(reply) => self.render(reply, &message),
            Step::Publish(publish) => {
                self.publish(publish, &message).await;
                None
            }
            Step::Call(call) => self.call(call, &message).await,
            Step::Ignore => {
                self.dropped("ignored");
                None
            }
        }
    }

    async fn publish(&self, publish: &Publish, message: &Value) {
        let result = match self.event(publish, message) {
            Err(missing) => {
                debug!(%missing, endpoint = %self.subscriber.endpoint.name, "Message not published");
                "missing_value"
            }
            Ok(event) => match self.sessions.feed.append(vec![event]).await.as_deref() {
                Ok([Appended::Duplicate(_)]) => "duplicate",
                Ok(_) => "accepted",
                Err(_) => "unavailable",
            },
        };
        if result != "accepted" {
            self.dropped(result);
        }
        self.sessions
            .metrics
            .events
            .get_or_create(&Taken {
                source: "action",
                result,
            })
            .inc();
    }

    fn event(&self, publish: &Publish, message: &Value) -> Result<Event, Missing> {
        let scope = self.scope(message);
        let fill = |texts: &[Text]| {
            texts
                .iter()
                .map(|text| text.render(&scope))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut except = Except::default();
        match publish.except {
            Exclude::Nobody => {}
            Exclude::Socket => except.sessions.push(self.subscriber.session),
            Exclude::User => except.users.extend(self.subscriber.client.user.clone()),
        }
        let data = publish.data.render(&scope);
        let data =
            serde_json::value::RawValue::from_string(data).map_err(|e| Missing(e.to_string()))?;
        Ok(Event {
            id: unique_id().into(),
            kind: publish.kind.clone(),
            topics: fill(&publish.topics)?
                .into_iter()
                .map(Topic::from)
                .collect(),
            users: fill(&publish.users)?
                .into_iter()
                .map(UserId::from)
                .collect::<SmallVec<_>>(),
            except,
            data,
            ephemeral: publish.ephemeral,
        })
    }

    async fn call(&self, call: &Call, message: &Value) -> Option<Utf8Bytes> {
        let result = match self.request(call, message) {
            Ok(request) => self
                .table
                .app
                .call(request)
                .await
                .map_err(|error| error.to_string()),
            Err(missing) => Err(missing.to_string()),
        };
        let endpoint = &self.subscriber.endpoint;
        let (count, why) = match &result {
            Ok(response) if response.status.is_success() => ("ok", String::new()),
            Ok(response) => ("refused", format!("the app answered {}", response.status)),
            Err(error) => ("failed", error.clone()),
        };
        Because::count(&self.sessions.metrics.calls, &endpoint.name, count);
        if count == "ok" {
            return self.render(call.reply.as_ref()?, message);
        }
        debug!(endpoint = %endpoint.name, reason = %why, "Call for a client failed");
        self.render(call.on_failure.as_ref()?, message)
    }

    fn request(&self, call: &Call, message: &Value) -> Result<CallRequest, Missing> {
        let scope = self.scope(message);
        let mut headers = self
            .caller
            .as_ref()
            .map(|caller| caller.headers())
            .unwrap_or_default();
        for (name, value) in &call.headers {
            let value = value.render(&scope)?;
            let value = HeaderValue::try_from(value).map_err(|_| Missing(name.to_string()))?;
            headers.insert(name.clone(), value);
        }
        let body = call.body.as_ref().map(|body| body.render(&scope));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(CallRequest {
            method: call.method.clone(),
            path: call.path.render_path(&scope)?,
            headers,
            body: body.unwrap_or_default().into(),
            timeout: call.timeout,
            max_body: MAX_ANSWER,
        })
    }

    fn render(&self, reply: &Reply, message: &Value) -> Option<Utf8Bytes> {
        Some(match reply {
            Reply::Json(template) => template.render(&self.scope(message)).into(),
            Reply::Text(text) => Utf8Bytes::from(&**text),
        })
    }

    /// The first frame of a session, where the endpoint has one.
    pub(super) fn welcome(&self) -> Option<Utf8Bytes> {
        self.render(self.subscriber.endpoint.welcome.as_ref()?, &Value::Null)
    }

    fn scope<'a>(&'a self, message: &'a Value) -> Scope<'a> {
        Scope {
            client: Some(&self.subscriber.client),
            message: Some(message),
            ..Scope::default()
        }
    }

    pub(super) fn dropped(&self, reason: &'static str) {
        let sessions = &self.sessions;
        Because::count(
            &sessions.metrics.messages_dropped,
            &self.subscriber.endpoint.name,
            reason,
        );
    }
}

/// An id that no other event has: 128 random bits.
fn unique_id() -> String {
    format!("{:032x}", super::random())
}

/// So many messages a second, with bursts of as many.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            left: f64::from(rate),
            filled: Instant::now(),
        }
    }

    /// Whether one more may pass.
    pub(super) fn take(&mut self, rate: u32) -> bool {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * f64::from(rate);
        self.left = (self.left + gained).min(f64::from(rate));
        self.filled = now;
        let passes = self.left >= 1.0;
        if passes {
            self.left -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_lets_bursts_and_then_the_rate_through() {
        let mut bucket = Bucket::new(5);
        let passed = |bucket: &mut Bucket| (0..20).filter(|_| bucket.take(5)).count();
        assert_eq!(passed(&mut bucket), 5);
        tokio::time::advance(Duration::from_millis(410)).await;
        assert_eq!(passed(&mut bucket), 2);
    }
}
