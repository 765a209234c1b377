//! Looks at the raw bytes of requests for what hyper forgives and another parser
//! might read differently: a line that ends with LF alone, and a head with both
//! a length and a transfer coding (RFC 9112, sections 2.2 and 6.1).
//!
//! It only looks. It follows the framing closely enough to tell heads from bodies,
//! and what it cannot follow counts as improper from there on.

/// As much of a line as is needed to know a length or a coding.
const KEPT: usize = 64;

/// Where in a connection's bytes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the lines of a head.
    Head,
    /// In a body, or a chunk with its line end, of which this much is to come.
    Body { left: u64, chunked: bool },
    /// In the line of a chunk's size.
    Size,
    /// In the lines after the last chunk.
    Trailers,
    /// Nowhere that is known.
    Lost,
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub(super) struct Heads {
    at: At,
    /// The heads that have ended.
    ended: u32,
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    line: [u8; KEPT],
    len: usize,
    last: u8,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            at: At::Head,
            ended: 0,
            begun: false,
            length: None,
            chunked: false,
            line: [0; KEPT],
            len: 0,
            last: 0,
        }
    }

    /// Looks at more bytes: the number of the request, from 1, that is the first
    /// improper one, once there is one.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> Option<u32> {
        while !bytes.is_empty() && self.at != At::Lost {
            bytes = match self.at {
                At::Body { left, chunked } => self.pass(bytes, left, chunked),
                _ => self.line(bytes),
            };
        }
        (self.at == At::Lost).then_some(self.ended + 1)
    }

    fn pass<'b>(&mut self, bytes: &'b [u8], left: u64, chunked: bool) -> &'b [u8] {
        let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - count as u64;
        self.at = match (left, chunked) {
            (0, true) => At::Size,
            (0, false) => At::Head,
            _ => At::Body { left, chunked },
        };
        bytes.get(count..).unwrap_or_default()
    }

    /// Takes up to the end of a line.
    fn line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        let room = part.len().min(KEPT.saturating_sub(self.len));
        if let (Some(to), Some(from)) = (
            self.line.get_mut(self.len..self.len + room),
            part.get(..room),
        ) {
            to.copy_from_slice(from);
        }
        self.len += part.len();
        self.last = part.last().copied().unwrap_or(self.last);
        if end.is_none() {
            return rest;
        }
        let proper = self.len > 0 && self.last == b'\r';
        self.at = if proper { self.end_of_line() } else { At::Lost };
        self.len = 0;
        rest.get(1..).unwrap_or_default()
    }

    fn end_of_line(&mut self) -> At {
        let empty = self.len == 1;
        let text = self.line;
        let text = text.get(..(self.len - 1).min(KEPT)).unwrap_or_default();
        match self.at {
            At::Size => self.size(text),
            At::Trailers if empty => At::Head,
            At::Head if !empty => self.header(text),
            // Empty lines before a request are passed over.
            At::Head if self.begun => self.end_of_head(),
            other => other,
        }
    }

    fn header(&mut self, text: &[u8]) -> At {
        self.begun = true;
        let mut parts = text.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let value = value.unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            if length.is_none()
                || self.len > KEPT
                || self.length.is_some_and(|old| Some(old) != length)
            {
                return At::Lost;
            }
            self.length = length;
        }
        At::Head
    }

    fn end_of_head(&mut self) -> At {
        let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
        self.begun = false;
        let next = match (length, chunked) {
            (Some(_), true) => return At::Lost,
            (None, true) => At::Size,
            (None | Some(0), false) => At::Head,
            (Some(left), false) => At::Body { left, chunked },
        };
        self.ended += 1;
        next
    }

    /// A chunk is followed by a line end of its own.
    fn size(&self, text: &[u8]) -> At {
        let digits = text
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let digits = text
            .get(..digits)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(0) => At::Trailers,
            Some(size) => At::Body {
                left: size.saturating_add(2),
                chunked: true,
            },
            None => At::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same however the bytes are cut.
    fn look(text: &str) -> Option<u32> {
        let whole = Heads::new().look(text.as_bytes());
        for size in [1, 2, 3, 7] {
            let mut heads = Heads::new();
            let found = text
                .as_bytes()
                .chunks(size)
                .filter_map(|piece| heads.look(piece))
                .last();
            assert_eq!(found, whole, "{text:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn proper_requests_pass_whatever_their_bodies_hold() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-LENGTH:  6\r\n\r\na\nb\n\n\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0A\r\n\n\n\n\n\n\n\n\n\n\n\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(look(text), None, "{text:?}");
        }
        let long = format!(
            "GET /{} HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(500),
            "y".repeat(500)
        );
        assert_eq!(look(&long), None);
    }

    #[test]
    fn the_first_improper_request_is_told() {
        for (text, number) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 1),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 1),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 1),
            ("\nGET / HTTP/1.1\r\n\r\n", 1),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\n", 2),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na\nGET / HTTP/1.1\n\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                1,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
                1,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 1),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                2,
            ),
        ] {
            assert_eq!(look(text), Some(number), "{text:?}");
        }
    }
}
