//! Tokens signed for real, and what becomes of them. What four real apps do with
//! such tokens is the yardstick. HS256 and ES512 are signed by aws-lc itself, so
//! that jsonwebtoken is not only measured by itself.

mod algorithms;
mod claims;
mod development;
mod finding;
mod published;

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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
    signed_under(&json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn signed_under(header: &Value, claims: &Value) -> Secret {
    compact(header, claims, hs256_signature)
}

fn hs256_signature(message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

/// RFC 7515 section 7.1, whatever the signature is.
fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Secret {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    Secret::new(format!("{message}.{signature}"))
}

/// A key on P-521 and a token that it signed.
fn es512() -> (EcdsaKeyPair, Secret) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let token = compact(&json!({"alg": "ES512"}), &access(), |message| {
        let signature = pair.sign(&SystemRandom::new(), message);
        signature.unwrap().as_ref().to_vec()
    });
    (pair, token)
}

fn verify(verifier: &Verifier, claims: &Value) -> Result<Identity, Rejected> {
    verifier.verify(&signed(claims), now())
}

fn is_refused(verifier: &Verifier, changes: &Value) -> bool {
    let verified = verify(verifier, &access_with(changes));
    matches!(verified, Err(Rejected::Invalid(_)))
}
