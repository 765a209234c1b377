//! Where a session begins: at the head of the feed, or where one of its key has died.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant};

use super::{ANSWER, Adoptions, Past, Stand, Standing, Turn, orphans::Left};
use crate::{
    event::{Offset, Position},
    feed::Page,
};

/// Where a session begins.
#[derive(Debug)]
pub(in crate::session) enum Beginning {
    /// At the head of the feed as of its handshake.
    Head,
    /// Where one of its key has died.
    Adopted(Adopted),
    /// At the head: what its client has missed is no longer remembered.
    Lost,
}

/// What is taken over from one who has died.
#[derive(Debug)]
pub(in crate::session) struct Adopted {
    /// The client has everything up to here.
    pub(in crate::session) at: Offset,
    /// By whose rules what follows was for it.
    pub(in crate::session) past: Past,
}

/// Who asks, and whom it has asked.
struct Question {
    standing: Arc<Standing>,
    asked: Vec<(Arc<Standing>, u64)>,
    turn: Turn,
}

/// In whose place a newcomer may begin.
enum Place {
    Orphan(usize),
    Silent(Arc<Standing>),
}

impl Stand {
    /// Waits for those who were asked whether they are there, and then takes the place
    /// of one who is not. Nobody has to be waited for: then it is ready at once.
    pub(in crate::session) fn decide(&mut self) -> BoxFuture<'static, Beginning> {
        let adoptions = self.adoptions().clone();
        let question = Question {
            standing: self.standing.clone(),
            asked: std::mem::take(&mut self.asked),
            turn: self.turn.clone(),
        };
        let until = Instant::now() + ANSWER;
        Box::pin(async move {
            for (elder, knock) in &question.asked {
                elder.settled(*knock, until).await;
            }
            adoptions.pick(&question)
        })
    }
}

impl Adoptions {
    fn pick(&self, question: &Question) -> Beginning {
        let key = &question.standing.key;
        let mut families = self.lock();
        self.sweep_in(&mut families);
        let orphans = families.orphans.of(key).iter().enumerate();
        let orphans = orphans.map(|(index, (_, orphan))| (orphan.at, Place::Orphan(index)));
        let mut places: Vec<_> = orphans.chain(self.silent(question)).collect();
        // Of the same places those of the dead go first: a silent one may live.
        places.sort_by_key(|(at, place)| (at.offset, matches!(place, Place::Orphan(_))));
        let first = places.first().map(|(at, place)| {
            let past = match place {
                Place::Orphan(index) => {
                    let orphan = families.orphans.of(key).get(*index);
                    orphan
                        .map(|(_, left)| left.past.clone())
                        .unwrap_or_default()
                }
                Place::Silent(elder) => elder.past(question.standing.head),
            };
            (*at, past)
        });
        // Noted before the places of others are gone from the marks.
        if let Some((at, _)) = &first {
            self.feed.marks().move_to(question.standing.name, *at);
        }
        // Each uses up one: the highest, so that nobody who comes later begins too late.
        match places.pop() {
            Some((_, Place::Orphan(index))) => {
                let name = families.orphans.take(key, index);
                name.into_iter()
                    .for_each(|name| self.feed.marks().remove(name));
            }
            Some((_, Place::Silent(elder))) => elder.take(),
            None => {}
        }
        for (elder, _) in question.asked.iter().filter(|(elder, _)| elder.is_taken()) {
            self.feed.marks().remove(elder.name);
        }
        question.turn.decide(first.is_some());
        self.gauge(&families);
        drop(families);
        self.begin(question, first)
    }

    fn silent(&self, question: &Question) -> Vec<(Position, Place)> {
        let asked = question.asked.iter();
        asked
            .filter_map(|(elder, knock)| {
                let offset = elder.place_of_silent(*knock)?;
                Some((self.position(offset), Place::Silent(elder.clone())))
            })
            .collect()
    }

    fn begin(&self, question: &Question, first: Option<(Position, Past)>) -> Beginning {
        let (key, head) = (&question.standing.key, question.standing.head);
        let Some((at, past)) = first else {
            let mut asked = question.asked.iter();
            if asked.any(|(elder, knock)| elder.has_answered(*knock)) {
                self.count(key, "second_tab");
            }
            return Beginning::Head;
        };
        let known = self.feed.place(at).filter(|at| !self.has_forgotten(*at));
        let Some(at) = known else {
            self.count(key, "lost");
            return Beginning::Lost;
        };
        self.count(key, "adopted");
        let at = at.min(head);
        Beginning::Adopted(Adopted { at, past })
    }

    /// As far as memory can tell.
    fn has_forgotten(&self, at: Offset) -> bool {
        matches!(self.feed.recent(at, 1), Some(Page::Lost { .. }))
    }

    /// A session is here no more; it may leave an orphan.
    pub(super) fn depart(&self, standing: &Arc<Standing>, past: Past, window: Duration) {
        let key = &standing.key;
        // Under the lock: who comes finds either the session or its orphan.
        let mut families = self.lock();
        let place = standing.end(!window.is_zero());
        if let Some(live) = families.live.get_mut(key) {
            live.retain(|other| !Arc::ptr_eq(other, standing));
            if live.is_empty() {
                families.live.remove(key);
            }
        }
        let marks = self.feed.marks();
        if let Some(offset) = place {
            let orphan = Left {
                name: standing.name,
                at: self.position(offset),
                past,
            };
            let until = Instant::now() + window;
            if let Some((key, name)) = families.orphans.add(key, orphan, until) {
                marks.remove(name);
                self.count(&key, "dropped");
            }
        } else {
            marks.remove(standing.name);
        }
        self.gauge(&families);
    }
}
