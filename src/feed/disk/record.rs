//! One record in a segment: framed, checksummed, and readable from anywhere.
//!
//! ```text
//! magic 4 | length 4 | crc32 4 | kind 1 | group 4 | start 8 | n 8 | at 8 | name length 4 | name | body
//! ```
//! Numbers are little-endian. The length counts what stands behind the checksum, and the
//! checksum is of that. `group` is where in its segment the write began that this record
//! came with: everything before that place was safe by then.

use crate::event::Offset;

/// Cannot stand in a name or a body: these are UTF-8.
const MAGIC: [u8; 4] = [0xff, b'O', b'R', 0xfe];
const FRAME: usize = 12;
const FIXED: usize = 1 + 4 + 8 + 8 + 8 + 4;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of a segment. Its offset: the last event that was safe before it.
    Head,
    /// An event; its name is the id.
    Event,
    /// How far a source has come; its name is the source.
    Cursor,
    /// Nothing follows until the log is opened again.
    End,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    /// Where in the segment its write began.
    pub(super) group: u32,
    pub(super) offset: Offset,
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) name: &'a str,
    pub(super) body: &'a str,
}

/// What stands there is no whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Record<'_> {
    /// Puts it behind what is there.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let length = FIXED + self.name.len() + self.body.len();
        out.extend(MAGIC);
        out.extend(number(length).to_le_bytes());
        let checksum = out.len();
        out.extend([0; 4]);
        out.push(self.kind as u8);
        out.extend(self.group.to_le_bytes());
        out.extend(self.offset.0.to_le_bytes());
        out.extend(self.offset.1.to_le_bytes());
        out.extend(self.at.to_le_bytes());
        out.extend(number(self.name.len()).to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(self.body.as_bytes());
        let sum = crc32fast::hash(&out[checksum + 4..]);
        out[checksum..checksum + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The record that stands at a place, and where the next one does.
pub(super) fn read(data: &[u8], at: usize) -> Result<(Record<'_>, usize), Unreadable> {
    let data = data.get(at..).ok_or(Unreadable)?;
    let (frame, rest) = data.split_at_checked(FRAME).ok_or(Unreadable)?;
    let mut frame = Fields(frame);
    if frame.take::<4>()? != MAGIC {
        return Err(Unreadable);
    }
    let length = frame.length()?;
    let sum = u32::from_le_bytes(frame.take()?);
    let content = rest.get(..length).ok_or(Unreadable)?;
    if crc32fast::hash(content) != sum {
        return Err(Unreadable);
    }
    Ok((parse(content)?, at + FRAME + length))
}

/// Whether a record stands behind a place that was written when what is at the place had
/// long been safe: then the place was once readable.
pub(super) fn was_safe(data: &[u8], place: usize) -> bool {
    let behind = data.get(place + 1..).unwrap_or_default();
    let starts = behind.windows(MAGIC.len()).enumerate();
    starts
        .filter(|(_, bytes)| *bytes == MAGIC)
        .filter_map(|(at, _)| read(behind, at).ok())
        .any(|(record, _)| record.group as usize > place)
}

/// How many bytes a record takes whose frame stands at a place, if the frame does.
pub(super) fn length(data: &[u8], at: usize) -> Option<usize> {
    let frame = data.get(at..at + FRAME)?;
    let mut frame = Fields(frame);
    let is_one = frame.take::<4>().ok()? == MAGIC;
    is_one
        .then(|| frame.length().ok())
        .flatten()
        .map(|length| FRAME + length)
}

fn parse(content: &[u8]) -> Result<Record<'_>, Unreadable> {
    let mut fields = Fields(content);
    let [kind] = fields.take()?;
    let group = u32::from_le_bytes(fields.take()?);
    let start = u64::from_le_bytes(fields.take()?);
    let n = u64::from_le_bytes(fields.take()?);
    let at = u64::from_le_bytes(fields.take()?);
    let length = fields.length()?;
    let (name, body) = fields.0.split_at_checked(length).ok_or(Unreadable)?;
    Ok(Record {
        kind: kind_of(kind).ok_or(Unreadable)?,
        group,
        offset: Offset(start, n),
        at,
        name: std::str::from_utf8(name).map_err(|_| Unreadable)?,
        body: std::str::from_utf8(body).map_err(|_| Unreadable)?,
    })
}

fn kind_of(byte: u8) -> Option<Kind> {
    let kinds = [Kind::Head, Kind::Event, Kind::Cursor, Kind::End];
    kinds.into_iter().find(|kind| *kind as u8 == byte)
}

/// What is left to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*field)
    }

    fn length(&mut self) -> Result<usize, Unreadable> {
        usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| Unreadable)
    }
}

/// Lengths are bounded by what a source takes: far below 4 GiB.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record<'a>(group: u32, name: &'a str, body: &'a str) -> Record<'a> {
        let kind = Kind::Event;
        let (offset, at) = (Offset(3, 17), 1_763_700_000_123);
        Record {
            kind,
            group,
            offset,
            at,
            name,
            body,
        }
    }

    #[test]
    fn a_hole_is_told_from_a_torn_end_by_when_the_rest_was_written() {
        let mut data = Vec::new();
        record(0, "a", "1").put(&mut data);
        let second = data.len();
        record(0, "b", "2").put(&mut data);
        assert!(!was_safe(&data, 0), "one write: it may have been torn");
        record(u32::try_from(second).unwrap(), "c", "3").put(&mut data);
        assert!(was_safe(&data, 0), "the third came when the first was safe");
        assert!(!was_safe(&data, second));
    }

    proptest! {
        #[test]
        fn records_survive(names in prop::collection::vec(("\\PC{0,9}", "\\PC{0,99}"), 0..9)) {
            let mut data = Vec::new();
            for (name, body) in &names {
                record(9, name, body).put(&mut data);
            }
            let mut at = 0;
            for (name, body) in &names {
                prop_assert_eq!(length(&data, at), read(&data, at).ok().map(|(_, end)| end - at));
                let (read, end) = read(&data, at).unwrap();
                prop_assert_eq!(read, record(9, name, body));
                at = end;
            }
            prop_assert_eq!(at, data.len());
        }

        #[test]
        fn no_flipped_bit_is_overlooked(body in "\\PC{0,99}", at: prop::sample::Index, bit in 0..8_u8) {
            let mut data = Vec::new();
            record(9, "id", &body).put(&mut data);
            let at = at.index(data.len());
            data[at] ^= 1_u8 << bit;
            prop_assert_eq!(read(&data, 0), Err(Unreadable));
        }

        #[test]
        fn any_bytes_can_be_looked_at(mut data: Vec<u8>, magic: bool, at: prop::sample::Index) {
            if magic {
                let at = at.index(data.len() + 1);
                data.splice(at..at, MAGIC);
            }
            for at in 0..=data.len() + 1 {
                prop_assert_eq!(read(&data, at).ok(), None);
                length(&data, at);
            }
            prop_assert!(!was_safe(&data, 0));
        }
    }
}
