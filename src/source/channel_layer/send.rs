//! `group_send`, command by command as the app's own processes do it.

use std::time::{SystemTime, UNIX_EPOCH};

use ::redis::{cmd, pipe};
use serde_json::value::RawValue;
use tracing::info;

use super::{ChannelLayer, Layer, SendError, Settings, names};
use crate::metrics::Ended;

/// The script of `channels_redis`, word for word: what it does is what the app's
/// queues are used to.
const DELIVER: &str = "
local over_capacity = 0
local current_time = ARGV[#ARGV - 1]
local expiry = ARGV[#ARGV]
for i=1,#KEYS do
    if redis.call('ZCOUNT', KEYS[i], '-inf', '+inf') < tonumber(ARGV[i + #KEYS]) then
        redis.call('ZADD', KEYS[i], current_time, ARGV[i])
        redis.call('EXPIRE', KEYS[i], expiry)
    else
        over_capacity = over_capacity + 1
    end
end
return over_capacity
";

/// A queue with the channels of a group that lie in it.
type Queue = (String, Vec<String>);

impl ChannelLayer {
    /// What the app's `group_send(group, message)` does: all members of the group hear
    /// the message, a JSON object with a `type`.
    ///
    /// # Errors
    /// It was not sent, or not to all hosts.
    pub async fn group_send(&self, group: &str, message: &RawValue) -> Result<(), SendError> {
        let sent = match names::is_group(group) {
            false => Err(SendError::NotAGroup(group.chars().take(100).collect())),
            true if self.settings.layer == Layer::PubSub => self.publish(group, message).await,
            true => self.deliver(group, message).await,
        };
        self.count_send(if sent.is_ok() { "sent" } else { "failed" }, 1);
        sent
    }

    async fn publish(&self, group: &str, message: &RawValue) -> Result<(), SendError> {
        let bytes = self.codec.write(message, None, SystemTime::now())?;
        let channel = names::group_channel(&self.settings.prefix, group);
        let mut command = cmd("PUBLISH");
        command.arg(&channel).arg(bytes);
        self.host(&channel).command::<i64>(&command).await?;
        Ok(())
    }

    async fn deliver(&self, group: &str, message: &RawValue) -> Result<(), SendError> {
        let members = self.members(group).await?;
        let mut queues: Vec<Queue> = Vec::new();
        for channel in members {
            let queue = names::queue(&channel);
            match queues.iter_mut().find(|(other, _)| other == queue) {
                Some((_, channels)) => channels.push(channel),
                None => queues.push((queue.to_owned(), vec![channel])),
            }
        }
        for host in 0..self.hosts.len() {
            let here = |(queue, _): &&Queue| names::host(queue, self.hosts.len()) == host;
            let here: Vec<_> = queues.iter().filter(here).collect();
            if !here.is_empty() {
                self.deliver_at(host, &here, message).await?;
            }
        }
        Ok(())
    }

    /// The channels that are in a group, and not since too long ago.
    async fn members(&self, group: &str) -> Result<Vec<String>, SendError> {
        let key = names::group_key(&self.settings.prefix, group);
        let mut pipeline = pipe();
        let expired = now().floor() - self.settings.group_expiry.as_secs_f64();
        pipeline
            .cmd("ZREMRANGEBYSCORE")
            .arg(&key)
            .arg(0)
            .arg(expired)
            .ignore();
        pipeline.cmd("ZRANGE").arg(&key).arg(0).arg(-1);
        let (members,): (Vec<String>,) = self.host(group).pipeline(&pipeline).await?;
        Ok(members)
    }

    async fn deliver_at(
        &self,
        host: usize,
        queues: &[&Queue],
        message: &RawValue,
    ) -> Result<(), SendError> {
        let Settings {
            prefix,
            expiry,
            capacity,
            ..
        } = &self.settings;
        let mut pipeline = pipe();
        let expired = now().floor() - expiry.as_secs_f64();
        let keys = queues.iter().map(|(queue, _)| format!("{prefix}{queue}"));
        let keys: Vec<_> = keys.collect();
        for key in &keys {
            let remove = pipeline.cmd("ZREMRANGEBYSCORE").arg(key);
            remove.arg(0).arg(expired).ignore();
        }
        pipeline.cmd("EVAL").arg(DELIVER).arg(keys.len()).arg(keys);
        for (_, channels) in queues {
            let written = self.codec.write(message, Some(channels), SystemTime::now());
            pipeline.arg(written?);
        }
        for _ in queues {
            pipeline.arg(*capacity);
        }
        pipeline.arg(now()).arg(expiry.as_secs());
        let Some(server) = self.hosts.get(host) else {
            return Ok(());
        };
        let (over,): (u64,) = server.pipeline(&pipeline).await?;
        if over > 0 {
            self.count_send("over_capacity", over);
            info!(
                over,
                of = queues.len(),
                "Queues of a group were over capacity"
            );
        }
        Ok(())
    }

    fn count_send(&self, result: &'static str, count: u64) {
        let sends = &self.metrics.channel_layer_sends;
        sends.get_or_create(&Ended { result }).inc_by(count);
    }
}

/// Seconds since 1970, as Python's `time.time()`.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
