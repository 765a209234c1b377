//! Tokens signed for real, mostly by another implementation, and what becomes of
//! them. What four real apps do with such tokens is the yardstick.

mod algorithms;
mod claims;
mod development;
mod finding;
mod published;

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{Algorithm, Identity, KeySet, Rejected, Verifier};
use crate::secret::Secret;

const SECRET: &str = "a secret of a good many bytes, no less";
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    at(NOW)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a Django app with SimpleJWT wants.
fn verifier(keys: KeySet, algorithms: &[Algorithm]) -> Verifier {
    Verifier {
        algorithms: algorithms.to_vec(),
        keys,
        user_claim: "user_id".into(),
        issuers: vec![],
        audiences: vec![],
        require: vec![("token_type".into(), json!("access"))],
        required_claims: vec![],
        leeway: Duration::ZERO,
        refuse_future_iat: false,
    }
}

fn hs256() -> Verifier {
    let algorithms = [Algorithm::HS256];
    let keys = KeySet::secret(&Secret::new(SECRET), &algorithms).unwrap();
    verifier(keys, &algorithms)
}

fn access() -> Value {
    json!({"token_type": "access", "exp": NOW + 300, "user_id": 42})
}

/// An access token with some claims otherwise; a null takes one away.
fn access_with(changes: &Value) -> Value {
    let mut claims = access();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let all = claims.as_object_mut().unwrap();
    all.retain(|_, value| !value.is_null());
    claims
}

fn signed(claims: &Value) -> Secret {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Secret::new(encode(&Header::default(), claims, &key).unwrap())
}

fn verify(verifier: &Verifier, claims: &Value) -> Result<Identity, Rejected> {
    verifier.verify(&signed(claims), now())
}

fn is_refused(verifier: &Verifier, changes: &Value) -> bool {
    let verified = verify(verifier, &access_with(changes));
    matches!(verified, Err(Rejected::Invalid(_)))
}
