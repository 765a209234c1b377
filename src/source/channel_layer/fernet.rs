//! Fernet, as Channels encrypts messages with `symmetric_encryption_keys`: AES-128 in
//! CBC mode and an HMAC, with the time of sending in clear.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    cipher::{
        AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    digest::{SHA256, digest},
    error::Unspecified,
    hmac,
    iv::FixedLength,
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE};

use super::codec::Unreadable;

const VERSION: u8 = 0x80;
/// Before the text: version, time, initial vector.
const HEAD: usize = 1 + 8 + 16;
const TAG: usize = 32;
/// A sender's clock may be ahead of ours by so much, as the library has it.
const AHEAD: Duration = Duration::from_secs(60);

/// One key of the app.
#[derive(Clone)]
pub(super) struct Key {
    signing: hmac::Key,
    encryption: [u8; 16],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Key {
    /// The key of a text, as Channels makes it: its SHA-256.
    pub(super) fn of(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        let (signing, encryption) = hash.as_ref().split_at(16);
        let mut key = [0; 16];
        key.copy_from_slice(encryption);
        Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, signing),
            encryption: key,
        }
    }

    /// A token of a text.
    pub(super) fn encrypt(&self, text: &[u8], now: SystemTime) -> Result<Vec<u8>, Unspecified> {
        let mut vector = [0; 16];
        rand::fill(&mut vector)?;
        self.encrypt_with(text, now, vector)
    }

    fn encrypt_with(
        &self,
        text: &[u8],
        now: SystemTime,
        vector: [u8; 16],
    ) -> Result<Vec<u8>, Unspecified> {
        let key = UnboundCipherKey::new(&AES_128, &self.encryption)?;
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key)?;
        let mut body = text.to_vec();
        let context = EncryptionContext::Iv128(FixedLength::from(&vector));
        key.less_safe_encrypt(&mut body, context)?;
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut token = vec![VERSION];
        token.extend(seconds.to_be_bytes());
        token.extend(vector);
        token.extend(body);
        let tag = hmac::sign(&self.signing, &token);
        token.extend(tag.as_ref());
        Ok(URL_SAFE.encode(token).into_bytes())
    }
}

/// The text of a token that one of the keys made, no longer ago than `ttl`.
pub(super) fn decrypt(
    keys: &[Key],
    token: &[u8],
    (ttl, now): (Option<Duration>, SystemTime),
) -> Result<Vec<u8>, Unreadable> {
    let token = URL_SAFE.decode(token).map_err(|_| Unreadable::WrongKey)?;
    let signed = token.len().checked_sub(TAG);
    let signed = signed.filter(|length| *length >= HEAD && token.first() == Some(&VERSION));
    let (signed, tag) = token.split_at(signed.ok_or(Unreadable::WrongKey)?);
    let ours = |key: &&Key| hmac::verify(&key.signing, signed, tag).is_ok();
    let key = keys.iter().find(ours).ok_or(Unreadable::WrongKey)?;
    check_time(signed, ttl, now)?;
    let (head, body) = signed.split_at(HEAD);
    open(key, head, body).ok_or(Unreadable::WrongKey)
}

fn check_time(signed: &[u8], ttl: Option<Duration>, now: SystemTime) -> Result<(), Unreadable> {
    let Some(ttl) = ttl else { return Ok(()) };
    let seconds = signed.get(1..9).and_then(|bytes| bytes.try_into().ok());
    let seconds = u64::from_be_bytes(seconds.unwrap_or_default());
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let late = seconds.saturating_add(ttl.as_secs()) < now;
    let early = now.saturating_add(AHEAD.as_secs()) < seconds;
    match late || early {
        true => Err(Unreadable::Expired),
        false => Ok(()),
    }
}

fn open(key: &Key, head: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let vector: [u8; 16] = head.get(HEAD - 16..)?.try_into().ok()?;
    let unbound = UnboundCipherKey::new(&AES_128, &key.encryption).ok()?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(unbound).ok()?;
    let mut body = body.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(&vector));
    let text = cipher.decrypt(&mut body, context).ok()?;
    Some(text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `cryptography` with key sha256("kéy"), at 1700000000, with the
    /// bytes 0 to 15 as initial vector.
    const TOKEN: &str = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0ODxJWIcf7BbChzk_GcrASHM3XmF8HPHOW3-xVHMJvK-HlzQ35enuoqJ8XNq3peLIuYw==";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_that_of_python_to_the_byte() {
        let key = Key::of("kéy");
        let vector = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let token = key.encrypt_with(b"hello fernet", at(1_700_000_000), vector);
        assert_eq!(token.unwrap(), TOKEN.as_bytes());
    }

    #[test]
    fn any_of_the_keys_opens_a_token_while_it_is_fresh() {
        let keys = [Key::of("another"), Key::of("kéy")];
        let ttl = Some(Duration::from_secs(70));
        let open = |keys: &[Key], ttl, now| decrypt(keys, TOKEN.as_bytes(), (ttl, at(now)));
        for (ttl, now) in [
            (ttl, 1_700_000_000),
            (ttl, 1_700_000_070),
            (ttl, 1_699_999_940),
            (None, 1_900_000_000),
        ] {
            assert_eq!(open(&keys, ttl, now).unwrap(), b"hello fernet");
        }
        for now in [1_700_000_071, 1_699_999_939] {
            assert_eq!(open(&keys, ttl, now), Err(Unreadable::Expired));
        }
        assert_eq!(open(&keys[..1], None, 0), Err(Unreadable::WrongKey));
    }

    #[test]
    fn a_token_that_was_touched_is_refused() {
        let keys = [Key::of("kéy")];
        for at_byte in 0..TOKEN.len() {
            let mut token = TOKEN.as_bytes().to_vec();
            token[at_byte] = if token[at_byte] == b'A' { b'B' } else { b'A' };
            let read = decrypt(&keys, &token, (None, at(0)));
            assert_eq!(read, Err(Unreadable::WrongKey), "{at_byte}");
        }
        for short in 0..TOKEN.len() {
            assert!(decrypt(&keys, &TOKEN.as_bytes()[..short], (None, at(0))).is_err());
        }
    }
}
