//! What a session comes to hear, and ceases to, by what its client says.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::{super::permit, Desk, Done, Failed, Said};
use crate::{
    event::{Topic, is_name},
    frame::{Client, Scope, Text},
    hub::TooManyTopics,
    metrics::Because,
    routes::{Permit, Subscribe, Topics},
};

impl Desk {
    /// All of it, or nothing.
    pub(super) async fn subscribe(
        &self,
        subscribe: &Subscribe,
        said: Said<'_>,
        done: &mut Done,
    ) -> Result<(), Failed> {
        let result = self.join(subscribe, said, done).await;
        if let Err(failed) = &result {
            let refused = &self.sessions.metrics.memberships_refused;
            Because::count(refused, &self.endpoint.name, failed.metric());
            let reply = subscribe.on_failure.as_ref();
            done.reply = reply.and_then(|reply| self.reply(reply, said));
        }
        result
    }

    async fn join(
        &self,
        subscribe: &Subscribe,
        said: Said<'_>,
        done: &mut Done,
    ) -> Result<(), Failed> {
        let outbox = self.outbox.as_ref().ok_or_else(closed)?;
        let hub = &self.sessions.hub;
        // What the feed says about these topics from here on is newer than the answer.
        let question = hub.ask(outbox);
        let values = self.values(&subscribe.topics, said)?;
        let topics = self.topics(&subscribe.topics, &values, said)?;
        self.permitted(&subscribe.permit, &values, said).await?;
        // Nothing new is written before the reply that follows.
        done.hold = Some(outbox.hold());
        hub.grant(&question, topics.clone(), "client").await?;
        drop(question);
        hub.demand().joined(&topics).await;
        Ok(())
    }

    pub(super) async fn unsubscribe(&self, topics: &Topics, said: Said<'_>) -> Result<(), Failed> {
        let outbox = self.outbox.as_ref().ok_or_else(closed)?;
        let values = self.values(topics, said)?;
        let topics = self.topics(topics, &values, said)?;
        self.sessions.hub.withdraw(outbox, &topics, "client").await;
        Ok(())
    }

    /// What is filled in, one after the other; without a list that is nothing, once.
    fn values(&self, topics: &Topics, said: Said<'_>) -> Result<Vec<Option<Value>>, Failed> {
        let Some(each) = &topics.each else {
            return Ok(vec![None]);
        };
        let list = each.resolve(&self.scope(said));
        let list = list.and_then(|json| serde_json::from_str(&json).ok());
        let Some(Value::Array(list)) = list else {
            return Err(Failed::Unusable("`each` is not a list".into()));
        };
        let max = self.endpoint.limits.max_topics;
        if list.len() > max {
            return Err(TooManyTopics(max).into());
        }
        if !list.iter().all(|one| one.is_string() || one.is_number()) {
            let why = "`each` holds something that is no text or number";
            return Err(Failed::Unusable(why.into()));
        }
        Ok(list.into_iter().map(Some).collect())
    }

    fn topics(
        &self,
        topics: &Topics,
        values: &[Option<Value>],
        said: Said<'_>,
    ) -> Result<Vec<Topic>, Failed> {
        let (mut all, mut client) = (BTreeSet::new(), self.with_room());
        for value in values {
            put(&mut client, value.as_ref());
            let scope = self.scope_of(&client, said);
            for text in &topics.texts {
                all.insert(topic(text, &scope)?);
            }
        }
        Ok(all.into_iter().map(Topic::from).collect())
    }

    /// Whether the client may hear this, by each value.
    async fn permitted(
        &self,
        permit: &Permit,
        values: &[Option<Value>],
        said: Said<'_>,
    ) -> Result<(), Failed> {
        let (mut asked, mut client) = (HashSet::new(), self.with_room());
        for value in values {
            put(&mut client, value.as_ref());
            let scope = self.scope_of(&client, said);
            match permit {
                Permit::Anyone | Permit::Own(_) => return Ok(()),
                Permit::Claim { claim, value } => permit::claimed(&scope, claim, value)?,
                Permit::Ask { path, .. } => {
                    let path = path.render_path(&scope)?;
                    if !asked.contains(&path) {
                        self.permitted_by_app(&path).await?;
                        asked.insert(path);
                    }
                }
            }
        }
        Ok(())
    }

    async fn permitted_by_app(&self, path: &str) -> Result<(), Failed> {
        let Some(caller) = &self.caller else {
            return Err(Failed::Unanswered("there are no credentials".into()));
        };
        let _turn = self.turn().await?;
        // An answer that is older than the question may be older than a `leave`.
        let question = (path, Duration::ZERO);
        let answer = self.sessions.ask_app(&self.table, caller, question).await;
        answer.map(drop).map_err(Failed::from)
    }

    /// The client with room for a value of the list: one copy for all of them, for it
    /// may hold large answers of the app.
    fn with_room(&self) -> Client {
        let mut client = Client::clone(&self.client);
        client.params.push((Topics::EACH.into(), Value::Null));
        client
    }

    fn scope_of<'a>(&'a self, client: &'a Client, said: Said<'a>) -> Scope<'a> {
        Scope {
            client: Some(client),
            ..self.scope(said)
        }
    }
}

fn put(client: &mut Client, value: Option<&Value>) {
    if let (Some((_, room)), Some(value)) = (client.params.last_mut(), value) {
        *room = value.clone();
    }
}

fn topic(text: &Text, scope: &Scope<'_>) -> Result<String, Failed> {
    let topic = text.render(scope)?;
    match is_name(&topic) {
        true => Ok(topic),
        false => Err(Failed::Unusable(
            "a topic is a text of 1 to 255 bytes without control characters".into(),
        )),
    }
}

fn closed() -> Failed {
    Failed::Unavailable("the session is not open".into())
}

impl From<permit::Denied> for Failed {
    fn from(denied: permit::Denied) -> Self {
        match denied {
            permit::Denied::Unproven(why) | permit::Denied::NotPermitted(why) => {
                Self::NotPermitted(why)
            }
            permit::Denied::Unknown(why) => Self::Unanswered(why),
        }
    }
}
