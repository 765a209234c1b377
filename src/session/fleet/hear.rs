//! What the nodes have said: it is read from the feed, in its order.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{super::Sessions, Room};
use crate::{
    event::{Entry, Offset},
    feed::Page,
    metrics::OfKind,
    presence::fleet::Said,
};

/// Entries that are read at a time.
const PAGE: usize = 256;

/// How far the feed has been read.
pub(super) struct Read {
    pub(super) epoch: u64,
    pub(super) cursor: Offset,
}

impl Sessions {
    /// Takes in what stands in the feed.
    pub(super) fn read_facts(self: &Arc<Self>, room: &Room, read: &mut Read) {
        loop {
            let head = self.feed.head();
            let page = self.feed.recent(read.cursor, PAGE);
            let same = |entries: &[Arc<Entry>]| {
                let mut epochs = entries.iter().map(|entry| entry.position.epoch);
                head.epoch == read.epoch && epochs.all(|epoch| epoch == read.epoch)
            };
            let entries = match page {
                Some(Page::Entries { entries, .. }) if same(&entries) => Ok(entries),
                Some(Page::Lost { .. }) | None if head.epoch == read.epoch => {
                    Err("not_read_in_time")
                }
                Some(Page::Entries { .. } | Page::Lost { .. }) | None => Err("lost_history"),
            };
            match entries {
                Ok(entries) if entries.is_empty() => return,
                Ok(entries) => {
                    for entry in entries {
                        read.cursor = entry.position.offset;
                        if let Some(said) = Said::of(&entry.event) {
                            self.hear(room, read.cursor, said);
                        }
                    }
                }
                Err(why) => {
                    (read.epoch, read.cursor) = (head.epoch, head.offset);
                    let anew = room.lock().lost(why);
                    self.act(anew);
                    room.synced.send_replace(false);
                    return;
                }
            }
        }
    }

    fn hear(self: &Arc<Self>, room: &Room, at: Offset, said: serde_json::Result<Said>) {
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                self.count_fact("unreadable");
                warn!(%error, "What another node says cannot be read; is it another version?");
                return;
            }
        };
        self.count_fact(said.fact.word());
        let (effects, synced, nodes) = {
            let mut fleet = room.lock();
            let effects = fleet.apply(at, said, Instant::now());
            (effects, fleet.is_synced(), fleet.node_count())
        };
        self.metrics
            .nodes
            .set(i64::try_from(nodes).unwrap_or(i64::MAX));
        let knew = room
            .synced
            .send_if_modified(|knows| std::mem::replace(knows, synced) != synced);
        if knew && synced {
            info!(nodes, "Knows who is online on all nodes");
        }
        for effect in effects {
            self.act(effect);
        }
    }

    fn count_fact(&self, kind: &'static str) {
        self.metrics
            .node_facts
            .get_or_create(&OfKind { kind })
            .inc();
    }
}
