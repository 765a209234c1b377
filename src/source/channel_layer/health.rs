//! How it is with the layer: counted, logged and kept for operators.

use tokio::time::Instant;
use tracing::{info, warn};

use super::{ChannelLayer, intake::SAY_AGAIN};
use crate::{
    metrics::Ended,
    redis::{Failure, Redis},
};

/// When the depth was last warned of.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Instant>);

impl ChannelLayer {
    /// How many messages lay in the queue, and whether that is too many.
    pub(super) fn depth(&self, depth: usize, alarm: &mut Alarm) {
        let capacity = usize::try_from(self.settings.capacity).unwrap_or(usize::MAX);
        let gauge = &self.metrics.channel_layer_depth;
        gauge.set(i64::try_from(depth).unwrap_or(i64::MAX));
        let mut state = self.state();
        state.deepest = state.deepest.max(depth);
        drop(state);
        if depth >= capacity {
            self.metrics.channel_layer_full.inc();
        }
        let near = depth.saturating_mul(5) >= capacity.saturating_mul(4);
        if near && alarm.0.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            alarm.0 = Some(Instant::now());
            warn!(
                depth,
                capacity,
                "Our queue in the channel layer was nearly full: beyond its capacity senders drop messages; raise `capacity` in the app's CHANNEL_LAYERS and here"
            );
        }
    }

    pub(super) fn connected(&self, host: &Redis) {
        self.count_connect("opened");
        self.state().connected += 1;
        info!(redis = %host.name(), "The channel layer is joined");
    }

    pub(super) fn disconnected(&self, host: &Redis, failure: &Failure, how: &'static str) {
        self.count_connect(how);
        if how == "lost" {
            self.state().connected -= 1;
        }
        self.note(failure.to_string());
        warn!(redis = %host.name(), error = %failure, "The channel layer is not heard; trying again after a pause");
    }

    /// A command failed that is tried again soon.
    pub(super) fn complain(&self, failure: &Failure) {
        self.note(failure.to_string());
        let mut state = self.state();
        if state
            .complained
            .is_none_or(|said| said.elapsed() >= SAY_AGAIN)
        {
            state.complained = Some(Instant::now());
            drop(state);
            warn!(error = %failure, "A command of the channel layer failed; trying again");
        }
    }

    fn count_connect(&self, result: &'static str) {
        let connects = &self.metrics.channel_layer_connects;
        connects.get_or_create(&Ended { result }).inc();
    }

    pub(super) fn count_joins(&self, result: &'static str, count: usize) {
        let joins = &self.metrics.channel_layer_joins;
        joins
            .get_or_create(&Ended { result })
            .inc_by(u64::try_from(count).unwrap_or_default());
    }

    pub(super) fn count_groups(&self, count: usize) {
        let groups = &self.metrics.channel_layer_groups;
        groups.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.state().groups = count;
    }
}
