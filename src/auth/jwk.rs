//! Keys out of a JWKS document (RFC 7517 section 5, RFC 7518 section 6).
//!
//! A key that is not understood is skipped, as section 5 asks. So are symmetric
//! ones: a secret that is published at a URL is none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, NotAKey, keys::Key};

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys of a document, each bound to the algorithms it is for: none if it is
/// of no use here.
pub(super) fn keys(document: &[u8]) -> Result<Vec<Vec<Key>>, NotAKey> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| NotAKey(format!("not a JWKS document: {error}")))?;
    let keys = document.keys.into_iter();
    Ok(keys.map(|key| bound(key).unwrap_or_default()).collect())
}

fn bound(key: Value) -> Option<Vec<Key>> {
    // By its name, because jsonwebtoken 11 takes ES512 for unknown.
    let named = key.get("alg").and_then(Value::as_str).map(str::parse);
    let named: Option<Algorithm> = named.transpose().ok()?;
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    if !is_to_verify(&jwk) {
        return None;
    }
    let (key, algorithms) = material(&jwk.algorithm)?;
    let mut algorithms = algorithms.to_vec();
    algorithms.retain(|algorithm| named.is_none_or(|named| named == *algorithm));
    Some(Key::bound(jwk.common.key_id.as_deref(), &key, &algorithms))
}

fn is_to_verify(jwk: &Jwk) -> bool {
    let purpose = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    purpose.is_none_or(|to| *to == PublicKeyUse::Signature)
        && operations.is_none_or(|all| all.contains(&KeyOperations::Verify))
}

/// The key, and the algorithms that a key of its kind may be for.
fn material(key: &AlgorithmParameters) -> Option<(DecodingKey, &'static [Algorithm])> {
    match key {
        AlgorithmParameters::RSA(key) => {
            let (n, e) = (number(&key.n)?, number(&key.e)?);
            Some((DecodingKey::from_rsa_raw_components(&n, &e), &RSA))
        }
        AlgorithmParameters::EllipticCurve(key) => {
            let algorithms: &[Algorithm] = match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                EllipticCurve::P521 => &[Algorithm::ES512],
                _ => return None,
            };
            let key = DecodingKey::from_ec_components(unpadded(&key.x), unpadded(&key.y));
            Some((key.ok()?, algorithms))
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            let key = DecodingKey::from_ed_components(unpadded(&key.x));
            Some((key.ok()?, &[Algorithm::EdDSA]))
        }
        _ => None,
    }
}

/// A big-endian number; some issuers pad it with zeros, against RFC 7518.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(unpadded(text)).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Base64url as RFC 7515 section 2 has it: some issuers leave the padding.
fn unpadded(text: &str) -> &str {
    text.trim_end_matches('=')
}
