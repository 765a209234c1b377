//! Signatures of webhooks, as Standard Webhooks 1.0 writes them.
//!
//! `webhook-signature` holds `v1,<base64>` parts separated by spaces; each is the
//! HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`. One that fits one of
//! our secrets is enough, so that either side can rotate. The clock is a parameter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderMap;

use crate::{event::EventId, routes, secret::Secret};

/// The header with the id of the message: the same at every attempt to send it.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// Longer ids are refused: they become ids of events, which the feed remembers.
const MAX_ID: usize = 255;

/// Padded when written; read with or without, as senders differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The id of a message whose signature fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookId(String);

impl WebhookId {
    /// The id of the only event of the message, unless it has its own.
    pub fn single(&self) -> EventId {
        self.0.as_str().into()
    }

    /// The id of one of several events of the message, unless it has its own.
    pub fn nth(&self, index: usize) -> EventId {
        format!("{}.{index}", self.0).into()
    }
}

/// A secret cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Nothing to sign with.
    #[error("a webhook secret is empty: anybody could sign")]
    Empty,
    /// The prefix promises base64.
    #[error("what follows `whsec_` in a webhook secret is not base64")]
    NotBase64,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A header is not there.
    #[error("the header {0} is missing: webhooks are signed as Standard Webhooks says")]
    Missing(&'static str),
    /// A header is there twice, or not what it must be.
    #[error("the header {0} {1}")]
    Malformed(&'static str, &'static str),
    /// Signed too long ago: perhaps a recording is played again.
    #[error(
        "webhook-timestamp is {} s old and {} s are tolerated: sign again at each attempt, or check the clocks",
        .age.as_secs(), .tolerance.as_secs()
    )]
    TooOld {
        /// How long ago.
        age: Duration,
        /// How long ago it may be.
        tolerance: Duration,
    },
    /// Signed in the future.
    #[error(
        "webhook-timestamp is {} s ahead and {} s are tolerated: check the clocks",
        .ahead.as_secs(), .tolerance.as_secs()
    )]
    TooNew {
        /// How far ahead.
        ahead: Duration,
        /// How far ahead it may be.
        tolerance: Duration,
    },
    /// None of the signatures was made with one of the secrets, over this body.
    #[error("no signature fits: check the secret, and that the body is sent as it was signed")]
    NoneFits,
}

/// The key that a secret stands for: base64 after `whsec_`, else the text's bytes.
///
/// # Errors
/// It stands for none.
pub fn key(secret: &Secret) -> Result<hmac::Key, NotAKey> {
    let bytes = match secret.expose().strip_prefix("whsec_") {
        Some(base64) => BASE64.decode(base64).map_err(|_| NotAKey::NotBase64)?,
        None => secret.expose().as_bytes().to_vec(),
    };
    if bytes.is_empty() {
        return Err(NotAKey::Empty);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The value of `webhook-signature` for a message; `timestamp` is in seconds
/// since 1970.
///
/// # Errors
/// The secret cannot be a key.
pub fn sign(secret: &Secret, id: &str, timestamp: u64, body: &[u8]) -> Result<String, NotAKey> {
    let tag = tag(&key(secret)?, id, &timestamp.to_string(), body);
    Ok(format!("v1,{}", BASE64.encode(tag)))
}

/// Whether a message comes from somebody who knows one of the secrets, just now.
/// A secret that cannot be a key fits nothing.
///
/// # Errors
/// Why it is not believed.
pub fn verify(
    rules: &routes::Webhook,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<WebhookId, Refused> {
    let id = only(headers, ID)?;
    let timestamp = only(headers, TIMESTAMP)?;
    let signatures = only(headers, SIGNATURE)?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Refused::Malformed(ID, "must be 1 to 255 bytes long"));
    }
    check_time(timestamp, now, rules.tolerance)?;
    let offered: Vec<_> = signatures.split(' ').filter_map(decode).collect();
    let fits = |secret| {
        let expected = key(secret).map(|key| tag(&key, id, timestamp, body));
        let equals = |offered: &Vec<u8>| {
            expected.is_ok_and(|tag| verify_slices_are_equal(tag.as_ref(), offered).is_ok())
        };
        offered.iter().any(equals)
    };
    match rules.secrets.iter().any(fits) {
        true => Ok(WebhookId(id.to_owned())),
        false => Err(Refused::NoneFits),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Refused> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Refused::Missing(name))?;
    if values.next().is_some() {
        return Err(Refused::Malformed(name, "is there twice"));
    }
    value
        .to_str()
        .map(str::trim)
        .map_err(|_| Refused::Malformed(name, "is not ASCII text"))
}

fn check_time(timestamp: &str, now: SystemTime, tolerance: Duration) -> Result<(), Refused> {
    let seconds = timestamp
        .parse()
        .map_err(|_| Refused::Malformed(TIMESTAMP, "is not a number of seconds since 1970"))?;
    let signed = Duration::from_secs(seconds);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_secs(now.as_secs());
    let age = now.saturating_sub(signed);
    let ahead = signed.saturating_sub(now);
    if age > tolerance {
        return Err(Refused::TooOld { age, tolerance });
    }
    if ahead > tolerance {
        return Err(Refused::TooNew { ahead, tolerance });
    }
    Ok(())
}

/// Other versions (`v1a`: asymmetric) are for others to read.
fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64.decode(part.strip_prefix("v1,")?).ok()
}

fn tag(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut hash = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        hash.update(part);
    }
    hash.sign()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_763_700_000;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn rules(secrets: &[&str]) -> routes::Webhook {
        routes::Webhook {
            secrets: secrets.iter().map(|&text| Secret::new(text)).collect(),
            tolerance: Duration::from_secs(300),
            max_body: 1024,
        }
    }

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let pairs = [(ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn signed(secret: &str) -> HeaderMap {
        let signature = sign(&Secret::new(secret), "m1", NOW, b"{}").unwrap();
        headers("m1", &NOW.to_string(), &signature)
    }

    #[test]
    fn the_standards_own_example_comes_out() {
        let signature = sign(
            &Secret::new(SECRET),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature.as_deref(),
            Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn the_standards_own_library_agrees() {
        let library = standardwebhooks::Webhook::new(SECRET).unwrap();
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let theirs = library
            .sign("m1", i64::try_from(seconds).unwrap(), b"{}")
            .unwrap();
        assert_eq!(
            sign(&Secret::new(SECRET), "m1", seconds, b"{}").as_ref(),
            Ok(&theirs)
        );
        let headers = headers("m1", &seconds.to_string(), &theirs);
        assert!(verify(&rules(&[SECRET]), &headers, b"{}", now).is_ok());
        assert!(library.verify(b"{}", &headers).is_ok());
    }

    #[test]
    fn either_side_can_rotate() {
        let old = signed("old");
        assert!(verify(&rules(&["new", "old"]), &old, b"{}", at(NOW)).is_ok());
        let both = format!("v1a,x v1,AAAA {}", old[SIGNATURE].to_str().unwrap());
        let both = headers("m1", &NOW.to_string(), &both);
        assert!(verify(&rules(&["old"]), &both, b"{}", at(NOW)).is_ok());
        assert_eq!(
            verify(&rules(&["new"]), &old, b"{}", at(NOW)),
            Err(Refused::NoneFits)
        );
    }

    #[test]
    fn id_time_and_body_are_all_signed() {
        let good = signed("s");
        let rules = rules(&["s"]);
        let id = verify(&rules, &good, b"{}", at(NOW)).unwrap();
        assert_eq!(id.single().as_str(), "m1");
        assert_eq!(id.nth(3).as_str(), "m1.3");
        assert_eq!(
            verify(&rules, &good, b"{ }", at(NOW)),
            Err(Refused::NoneFits)
        );
        for (name, value) in [(ID, "m2"), (TIMESTAMP, "1763700001"), (SIGNATURE, "v1,")] {
            let mut forged = good.clone();
            forged.insert(name, value.parse().unwrap());
            assert_eq!(
                verify(&rules, &forged, b"{}", at(NOW)),
                Err(Refused::NoneFits)
            );
        }
    }

    #[test]
    fn the_clocks_may_differ_by_the_tolerance() {
        let good = signed("s");
        let says = |seconds| match verify(&rules(&["s"]), &good, b"{}", at(seconds)) {
            Ok(_) => "fits".to_owned(),
            Err(refused) => refused.to_string(),
        };
        assert_eq!(says(NOW + 300), "fits");
        assert_eq!(says(NOW - 300), "fits");
        assert!(says(NOW + 301).starts_with("webhook-timestamp is 301 s old and 300 s are"));
        assert!(says(NOW - 400).starts_with("webhook-timestamp is 400 s ahead and 300 s are"));
    }

    #[test]
    fn headers_that_are_missing_or_odd_are_named() {
        let rules = rules(&["s"]);
        for name in [ID, TIMESTAMP, SIGNATURE] {
            let mut headers = signed("s");
            headers.append(name, "x".parse().unwrap());
            let twice = verify(&rules, &headers, b"{}", at(NOW));
            assert_eq!(twice, Err(Refused::Malformed(name, "is there twice")));
            headers.remove(name);
            let missing = verify(&rules, &headers, b"{}", at(NOW));
            assert_eq!(missing, Err(Refused::Missing(name)));
        }
        for odd in ["", "1.5", "-1", "99999999999999999999", "soon"] {
            let headers = headers("m1", odd, "v1,AAAA");
            let refused = verify(&rules, &headers, b"", at(NOW)).unwrap_err();
            assert!(matches!(refused, Refused::Malformed(TIMESTAMP, _)), "{odd}");
        }
    }

    #[test]
    fn what_cannot_be_a_key_fits_nothing() {
        assert_eq!(key(&Secret::new("")).err(), Some(NotAKey::Empty));
        assert_eq!(key(&Secret::new("whsec_")).err(), Some(NotAKey::Empty));
        assert_eq!(key(&Secret::new("whsec_?")).err(), Some(NotAKey::NotBase64));
        let refused = verify(&rules(&["", "whsec_?"]), &signed("s"), b"{}", at(NOW));
        assert_eq!(refused, Err(Refused::NoneFits));
    }

    proptest! {
        #[test]
        fn no_header_or_body_panics(
            values in prop::collection::vec("[ -~]{0,40}", 3),
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let headers = headers(&values[0], &values[1], &values[2]);
            prop_assert!(verify(&rules(&["s"]), &headers, &body, at(NOW)).is_err());
        }
    }
}
