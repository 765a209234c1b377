//! Ephemeral entries that a session will never be sent, because it was behind when they
//! came: the feed does not give them again.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::event::Offset;

/// How many a session remembers, for who asks later.
const REMEMBERED: usize = 64;

/// Where they stand.
#[derive(Debug, Default)]
pub struct Missed(SmallVec<[Offset; 1]>);

impl Missed {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Offset> for Missed {
    fn from(one: Offset) -> Self {
        Self(SmallVec::from_buf([one]))
    }
}

impl FromIterator<Offset> for Missed {
    fn from_iter<I: IntoIterator<Item = Offset>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Extend<Offset> for Missed {
    fn extend<I: IntoIterator<Item = Offset>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl IntoIterator for Missed {
    type Item = Offset;
    type IntoIter = smallvec::IntoIter<[Offset; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The last that one session has missed.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    last: VecDeque<Offset>,
    /// Nothing is known up to here.
    forgotten: Offset,
}

impl Remembered {
    pub(super) fn add(&mut self, missed: Missed) {
        for offset in missed {
            if self.last.len() == REMEMBERED {
                let oldest = self.last.pop_front();
                self.forgotten = self.forgotten.max(oldest.unwrap_or_default());
            }
            self.last.push_back(offset);
        }
    }

    /// Whether the entry at a place is among them; `None` if that is forgotten.
    pub(super) fn has(&self, place: Offset) -> Option<bool> {
        let known = self.last.contains(&place);
        (known || place > self.forgotten).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_of_the_rest_nothing_is_said() {
        let mut remembered = Remembered::default();
        for n in 1..=100 {
            remembered.add(Offset(0, 2 * n).into());
        }
        let has = |n| remembered.has(Offset(0, n));
        assert_eq!(
            (has(200), has(199), has(74)),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!((has(72), has(3)), (None, None));
    }
}
