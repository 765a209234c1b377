//! Where one WebSocket frame ends and the next begins (RFC 6455, section 5.2), in
//! bytes that pass by. Nothing is kept but the count of what is still to come, so
//! that a tunnel may say goodbye between two frames.

/// Follows the frames of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Boundary {
    /// The first bytes of a head: what they say about its length.
    head: [u8; 2],
    /// How many bytes of the head have passed.
    seen: u8,
    /// The payload's length as far as it is known.
    length: u64,
    /// How many bytes of payload are still to come.
    left: u64,
}

impl Boundary {
    /// Whether the last byte that passed was the last of a frame.
    pub(super) fn is_between(self) -> bool {
        self.seen == 0 && self.left == 0
    }

    /// These bytes passed.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let payload = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.left -= payload as u64;
            bytes = bytes.get(payload..).unwrap_or_default();
            if let Some((byte, rest)) = bytes.split_first() {
                self.pass_head(*byte);
                bytes = rest;
            }
        }
    }

    fn pass_head(&mut self, byte: u8) {
        let at = self.seen;
        if let Some(first) = self.head.get_mut(usize::from(at)) {
            *first = byte;
        }
        self.seen += 1;
        match at {
            0 => {}
            1 => self.length = u64::from(byte & 0x7F).min(125) * u64::from(byte & 0x7F < 126),
            _ if at < 2 + self.length_bytes() => self.length = self.length << 8 | u64::from(byte),
            _ => {}
        }
        if self.seen >= 2 && self.seen == 2 + self.length_bytes() + self.mask_bytes() {
            self.left = self.length;
            self.seen = 0;
        }
    }

    fn length_bytes(self) -> u8 {
        match self.head[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn mask_bytes(self) -> u8 {
        if self.head[1] & 0x80 == 0 { 0 } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocket},
    };

    /// What tungstenite writes, as either side, with the ends of its frames.
    fn written(role: Role, lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut socket = WebSocket::from_raw_socket(std::io::Cursor::new(Vec::new()), role, None);
        let ends = lengths.iter().map(|length| {
            socket
                .send(Message::Binary(vec![0x81; *length].into()))
                .unwrap();
            socket.get_ref().get_ref().len()
        });
        let ends: Vec<_> = ends.collect();
        (socket.into_inner().into_inner(), ends)
    }

    #[test]
    fn the_ends_of_frames_are_seen_however_the_bytes_come() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 3];
        for role in [Role::Server, Role::Client] {
            let (bytes, ends) = written(role, &lengths);
            let mut boundary = Boundary::default();
            let mut seen = Vec::new();
            for (at, byte) in bytes.iter().enumerate() {
                boundary.pass(&[*byte]);
                if boundary.is_between() {
                    seen.push(at + 1);
                }
            }
            assert_eq!(seen, ends);
            for pieces in [2, 7, 1000] {
                let mut boundary = Boundary::default();
                bytes.chunks(pieces).for_each(|piece| boundary.pass(piece));
                assert!(boundary.is_between());
            }
        }
    }
}
