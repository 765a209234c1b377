//! The text of an event stream, piece by piece, into what it says.
//!
//! Follows the WHATWG HTML standard, 9.2.6 "Interpreting an event stream". Pieces
//! may end anywhere, inside a line end or a character too. Memory is bounded: an
//! event that is too large is told as such, and the stream goes on behind it.

use std::time::Duration;

/// The longest line, and the most data of one event, in bytes. Events of our
/// webhook are not larger either by default.
pub const MAX_SIZE: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A block of lines ended.
    Event(Message),
    /// So long a client should wait before it connects again.
    Retry(Duration),
}

/// What stood between two empty lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its `id`, if it has one of its own. The empty one forgets the last.
    pub id: Option<String>,
    /// Its `event`; empty if there is none.
    pub kind: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
    /// Something was larger than [`MAX_SIZE`]; the data is not complete.
    pub too_large: bool,
}

/// Reads one stream from its beginning.
#[derive(Debug, Default)]
pub struct Parser {
    /// The line so far; nothing more of it is kept once it is too long.
    line: Vec<u8>,
    too_long: bool,
    /// The last byte was a carriage return: a line feed belongs to it.
    after_cr: bool,
    /// The first line is over, and with it the place of a byte order mark.
    begun: bool,
    /// A `data` line was there, perhaps an empty one.
    has_data: bool,
    message: Message,
}

impl Parser {
    /// Takes the next piece and tells what ended in it.
    pub fn push(&mut self, piece: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        let mut rest = piece;
        while let Some((&first, behind)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = behind;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (text, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.extend(text);
            let Some((&end, behind)) = behind.split_first() else {
                break;
            };
            self.after_cr = end == b'\r';
            said.extend(self.end_line());
            rest = behind;
        }
        said
    }

    fn extend(&mut self, text: &[u8]) {
        if self.line.len() + text.len() > MAX_SIZE {
            self.too_long = true;
        }
        if !self.too_long {
            self.line.extend_from_slice(text);
        } else if self.line.is_empty() {
            // Enough to tell a comment from a field.
            self.line.extend(text.first());
        }
    }

    fn end_line(&mut self) -> Option<Said> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        if std::mem::take(&mut self.too_long) {
            self.message.too_large |= !line.starts_with(b":");
            return None;
        }
        if line.is_empty() {
            return self.end_message();
        }
        let line = String::from_utf8_lossy(&line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        self.field(name, value.strip_prefix(' ').unwrap_or(value))
    }

    fn field(&mut self, name: &str, value: &str) -> Option<Said> {
        match name {
            "data" => self.data(value),
            "event" => value.clone_into(&mut self.message.kind),
            "id" if !value.contains('\0') => self.message.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Some(Said::Retry(Duration::from_millis(value.parse().ok()?)));
            }
            // A comment has no name; others are for others.
            _ => {}
        }
        None
    }

    fn data(&mut self, value: &str) {
        let message = &mut self.message;
        if message.data.len() + value.len() + 1 > MAX_SIZE {
            message.too_large = true;
            message.data = String::new();
        }
        if message.too_large {
            return;
        }
        if std::mem::replace(&mut self.has_data, true) {
            message.data.push('\n');
        }
        message.data.push_str(value);
    }

    fn end_message(&mut self) -> Option<Said> {
        let message = std::mem::take(&mut self.message);
        let has_data = std::mem::take(&mut self.has_data);
        let says = has_data || message.too_large || message.id.is_some();
        says.then_some(Said::Event(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: impl AsRef<[u8]>) -> Vec<Said> {
        Parser::default().push(text.as_ref())
    }

    fn event(id: Option<&str>, kind: &str, data: &str) -> Said {
        Said::Event(Message {
            id: id.map(str::to_owned),
            kind: kind.into(),
            data: data.into(),
            too_large: false,
        })
    }

    #[test]
    fn the_standards_own_examples_come_out() {
        assert_eq!(
            read("data: YHOO\ndata: +2\ndata: 10\n\n"),
            [event(None, "", "YHOO\n+2\n10")]
        );
        assert_eq!(
            read(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
            ),
            [
                event(Some("1"), "", "first event"),
                event(Some(""), "", "second event"),
                event(None, "", " third event"),
            ]
        );
        assert_eq!(
            read("data\n\ndata\ndata\n\ndata:"),
            [event(None, "", ""), event(None, "", "\n")]
        );
        assert_eq!(read("data:test\n\ndata: test\n\n").len(), 2);
    }

    #[test]
    fn every_kind_of_line_end_ends_a_line_once() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["event: a", "data: 1", "", "data: 2", "", ""].join(end);
            assert_eq!(
                read(text),
                [event(None, "a", "1"), event(None, "", "2")],
                "{end:?}"
            );
        }
    }

    #[test]
    fn odd_lines_are_ignored_as_the_standard_says() {
        assert_eq!(read("\u{feff}data: 1\n\n"), [event(None, "", "1")]);
        assert_eq!(read("\u{feff}\u{feff}data: 1\n\n"), []);
        assert_eq!(read("id: a\0b\nDATA: 1\n data: 1\nevent: x\n\n"), []);
        assert_eq!(read("data: 1\n"), []);
        assert_eq!(read("id: 7\n\n"), [event(Some("7"), "", "")]);
        assert_eq!(
            read("retry: 1500\nretry: 1.5\nretry: -1\n"),
            [Said::Retry(Duration::from_millis(1500))]
        );
        assert_eq!(read(b"data: \xff\n\n"), [event(None, "", "\u{fffd}")]);
    }

    #[test]
    fn what_is_too_large_is_told_and_the_stream_goes_on() {
        let too_large = |said: &[Said]| -> Vec<bool> {
            said.iter()
                .map(|said| matches!(said, Said::Event(message) if message.too_large))
                .collect()
        };
        let long = "x".repeat(MAX_SIZE);
        let text = format!("id: 1\ndata: {long}\n\nid: 2\ndata: 2\n\n:{long}\ndata: 3\n\n");
        assert_eq!(too_large(&read(&text)), [true, false, false]);
        let line = format!("data: {}\n", "x".repeat(MAX_SIZE / 2));
        let text = format!("{line}{line}{line}data: 4\n\ndata: 5\n\n");
        assert_eq!(too_large(&read(&text)), [true, false]);
        let mut parser = Parser::default();
        for piece in text.as_bytes().chunks(1000) {
            parser.push(piece);
            assert!(parser.line.len() <= MAX_SIZE && parser.message.data.len() <= MAX_SIZE);
        }
    }

    proptest! {
        #[test]
        fn pieces_may_end_anywhere(
            text in r"(data|event|id|retry|:| |\r|\n|\r\n|\n\n|é|\x{feff}|1|x){0,60}",
            cuts in prop::collection::vec(1_usize..7, 1..60),
        ) {
            let mut parser = Parser::default();
            let mut said = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                said.extend(parser.push(piece));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(said, read(&text));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(bytes);
        }
    }
}
