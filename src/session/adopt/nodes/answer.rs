//! What a node says when one asks whether clients of its sessions are there.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use super::{
    super::{ANSWER, Standing},
    Nodes,
};
use crate::{
    event::SessionName,
    feed::places::{Answer, Ask, Silent},
};

impl Nodes {
    /// A node, this or another, asks whether clients of sessions of this one are there.
    pub(super) fn answer(self: &Arc<Self>, ask: Ask) -> BoxFuture<'static, Answer> {
        let all_offered = self.hub.handed_out() >= ask.head();
        let comer = SessionName::read(&ask.newcomer).unwrap_or_default();
        let asked = ask.of.iter();
        let asked = asked.map(|name| self.knock(name, comer, all_offered));
        let asked: Vec<_> = asked.collect();
        let nodes = self.clone();
        async move { nodes.hear_out(ask, asked).await }.boxed()
    }

    /// Whoever has everything that was ever for it need not be waited for.
    fn knock(&self, name: &str, comer: SessionName, all_offered: bool) -> Asked {
        let standing = SessionName::read(name).and_then(|name| self.lock().get(&name).cloned());
        let Some(standing) = standing else {
            return Asked::Gone;
        };
        let is_settled = all_offered && standing.is_settled();
        let knock = standing.knock_by(comer);
        if !is_settled {
            return Asked::Awaited(standing, knock);
        }
        self.places.claim(standing.name, standing.callers());
        Asked::Settled
    }

    async fn hear_out(&self, ask: Ask, asked: Vec<Asked>) -> Answer {
        let until = Instant::now() + ANSWER;
        for one in &asked {
            if let Asked::Awaited(standing, knock) = one {
                standing.settled(*knock, until).await;
            }
        }
        // Who takes a place finds it where it is.
        self.places.saved().await;
        let silent = ask.of.iter().zip(&asked);
        let silent = silent.filter_map(|(name, one)| {
            let claims = one.silent()?;
            let session = name.clone();
            Some(Silent { session, claims })
        });
        Answer {
            node: self.places.node().clone(),
            newcomer: ask.newcomer,
            silent: silent.collect(),
            answered: asked.iter().any(Asked::has_answered),
            unanswered: Vec::new(),
        }
    }
}

/// What is known of a session that somebody asked for.
enum Asked {
    /// It is not here.
    Gone,
    /// Nothing is for its client that it has not.
    Settled,
    /// Its client has to answer this.
    Awaited(Arc<Standing>, u64),
}

impl Asked {
    /// Who came to it long ago, if its client is not there.
    fn silent(&self) -> Option<Option<Vec<String>>> {
        match self {
            Self::Gone => Some(None),
            Self::Settled => None,
            Self::Awaited(standing, knock) => standing.is_silent(*knock).then(|| {
                let callers = standing.callers_of_before(ANSWER);
                Some(callers.iter().map(SessionName::to_string).collect())
            }),
        }
    }

    fn has_answered(&self) -> bool {
        matches!(self, Self::Awaited(standing, knock) if standing.has_answered(*knock))
    }
}
