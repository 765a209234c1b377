//! Tasks that go on as long as their part of the file stays the same: keys that are
//! fetched, the app's event stream, the channel layer.

use std::sync::Arc;

use super::Rooms;
use crate::{
    jwks::{self, Jwks},
    source::{
        channel_layer::{self, ChannelLayer},
        sse::{self, Stream},
    },
    upstream::Upstream,
};

/// A task that lives as long as the settings it was started with.
#[derive(Debug)]
pub(super) struct Running<S, H> {
    settings: S,
    pub(super) handle: H,
    _stop: tokio_util::sync::DropGuard,
}

impl Rooms {
    pub(super) fn jwks(
        &self,
        wanted: Option<&jwks::Settings>,
        running: &mut Option<Running<jwks::Settings, Arc<Jwks>>>,
    ) -> Option<Arc<Jwks>> {
        let same = |running: &&Running<jwks::Settings, _>| {
            wanted.is_some_and(|wanted| wanted.same_place(&running.settings))
        };
        if let Some(running) = running.as_ref().filter(same) {
            return Some(running.handle.clone());
        }
        let old = running.take().map(|running| running.settings);
        *running = wanted.map(|wanted| {
            let mut wanted = wanted.clone();
            // The keys of this very document stay, at whatever pace it is fetched.
            if let Some(old) = old.filter(|old| old.same_document(&wanted)) {
                wanted.keys = old.keys;
            }
            let upstream = Upstream::new(wanted.upstream(), self.metrics.clone());
            let handle = Jwks::new(wanted.clone(), upstream, self.metrics.clone());
            let stop = self.stop.child_token();
            let (task, token) = (handle.clone(), stop.clone());
            self.tracker.spawn(async move { task.run(token).await });
            Running {
                settings: wanted,
                handle,
                _stop: stop.drop_guard(),
            }
        });
        running.as_ref().map(|running| running.handle.clone())
    }

    pub(super) fn follow_stream(
        &self,
        wanted: Option<&sse::Settings>,
        running: &mut Option<Running<sse::Settings, Arc<sse::Stream>>>,
    ) {
        if running.as_ref().map(|running| &running.settings) == wanted {
            return;
        }
        // The old reader ends before the new one begins where it was.
        let old = running
            .take()
            .map(|running| (running.settings, running.handle));
        *running = wanted.map(|wanted| {
            let same = |(settings, _): &(sse::Settings, _)| wanted.same_stream(settings);
            let stream = old.filter(same).map(|(_, stream)| stream);
            let stream = stream.unwrap_or_else(|| Stream::new(wanted, self.metrics.clone()));
            let upstream = Upstream::new(wanted.upstream(), self.metrics.clone());
            let source =
                sse::Source::new(wanted.clone(), stream.clone(), upstream, self.feed.clone());
            let stop = self.hush.child_token();
            self.readers.spawn(source.run(stop.clone()));
            Running {
                settings: wanted.clone(),
                handle: stream,
                _stop: stop.drop_guard(),
            }
        });
    }

    /// A new reader joins before the old one leaves: what both hear, the feed takes once.
    pub(super) fn follow_layer(
        &self,
        wanted: Option<&channel_layer::Settings>,
        running: &mut Option<Running<channel_layer::Settings, Arc<ChannelLayer>>>,
    ) {
        if running.as_ref().map(|running| &running.settings) == wanted {
            return;
        }
        let previous = running.take().map(|running| channel_layer::Previous {
            layer: running.handle,
            stop: running._stop,
        });
        *running = wanted.map(|wanted| {
            let handle = ChannelLayer::new(
                wanted.clone(),
                (self.feed.clone(), self.demand.clone()),
                self.metrics.clone(),
            );
            let stop = self.hush.child_token();
            let task = handle.clone();
            let task = task.run(stop.clone(), self.readers.clone(), previous);
            self.readers.spawn(task);
            Running {
                settings: wanted.clone(),
                handle,
                _stop: stop.drop_guard(),
            }
        });
    }
}
