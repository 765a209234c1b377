//! An event made at a moment of a session.

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Desk, Failed, Said};
use crate::{
    event::{Event, Except, Topic, UserId},
    frame::{Missing, Text},
    metrics::Taken,
    routes::{Exclude, Publish},
};

impl Desk {
    pub(super) async fn publish(&self, publish: &Publish, said: Said<'_>) -> Result<(), Failed> {
        let result = match self.event(publish, said) {
            Err(missing) => Err(Failed::Missing(missing)),
            Ok(event) => match self.sessions.feed.append(vec![event]).await {
                Ok(_) => Ok(()),
                Err(error) => Err(Failed::Unavailable(error.to_string())),
            },
        };
        let labels = Taken {
            source: "action",
            result: result.as_ref().err().map_or("accepted", Failed::metric),
        };
        self.sessions.metrics.events.get_or_create(&labels).inc();
        result
    }

    fn event(&self, publish: &Publish, said: Said<'_>) -> Result<Event, Missing> {
        let scope = self.scope(said);
        let fill = |texts: &[Text]| {
            texts
                .iter()
                .map(|text| text.render(&scope))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut except = Except::default();
        match publish.except {
            Exclude::Nobody => {}
            Exclude::Socket => except.sessions.extend(self.client.session),
            Exclude::User => except.users.extend(self.client.user.clone()),
        }
        let data = publish.data.render(&scope);
        let data = RawValue::from_string(data).map_err(|e| Missing(e.to_string()))?;
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
}

/// An id that no other event has: 128 random bits.
fn unique_id() -> String {
    format!("{:032x}", super::super::random())
}
