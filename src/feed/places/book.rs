//! The places of this node's sessions, and what of that Redis does not know yet.

use std::{collections::HashMap, mem::take};

use super::Place;
use crate::event::{Position, SessionName};

/// Changes that are kept while Redis is away.
const MOST: usize = 50_000;

/// What there is to write.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Of the sessions that are here.
    pub(super) places: HashMap<SessionName, Place>,
    pub(super) changes: HashMap<SessionName, Change>,
    /// Notes taken.
    pub(super) notes: u64,
}

/// What has become of a session.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) is: Is,
    /// It holds although somebody may stand in the session's place.
    pub(super) anew: bool,
    pub(super) place: Place,
    /// It stays where it was.
    pub(super) stays: bool,
}

/// Whether a session is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Here,
    Died,
    Gone,
}

impl Change {
    fn of(place: Place, is: Is) -> Self {
        Self {
            is,
            anew: false,
            place,
            stays: false,
        }
    }

    /// It is where it was.
    fn again(place: Place) -> Self {
        let stays = true;
        Self {
            stays,
            ..Self::of(place, Is::Here)
        }
    }
}

impl Book {
    /// A session is here, as Redis knows, or will.
    pub(super) fn know(&mut self, session: SessionName, place: Place) {
        self.places.insert(session, place);
    }

    /// Redis has it at this place.
    pub(super) fn know_at(&mut self, session: SessionName, at: Position) {
        if let Some(place) = self.places.get_mut(&session) {
            place.at = at;
        }
    }

    pub(super) fn put(&mut self, session: SessionName, place: Place) {
        self.places.insert(session, place.clone());
        let anew = true;
        let change = Change::of(place, Is::Here);
        self.note(session, Change { anew, ..change });
    }

    pub(super) fn prove(&mut self, session: SessionName, at: Position, claims: Vec<SessionName>) {
        if let Some(place) = self.places.get(&session).cloned() {
            self.put(
                session,
                Place {
                    at,
                    claims,
                    ..place
                },
            );
        }
    }

    pub(super) fn move_to(&mut self, session: SessionName, at: Position) {
        let place = self.places.get_mut(&session);
        if let Some(place) = place.filter(|place| place.at != at) {
            place.at = at;
            let place = place.clone();
            self.note(session, Change::of(place, Is::Here));
        }
    }

    pub(super) fn claim(&mut self, session: SessionName, claims: Vec<SessionName>) {
        if let Some(place) = self.places.get_mut(&session) {
            place.claims = claims;
            let place = place.clone();
            self.note(session, Change::again(place));
        }
    }

    /// Whether there is room for it.
    pub(super) fn end(&mut self, session: SessionName, at: Option<Position>) -> bool {
        let Some(mut place) = self.places.remove(&session) else {
            return true;
        };
        place.at = at.unwrap_or(place.at);
        let stays = at.is_none();
        let change = Change::of(place, Is::Died);
        self.note_last(session, Change { stays, ..change })
    }

    pub(super) fn end_all(&mut self) {
        let all: Vec<_> = self.places.keys().copied().collect();
        for session in all {
            self.end(session, None);
        }
    }

    /// Whether there is room for it.
    pub(super) fn remove(&mut self, session: SessionName) -> bool {
        let Some(place) = self.places.remove(&session) else {
            return true;
        };
        self.note_last(session, Change::of(place, Is::Gone))
    }

    /// Everything once more.
    pub(super) fn note_all(&mut self) {
        for (session, place) in self.places.clone() {
            self.note(session, Change::again(place));
        }
    }

    pub(super) fn take_changes(&mut self) -> (Vec<(SessionName, Change)>, u64) {
        (take(&mut self.changes).into_iter().collect(), self.notes)
    }

    /// What could not be written is, the next time, unless there is newer.
    pub(super) fn put_back(&mut self, changes: &[(SessionName, Change)]) {
        for (session, old) in changes {
            let change = self.changes.entry(*session);
            let change = change.or_insert_with(|| old.clone());
            change.follow(old);
        }
    }

    /// Of those who are here there are not more than there are sockets; others have gone
    /// since Redis is away.
    fn note_last(&mut self, session: SessionName, change: Change) -> bool {
        let has_room = self.changes.len() < MOST || self.changes.contains_key(&session);
        if has_room {
            self.note(session, change);
        }
        has_room
    }

    fn note(&mut self, session: SessionName, mut change: Change) {
        self.notes += 1;
        if let Some(old) = self.changes.get(&session) {
            change.follow(old);
        }
        self.changes.insert(session, change);
    }
}

impl Change {
    /// What was to be written before it, and was not.
    fn follow(&mut self, old: &Self) {
        self.anew |= old.anew;
        self.stays &= old.stays;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Offset;

    const SESSION: SessionName = SessionName(1);

    fn at(n: u64) -> Position {
        Position {
            epoch: 1,
            offset: Offset(0, n),
        }
    }

    fn place(n: u64) -> Place {
        Place {
            key: "key".into(),
            at: at(n),
            window: Duration::from_secs(60),
            claims: Vec::new(),
        }
    }

    fn only(book: &mut Book) -> Change {
        let (mut changes, _) = book.take_changes();
        assert_eq!(changes.len(), 1);
        changes.remove(0).1
    }

    #[test]
    fn what_moves_after_it_was_put_is_put_where_it_is() {
        let mut book = Book::default();
        book.put(SESSION, place(1));
        book.move_to(SESSION, at(2));
        let change = only(&mut book);
        assert_eq!((change.is, change.anew), (Is::Here, true));
        assert_eq!(change.place.at, at(2));
    }

    #[test]
    fn what_could_not_be_written_does_not_overtake_what_is_newer() {
        let mut book = Book::default();
        book.put(SESSION, place(1));
        let (failed, _) = book.take_changes();
        book.end(SESSION, Some(at(3)));
        book.put_back(&failed);
        let change = only(&mut book);
        assert_eq!((change.is, change.anew), (Is::Died, true));
        assert_eq!(change.place.at, at(3));
        assert!(book.places.is_empty());
    }

    #[test]
    fn who_dies_undecided_stays_where_redis_has_it() {
        let mut book = Book::default();
        book.know(SESSION, place(1));
        book.end(SESSION, None);
        let change = only(&mut book);
        assert_eq!(
            (change.is, change.anew, change.stays),
            (Is::Died, false, true)
        );
    }

    #[test]
    fn nothing_is_noted_where_nothing_has_changed() {
        let mut book = Book::default();
        book.know(SESSION, place(1));
        book.move_to(SESSION, at(1));
        book.move_to(SessionName(2), at(1));
        book.remove(SessionName(2));
        assert!(book.changes.is_empty());
    }
}
