//! A bounded copy of a body that passes, for whoever wants to look at it when the
//! exchange is over. The body itself is never held up or changed by it.

use bytes::{Bytes, BytesMut};

/// What has passed so far.
#[derive(Debug)]
pub struct Kept {
    limit: usize,
    /// One piece, as most small bodies are, is shared and not copied.
    first: Bytes,
    /// All of them, where there are more: a slice of a read buffer keeps all of it.
    joined: BytesMut,
    overflowed: bool,
    ended: bool,
}

/// Why there is no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// There was more of it than is kept.
    TooLarge,
    /// It broke off.
    Cut,
}

impl Kept {
    /// Keeps at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            first: Bytes::new(),
            joined: BytesMut::new(),
            overflowed: false,
            ended: false,
        }
    }

    /// A piece passes.
    pub fn pass(&mut self, piece: &Bytes) {
        let length = self.first.len() + self.joined.len() + piece.len();
        if self.overflowed || length > self.limit {
            (self.first, self.joined) = (Bytes::new(), BytesMut::new());
            self.overflowed = true;
        } else if length == piece.len() {
            self.first = piece.clone();
        } else {
            self.joined
                .extend_from_slice(&std::mem::take(&mut self.first));
            self.joined.extend_from_slice(piece);
        }
    }

    /// The body has ended as its framing says.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether all of the body has passed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether more has passed than is kept.
    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// What was kept, whole.
    ///
    /// # Errors
    /// It is not whole.
    pub fn take(self) -> Result<Bytes, NotKept> {
        match (self.overflowed, self.ended) {
            (true, _) => Err(NotKept::TooLarge),
            (false, false) => Err(NotKept::Cut),
            (false, true) if self.joined.is_empty() => Ok(self.first),
            (false, true) => Ok(self.joined.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: &[&'static [u8]], ends: bool) -> Result<Bytes, NotKept> {
        let mut kept = Kept::new(8);
        for piece in pieces {
            kept.pass(&Bytes::from_static(piece));
        }
        if ends {
            kept.end();
        }
        kept.take()
    }

    #[test]
    fn what_fits_and_ends_is_kept() {
        assert_eq!(kept(&[], true).unwrap(), "");
        assert_eq!(kept(&[b"one"], true).unwrap(), "one");
        assert_eq!(
            kept(&[b"one", b"", b"two", b"!!"], true).unwrap(),
            "onetwo!!"
        );
    }

    #[test]
    fn a_single_piece_is_not_copied() {
        let piece = Bytes::from_static(b"shared");
        let mut kept = Kept::new(8);
        kept.pass(&piece);
        kept.end();
        assert_eq!(kept.take().unwrap().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn what_is_too_large_or_broken_off_is_not() {
        assert_eq!(kept(&[b"123456789"], true), Err(NotKept::TooLarge));
        assert_eq!(kept(&[b"1234", b"56789"], true), Err(NotKept::TooLarge));
        assert_eq!(
            kept(&[b"1234", b"56789", b""], false),
            Err(NotKept::TooLarge)
        );
        assert_eq!(kept(&[b"1234"], false), Err(NotKept::Cut));
    }
}
