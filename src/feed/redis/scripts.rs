//! What is asked of Redis: each question is one script, so that nothing comes between its
//! parts, and all its keys are in one slot of a Cluster.

use std::{sync::Arc, time::Duration};

use ::redis::{Script, ScriptInvocation};

use super::{
    Shared,
    raw::{Given, Raw, place, settled},
};
use crate::{
    event::{EventId, Offset},
    redis::Failure,
};

/// What is to be appended in one step.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) ids: Vec<EventId>,
    pub(super) texts: Vec<String>,
    pub(super) cursors: Vec<(Arc<str>, Arc<str>)>,
}

/// What a node knows of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) epoch: u64,
    /// The newest place that is no longer there.
    pub(super) floor: Offset,
}

/// The scripts, and the keys they are for.
#[derive(Debug)]
pub(super) struct Scripts {
    shared: Arc<Shared>,
    stream: String,
    meta: String,
    append: Script,
    meet: Script,
    page: Script,
    trim: Script,
    lease: Script,
    release: Script,
}

impl Scripts {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let ids = |code: &str| Script::new(&format!("{}{code}", include_str!("ids.lua")));
        Self {
            stream: shared.key("stream"),
            meta: shared.key("meta"),
            shared,
            append: ids(include_str!("append.lua")),
            meet: ids(include_str!("meet.lua")),
            page: Script::new(include_str!("page.lua")),
            trim: ids(include_str!("trim.lua")),
            lease: Script::new(include_str!("lease.lua")),
            release: Script::new(include_str!("release.lua")),
        }
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Appends what is not there yet: where each event stands, and whether it is new.
    /// Nothing, if the stream is not the one that this node knows.
    pub(super) async fn append(
        &self,
        (epoch, seen): (u64, Offset),
        keep: Duration,
        group: &Group,
    ) -> Result<Vec<(Offset, bool)>, Failure> {
        let mut call = self.on_stream(&self.append);
        for id in &group.ids {
            call.key(self.shared.key(&format!("id:{id}")));
        }
        for (source, _) in &group.cursors {
            call.key(self.cursor_key(source));
        }
        call.arg(format!("{epoch:x}")).arg(seen.to_string());
        call.arg(milliseconds(keep)).arg(group.texts.len());
        for text in &group.texts {
            call.arg(text);
        }
        for (_, word) in &group.cursors {
            call.arg(&**word);
        }
        let places: Vec<String> = self.shared.redis.script(&call).await?;
        let places = places.iter().map(|text| match text.strip_prefix('!') {
            Some(id) => (place(id), false),
            None => (place(text), true),
        });
        Ok(places.collect())
    }

    /// Makes sure that the stream is what this node takes it for, or is made anew.
    pub(super) async fn meet(
        &self,
        known: Option<u64>,
        seen: Offset,
        new: u64,
    ) -> Result<Met, Failure> {
        let known = known.map(|epoch| format!("{epoch:x}")).unwrap_or_default();
        let mut call = self.on_stream(&self.meet);
        call.arg(known)
            .arg(seen.to_string())
            .arg(format!("{new:x}"));
        let (epoch, floor): (String, String) = self.shared.redis.script(&call).await?;
        Ok(Met {
            epoch: u64::from_str_radix(&epoch, 16).unwrap_or_default(),
            floor: place(&floor),
        })
    }

    /// The floor, and at most so many entries after a cursor and not after a last one.
    /// One more is read: it says what of the others is none.
    pub(super) async fn page(
        &self,
        cursor: Offset,
        last: Offset,
        limit: usize,
    ) -> Result<(Offset, Vec<Raw>), Failure> {
        let mut call = self.on_stream(&self.page);
        call.arg(cursor.next().to_string())
            .arg(last.to_string())
            .arg(limit + 1);
        let answer = self.shared.redis.script(&call).await?;
        let (floor, entries): (Option<String>, Vec<Given>) = answer;
        // Without one the stream is gone, and will be met anew.
        let floor = floor.map_or(last, |floor| place(&floor));
        Ok((
            floor,
            settled(entries.into_iter().map(Raw::from).collect(), limit),
        ))
    }

    /// The newest entries, or the newest before one, newest first. Which of them are none
    /// is for who knows what stands behind them.
    pub(super) async fn newest(
        &self,
        before: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Raw>, Failure> {
        let mut command = ::redis::cmd("XREVRANGE");
        let last = match before {
            None => "+".to_owned(),
            Some(Offset(ms, 0)) => ms.saturating_sub(1).to_string(),
            Some(Offset(ms, seq)) => Offset(ms, seq - 1).to_string(),
        };
        command.arg(&self.stream).arg(last).arg("-");
        command.arg("COUNT").arg(limit);
        let entries: Vec<Given> = self.shared.redis.command(&command).await?;
        Ok(entries.into_iter().map(Raw::from).collect())
    }

    /// Forgets the oldest: how many have gone.
    pub(super) async fn trim(
        &self,
        keep: Duration,
        most: usize,
        at_once: usize,
    ) -> Result<usize, Failure> {
        let mut call = self.on_stream(&self.trim);
        call.arg(milliseconds(keep)).arg(most).arg(at_once);
        self.shared.redis.script(&call).await
    }

    /// How far a source had come.
    pub(super) async fn cursor(&self, source: &str) -> Result<Option<String>, Failure> {
        let mut command = ::redis::cmd("GET");
        command.arg(self.cursor_key(source));
        self.shared.redis.command(&command).await
    }

    /// Takes or renews a lease: whether it is this node's.
    pub(super) async fn lease(
        &self,
        key: &str,
        node: &str,
        ttl: Duration,
    ) -> Result<bool, Failure> {
        let mut call = self.lease.key(key);
        call.arg(node).arg(milliseconds(ttl));
        self.shared.redis.script(&call).await
    }

    /// Gives a lease back.
    pub(super) async fn release(&self, key: &str, node: &str) -> Result<(), Failure> {
        let mut call = self.release.key(key);
        call.arg(node);
        self.shared.redis.script(&call).await
    }

    fn on_stream<'s>(&self, script: &'s Script) -> ScriptInvocation<'s> {
        let mut call = script.key(&self.stream);
        call.key(&self.meta);
        call
    }

    fn cursor_key(&self, source: &str) -> String {
        self.shared.key(&format!("cursor:{source}"))
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}
