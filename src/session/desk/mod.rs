//! What is done for a session: the steps of a message, and of the moments at which
//! its client says nothing. Each list in order; the first failure ends it.

mod call;
mod publish;
mod redis;
mod subscribe;

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::{debug, info};

use super::{Sessions, caller::Caller};
use crate::{
    event::SessionId,
    frame::{Client, Missing, Scope},
    hub::{Hold, Outbox, TooManyTopics},
    metrics::{AtMoment, Because, Shared},
    routes::{Endpoint, Reply, RouteTable, Step},
};

/// Everything that steps are done with. It needs no open socket.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) sessions: Arc<Sessions>,
    pub(super) table: Arc<RouteTable>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) client: Arc<Client>,
    pub(super) session: SessionId,
    pub(super) caller: Option<Arc<Caller>>,
    /// Of a session that is open: what it hears can be changed.
    pub(super) outbox: Option<Arc<Outbox>>,
}

/// What the steps may speak of besides the client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    /// The client's message, if there is one.
    pub(super) message: Option<&'a Value>,
    /// What the app answered to an earlier call.
    pub(super) answer: Option<&'a Value>,
    /// What is wrong with the message.
    pub(super) problem: Option<&'a str>,
}

/// What a list of steps came to.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What the client is sent.
    pub(super) reply: Option<Utf8Bytes>,
    /// What the app answered to the call, if there was one; null if that is no JSON.
    pub(super) answer: Option<Value>,
    /// Why the list ended early.
    pub(super) failed: Option<Failed>,
    /// What it has come to hear comes after the reply.
    hold: Option<Hold>,
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failed {
    /// The app was asked and said no.
    #[error("the app answered {0}")]
    Refused(StatusCode),
    /// The app could not be asked, or gave no answer.
    #[error("the app gave no answer: {0}")]
    Unanswered(String),
    /// What is to be filled in is not there.
    #[error("{0}")]
    Missing(#[from] Missing),
    /// What was filled in is not what it has to be.
    #[error("{0}")]
    Unusable(String),
    /// The session may not hear this.
    #[error("{0}")]
    NotPermitted(String),
    /// The session would hear too much.
    #[error(transparent)]
    Full(#[from] TooManyTopics),
    /// Where it was to be put takes nothing at the moment.
    #[error("{0}")]
    Unavailable(String),
}

impl Failed {
    /// The word in the metrics.
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unanswered(_) => "failed",
            Self::Missing(_) => "missing_value",
            Self::Unusable(_) => "unusable_value",
            Self::NotPermitted(_) => "not_permitted",
            Self::Full(_) => "max_topics",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Desk {
    /// Does what a message asks for and gives the reply, if there is one.
    pub(super) async fn handle(self, text: Utf8Bytes) -> Option<Utf8Bytes> {
        let endpoint = &self.endpoint;
        let Ok(message) = serde_json::from_str::<Value>(&text) else {
            self.dropped("invalid_json");
            return self.reply(endpoint.invalid_json.as_ref()?, Said::default());
        };
        let Some(action) = endpoint.actions.iter().find(|action| action.fits(&message)) else {
            self.dropped("no_action");
            return None;
        };
        let mut said = Said {
            message: Some(&message),
            ..Said::default()
        };
        if let Some(problem) = action.problem(&message) {
            self.dropped("invalid");
            debug!(%problem, endpoint = %endpoint.name, "Message refused");
            said.problem = Some(&problem);
            return self.reply(action.on_invalid.as_ref()?, said);
        }
        if action.steps.is_empty() {
            self.dropped("ignored");
        }
        let done = self.perform(&action.steps, said).await;
        match &done.failed {
            // The calls have a counter of their own, and so has what is not to be heard.
            None
            | Some(
                Failed::Refused(_)
                | Failed::Unanswered(_)
                | Failed::NotPermitted(_)
                | Failed::Full(_),
            ) => {}
            Some(other) => self.dropped(other.metric()),
        }
        done.reply
    }

    /// Does the steps of a moment at which the client says nothing, and counts how
    /// that went.
    pub(super) async fn at(&self, moment: &'static str, steps: &[Step]) -> Done {
        let done = self.perform(steps, Said::default()).await;
        let result = done.failed.as_ref().map_or("ok", Failed::metric);
        self.count(moment, result);
        // What fails every so often for every client would fill the log.
        if let Some(why) = done.failed.as_ref().filter(|_| moment != "every") {
            info!(endpoint = %self.endpoint.name, session = %self.session, moment, %why, "Steps of a session not done");
        }
        done
    }

    /// Counts how the steps of a moment went.
    pub(super) fn count(&self, moment: &'static str, result: &'static str) {
        let labels = AtMoment {
            endpoint: Shared(self.endpoint.name.clone()),
            moment,
            result,
        };
        self.sessions.metrics.moments.get_or_create(&labels).inc();
    }

    /// Does the steps in their order, until one fails.
    pub(super) async fn perform(&self, steps: &[Step], said: Said<'_>) -> Done {
        let mut done = Done::default();
        for step in steps {
            if let Err(failed) = self.step(step, said, &mut done).await {
                debug!(endpoint = %self.endpoint.name, session = %self.session, reason = %failed, "Step not done");
                done.failed = Some(failed);
                break;
            }
        }
        done
    }

    async fn step(&self, step: &Step, said: Said<'_>, done: &mut Done) -> Result<(), Failed> {
        let answer = done.answer.take();
        let said = Said {
            answer: answer.as_ref().or(said.answer),
            ..said
        };
        let result = match step {
            Step::Call(call) => return self.call(call, said, done).await,
            Step::SetKey(set) => self.set_key(set, said).await,
            Step::DeleteKey(key) => self.delete_key(key, said).await,
            Step::GroupSend(send) => self.group_send(send, said).await,
            Step::Publish(publish) => self.publish(publish, said).await,
            Step::Subscribe(subscribe) => self.subscribe(subscribe, said, done).await,
            Step::Unsubscribe(topics) => self.unsubscribe(topics, said).await,
            Step::Reply(reply) => {
                done.reply = self.reply(reply, said);
                Ok(())
            }
        };
        done.answer = answer;
        result
    }

    fn reply(&self, reply: &Reply, said: Said<'_>) -> Option<Utf8Bytes> {
        Some(match reply {
            Reply::Json(template) => template.render(&self.scope(said)).into(),
            Reply::Text(text) => Utf8Bytes::from(&**text),
        })
    }

    /// The first frame of a session, where the endpoint has one.
    pub(super) fn welcome(&self) -> Option<Utf8Bytes> {
        self.reply(self.endpoint.welcome.as_ref()?, Said::default())
    }

    /// What a client is told that has missed what is not remembered, where the endpoint
    /// has words for it.
    pub(super) fn history_lost(&self) -> Option<Utf8Bytes> {
        self.reply(self.endpoint.history_lost.as_ref()?, Said::default())
    }

    fn scope<'a>(&'a self, said: Said<'a>) -> Scope<'a> {
        Scope {
            client: Some(&self.client),
            message: said.message,
            answer: said.answer,
            problem: said.problem,
            ..Scope::default()
        }
    }

    /// Counts a message that caused nothing.
    pub(super) fn dropped(&self, reason: &'static str) {
        let dropped = &self.sessions.metrics.messages_dropped;
        Because::count(dropped, &self.endpoint.name, reason);
    }
}
