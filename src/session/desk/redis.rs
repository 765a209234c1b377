//! Keys in Redis, and messages to the groups of the app's channel layer.

use serde_json::value::RawValue;

use super::{Desk, Failed, Said};
use crate::{
    frame::Text,
    redis::{self, Redis},
    routes::{GroupSend, SetKey},
    source::channel_layer::SendError,
};

impl Desk {
    pub(super) async fn set_key(&self, set: &SetKey, said: Said<'_>) -> Result<(), Failed> {
        let scope = self.scope(said);
        let (key, value) = (set.key.render(&scope)?, set.value.render(&scope)?);
        let command = redis::set(&key, value.as_bytes(), set.ttl);
        let done = self.keys()?.command::<()>(&command).await;
        done.map_err(|failure| Failed::Unavailable(failure.to_string()))
    }

    pub(super) async fn delete_key(&self, key: &Text, said: Said<'_>) -> Result<(), Failed> {
        let command = redis::delete(&key.render(&self.scope(said))?);
        let done = self.keys()?.command::<()>(&command).await;
        done.map_err(|failure| Failed::Unavailable(failure.to_string()))
    }

    pub(super) async fn group_send(&self, send: &GroupSend, said: Said<'_>) -> Result<(), Failed> {
        let scope = self.scope(said);
        let group = send.group.render(&scope)?;
        let message = RawValue::from_string(send.message.render(&scope));
        let message = message.map_err(|error| Failed::Unusable(error.to_string()))?;
        let Some(layer) = self.sessions.channel_layer() else {
            return Err(Failed::Unavailable("there is no channel layer".into()));
        };
        let sent = layer.group_send(&group, &message).await;
        sent.map_err(|error| match error {
            SendError::Redis(failure) => Failed::Unavailable(failure.to_string()),
            other => Failed::Unusable(other.to_string()),
        })
    }

    fn keys(&self) -> Result<&Redis, Failed> {
        let keys = self.table.keys.as_deref();
        keys.ok_or_else(|| Failed::Unavailable("there is no Redis for keys".into()))
    }
}
