//! Where a session begins: at the head of the feed, or where one of its key has died.

use std::{future::ready, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant};
use tracing::debug;

use super::{
    ANSWER, Adoptions, Families, Past, Stand, Standing, Turn,
    nodes::Arriving,
    orphans::{Doubt, Left},
};
use crate::{
    event::{Offset, Position, SessionName},
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

/// What is known of where a session begins.
#[derive(Debug)]
pub(super) enum Begins {
    There(Beginning),
    /// It hangs on what others say.
    Asked(Question),
    /// It hangs on what other nodes know.
    Among(Arriving),
}

/// Who asks, and whom it has asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) standing: Arc<Standing>,
    pub(super) asked: Vec<(Arc<Standing>, u64)>,
    pub(super) turn: Turn,
    pub(super) window: Duration,
}

/// In whose place a newcomer may begin.
enum Place {
    Orphan(usize, Doubt),
    Silent(Arc<Standing>),
}

impl Stand {
    /// Waits for those who were asked whether they are there, and then takes the place
    /// of one who is not. Where nobody was asked it is ready at once.
    pub(in crate::session) fn decide(&mut self) -> BoxFuture<'static, Beginning> {
        let question = match self.begins.take() {
            Some(Begins::Asked(question)) => question,
            Some(Begins::There(beginning)) => return Box::pin(ready(beginning)),
            Some(Begins::Among(arriving)) => return arriving.decide(&self.standing),
            None => return Box::pin(ready(Beginning::Head)),
        };
        let adoptions = self.adoptions().clone();
        let until = Instant::now() + ANSWER;
        Box::pin(async move {
            for (elder, knock) in &question.asked {
                elder.settled(*knock, until).await;
            }
            adoptions.pick(&mut adoptions.lock(), &question)
        })
    }
}

impl Place {
    /// Nobody else begins there. Says which orphan's place it was.
    fn use_up(self, families: &mut Families, question: &Question) -> Option<SessionName> {
        match self {
            Self::Orphan(index, _) => families.orphans.take(&question.standing.key, index),
            Self::Silent(elder) => {
                elder.take();
                None
            }
        }
    }
}

/// Each uses up one place: the highest, so that nobody who comes later begins too late,
/// of those that are sure to be places, if there are any.
fn last_sure(places: &mut Vec<(Position, Place)>) -> Option<Place> {
    let is_sure = |(_, place): &(_, Place)| !matches!(place, Place::Orphan(_, Doubt::Raised));
    let last = places.len().checked_sub(1)?;
    let at = places.iter().rposition(is_sure).unwrap_or(last);
    Some(places.remove(at).1)
}

impl Adoptions {
    /// Where a newcomer begins now that nobody is waited for any longer.
    pub(super) fn pick(&self, families: &mut Families, question: &Question) -> Beginning {
        self.sweep_in(families);
        let mut places = self.places(families, question);
        let first = places.first().map(|(at, place)| {
            let past = match place {
                Place::Orphan(index, _) => families.orphans.past(&question.standing.key, *index),
                Place::Silent(elder) => elder.past(question.standing.head),
            };
            (*at, past)
        });
        let used_up = last_sure(&mut places).and_then(|place| place.use_up(families, question));
        let passed = families.orphans.pass(&question.standing.key);
        let at = first.as_ref().map(|(at, _)| *at);
        let at = at.unwrap_or_else(|| self.position(question.standing.head));
        let taken = question.asked.iter().filter(|(elder, _)| elder.is_taken());
        let taken = taken.map(|(elder, _)| elder.name);
        let marks = self.feed.marks();
        let mark = || question.standing.mark(at, question.window);
        marks.put_for(
            question.standing.name,
            mark,
            used_up.into_iter().chain(passed).chain(taken),
        );
        question.turn.decide(first.is_some());
        self.gauge(families);
        let beginning = self.begin(question, first);
        if matches!(beginning, Beginning::Head) {
            // Whoever comes next need not wait until its session runs.
            question.standing.lock().decided = true;
        }
        beginning
    }

    /// Where it may begin, the lowest first.
    fn places(&self, families: &Families, question: &Question) -> Vec<(Position, Place)> {
        let orphans = families.orphans.of(&question.standing.key).iter();
        let orphans = orphans.enumerate().map(|(index, (_, orphan))| {
            let place = Place::Orphan(index, orphan.doubt);
            (orphan.at, place)
        });
        let has_passed = |place: &Place| matches!(place, Place::Orphan(_, Doubt::Passed));
        let (passed, orphans): (Vec<_>, Vec<_>) = orphans.partition(|(_, place)| has_passed(place));
        let mut places: Vec<_> = orphans.into_iter().chain(self.silent(question)).collect();
        // Who is not one of those who are here may be the one that was doubted.
        let mut asked = question.asked.iter();
        if places.is_empty() && asked.any(|(elder, knock)| elder.has_answered(*knock)) {
            places = passed;
        }
        // Of the same places those of the dead go first: a silent one may live.
        places.sort_by_key(|(at, place)| (at.offset, matches!(place, Place::Orphan(..))));
        places
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
            debug!(endpoint = %key.endpoint, %at, "What a client missed is not remembered: it begins with what comes");
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
        if let Some(nodes) = &self.nodes {
            return nodes.depart(standing, window);
        }
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
                doubt: Doubt::None,
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
