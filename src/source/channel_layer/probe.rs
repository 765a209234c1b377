//! A look at the start: does Redis answer, and is anybody there who speaks as we do?

use ::redis::cmd;
use tracing::{info, warn};

use super::{ChannelLayer, Layer};
use crate::redis::{Failure, Redis};

/// Steps of a scan: an answer, not a search of all keys.
const STEPS: usize = 20;

impl ChannelLayer {
    /// Says in the log what there is on each host.
    pub(super) async fn probe(&self) {
        for host in &self.hosts {
            match self.look_around(host).await {
                Ok(true) => {
                    info!(redis = %host.name(), prefix = self.settings.prefix, "The channel layer's Redis answers, and groups of the app are there");
                }
                Ok(false) => {
                    info!(redis = %host.name(), prefix = self.settings.prefix, "The channel layer's Redis answers; no group of the app is there yet, which is right if none of its consumers is connected; else compare `redis` and `prefix`");
                }
                Err(failure) => {
                    warn!(redis = %host.name(), error = %failure, "The channel layer's Redis does not answer");
                }
            }
        }
    }

    async fn look_around(&self, host: &Redis) -> Result<bool, Failure> {
        let prefix = &self.settings.prefix;
        if self.settings.layer == Layer::PubSub {
            let mut channels = cmd("PUBSUB");
            channels.arg("CHANNELS").arg(format!("{prefix}__group__*"));
            let channels: Vec<Vec<u8>> = host.command(&channels).await?;
            return Ok(!channels.is_empty());
        }
        let mut cursor = 0_u64;
        for _ in 0..STEPS {
            let mut scan = cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(format!("{prefix}:group:*"));
            scan.arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = host.command(&scan).await?;
            if !keys.is_empty() || next == 0 {
                return Ok(!keys.is_empty());
            }
            cursor = next;
        }
        Ok(false)
    }
}
