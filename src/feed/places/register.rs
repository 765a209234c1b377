//! The places in Redis. Each question is one script, so that nothing comes between its
//! parts, and all its keys are in one slot of a Cluster.

use std::{sync::Arc, time::Duration};

use ::redis::{Script, ScriptInvocation};
use tokio::time::timeout;

use super::{
    LONGEST, PATIENCE, Place,
    book::{Change, Is},
    words::Silent,
};
use crate::{
    event::{Position, SessionName},
    feed::Shared,
    redis::Failure,
};

/// A node that has said nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Places of a key that are kept.
const MOST: usize = 64;
/// So long somebody who comes waits for Redis.
const ANSWER: Duration = Duration::from_secs(3);

/// Somebody who comes.
#[derive(Clone, Debug)]
pub struct Comer {
    /// Its name.
    pub name: SessionName,
    /// Where the places of its key are.
    pub key: Arc<str>,
    /// The head of the feed when it subscribed.
    pub head: Position,
    /// For so long it may come back.
    pub window: Duration,
}

impl Comer {
    pub(super) fn place(&self) -> Place {
        Place {
            key: self.key.clone(),
            at: self.head,
            window: self.window,
            claims: Vec::new(),
        }
    }
}

/// What Redis says to somebody who comes.
#[derive(Clone, Debug, Default)]
pub struct Stands {
    /// It is known where it begins.
    pub decided: bool,
    /// It begins here, in somebody's place; nothing, if it is at the head.
    pub at: Option<Position>,
    /// Somebody else stands in its own place.
    pub is_taken: bool,
    /// Places that were too old.
    pub expired: u64,
    /// Places that were too many.
    pub dropped: u64,
    /// Who seems to be here, and on which node.
    pub here: Vec<(SessionName, Arc<str>)>,
}

/// The scripts.
#[derive(Debug)]
pub(super) struct Register {
    shared: Arc<Shared>,
    node: Arc<str>,
    nodes: String,
    stand: Script,
    note: Script,
}

type Stood = (u8, String, u8, u64, u64, Vec<String>);

impl Register {
    pub(super) fn new(shared: Arc<Shared>, node: Arc<str>) -> Self {
        let script = |code: &str| Script::new(&format!("{}{code}", include_str!("common.lua")));
        Self {
            nodes: shared.key("nodes"),
            shared,
            node,
            stand: script(include_str!("stand.lua")),
            note: script(include_str!("note.lua")),
        }
    }

    pub(super) fn key(&self, of: &str) -> String {
        self.shared.key(&format!("places:{of}"))
    }

    /// Somebody comes; later, when those who are here were asked, with those of them who
    /// are silent.
    pub(super) async fn stand(
        &self,
        comer: &Comer,
        silent: Option<&[Silent]>,
    ) -> Result<Stands, Failure> {
        let mut call = self.stand.key(&*comer.key);
        call.key(&self.nodes);
        call.arg(comer.name.to_string()).arg(&*self.node);
        call.arg(comer.head.to_string());
        call.arg(milliseconds(comer.window));
        call.arg(milliseconds(SILENCE)).arg(MOST);
        call.arg(u8::from(silent.is_none()));
        for one in silent.unwrap_or_default() {
            let claims = one.claims.as_ref().map(|claims| joined(claims));
            call.arg(&one.session);
            call.arg(claims.unwrap_or_else(|| "*".to_owned()));
        }
        let asked = self.shared.redis.script::<Stood>(&call);
        let too_slow = |_| self.shared.redis.too_slow(ANSWER);
        Ok(stands(timeout(ANSWER, asked).await.map_err(too_slow)??))
    }

    /// Notes what has changed, and that this node is alive. Says in whose place somebody
    /// else stands.
    pub(super) async fn note(
        &self,
        changes: &[(SessionName, Change)],
    ) -> Result<Vec<SessionName>, Failure> {
        let mut call = self.note.key(&self.nodes);
        for (_, change) in changes {
            call.key(&*change.place.key);
        }
        call.arg(&*self.node);
        changes.iter().for_each(|change| tell(&mut call, change));
        let asked = self.shared.redis.script::<Vec<String>>(&call);
        let too_slow = |_| self.shared.redis.too_slow(PATIENCE);
        let taken = timeout(PATIENCE, asked).await.map_err(too_slow)??;
        let taken = taken.iter().filter_map(|name| SessionName::read(name));
        Ok(taken.collect())
    }
}

impl Is {
    fn word(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Died => "died",
            Self::Gone => "gone",
        }
    }
}

fn stands((decided, at, is_taken, expired, dropped, here): Stood) -> Stands {
    let here = here.chunks_exact(2).filter_map(|one| {
        let name = SessionName::read(&one[0])?;
        Some((name, one[1].as_str().into()))
    });
    Stands {
        decided: decided == 1,
        at: at.parse().ok(),
        is_taken: is_taken == 1,
        expired,
        dropped,
        here: here.collect(),
    }
}

fn tell(call: &mut ScriptInvocation<'_>, (session, change): &(SessionName, Change)) {
    let Place {
        at, window, claims, ..
    } = &change.place;
    let at = (!change.stays).then(|| at.to_string());
    let claims: Vec<_> = claims.iter().map(SessionName::to_string).collect();
    call.arg(session.to_string()).arg(change.is.word());
    call.arg(u8::from(change.anew));
    call.arg(at.unwrap_or_else(|| "-".to_owned()));
    call.arg(milliseconds(*window)).arg(joined(&claims));
}

fn joined(names: &[String]) -> String {
    match names.is_empty() {
        true => "-".to_owned(),
        false => names.join(","),
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.min(LONGEST).as_millis()).unwrap_or(u64::MAX)
}
