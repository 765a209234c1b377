//! Entries as they lie in the stream, and which of them are none.
//!
//! A Redis that is killed in the middle of a write may cut its log off inside a
//! transaction instead of before it. What stands there of the transaction is done when it
//! is started the next time, though nobody was told so (valkey pull request 4342), and the
//! event may have been appended again since. Therefore each entry names its elder, the one
//! that was the newest before it: what stands between the two is not there.

use crate::event::Offset;

/// What somebody else has put there.
pub(super) const NO_EVENT: &str = "it is no event";
/// What Redis had not taken when it was killed.
const DISOWNED: &str = "Redis brought it back after a kill, and never answered for it";

/// An entry as it lies in the stream.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) place: Offset,
    /// Its text, or why there is none.
    pub(super) text: Result<Vec<u8>, &'static str>,
    /// The place of the one before it.
    elder: Option<Offset>,
}

/// As the library gives it: the id, then fields and values.
pub(super) type Given = (String, Vec<Vec<u8>>);

impl From<Given> for Raw {
    fn from((id, fields): Given) -> Self {
        let elder = match &fields[..] {
            [_, _, field, elder] if field == b"p" => std::str::from_utf8(elder).ok(),
            _ => None,
        };
        let elder = elder.and_then(|elder| elder.parse().ok());
        let mut fields = fields.into_iter();
        let text = match (fields.next(), fields.next()) {
            (Some(field), Some(text)) if field == b"e" => Ok(text),
            _ => Err(NO_EVENT),
        };
        let place = place(&id);
        Self { place, text, elder }
    }
}

/// Where an id of the stream stands.
pub(super) fn place(id: &str) -> Offset {
    // Redis makes them, and makes them so.
    id.parse().unwrap_or_default()
}

/// Takes away what is not there. `elder` is what the entry behind them names, if any;
/// gives what the oldest of them names.
pub(super) fn disown<'a>(
    newest_first: impl Iterator<Item = &'a mut Raw>,
    mut elder: Option<Offset>,
) -> Option<Offset> {
    for raw in newest_first {
        match elder {
            Some(elder) if raw.place > elder => raw.text = Err(DISOWNED),
            Some(_) | None => elder = raw.elder,
        }
    }
    elder
}

/// At most so many entries, oldest first; what was read beyond that says what of them is
/// not there.
pub(super) fn settled(mut found: Vec<Raw>, limit: usize) -> Vec<Raw> {
    disown(found.iter_mut().rev(), None);
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(n: u64, elder: u64) -> Raw {
        let fields = ["e", "text", "p", &format!("1-{elder}")];
        let fields = fields.map(|field| field.as_bytes().to_vec());
        Raw::from((format!("1-{n}"), fields.into()))
    }

    fn there(found: &[Raw]) -> Vec<u64> {
        let there = found.iter().filter(|raw| raw.text.is_ok());
        there.map(|raw| raw.place.1).collect()
    }

    #[test]
    fn what_no_younger_one_names_is_not_there() {
        let found = [(2, 1), (3, 2), (4, 3), (5, 2), (6, 5)];
        let all = || found.map(|(n, elder)| raw(n, elder)).into();
        assert_eq!(there(&settled(all(), 9)), [2, 5, 6]);
        // The one that tells is not among those that were asked for.
        assert_eq!(there(&settled(all(), 3)), [2]);
        assert_eq!(settled(all(), 3).len(), 3);
    }

    #[test]
    fn pages_from_the_newest_on_go_on_where_the_last_one_ended() {
        let mut newest = [raw(6, 5), raw(5, 2)];
        let elder = disown(newest.iter_mut(), None);
        let mut before = [raw(4, 3), raw(3, 2), raw(2, 1)];
        disown(before.iter_mut(), elder);
        assert_eq!(there(&before), [2]);
    }

    #[test]
    fn entries_that_name_nobody_are_as_they_are() {
        let plain = |n| Raw::from((format!("1-{n}"), vec![b"e".to_vec(), b"text".to_vec()]));
        let found = vec![plain(1), plain(2), plain(3)];
        assert_eq!(there(&settled(found, 9)), [1, 2, 3]);
        let other = Raw::from(("1-4".to_owned(), vec![b"x".to_vec(), Vec::new()]));
        assert_eq!(other.text, Err(NO_EVENT));
    }
}
