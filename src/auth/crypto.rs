//! Signatures are checked and made by jsonwebtoken.
//!
//! Its aws-lc provider is taken by name, never the default of the process: that
//! one panics at the first verification if neither or both of jsonwebtoken's
//! backends are compiled in. Here a missing backend is a compile error, and a
//! second one changes nothing.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        ParsedPublicKey, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use jsonwebtoken::{
    AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::aws_lc::DEFAULT_PROVIDER as PROVIDER,
};

use super::{Algorithm, jws::Signed};

/// Whether this key made the signature, by the algorithm that the token names.
pub(super) fn verifies(key: &DecodingKey, signed: &Signed<'_>) -> bool {
    let message = signed.message.as_bytes();
    let Some(algorithm) = signed.algorithm.listed() else {
        return verifies_es512(key, message, &signed.signature);
    };
    let verifier = (PROVIDER.verifier_factory)(&algorithm, key);
    verifier.is_ok_and(|verifier| verifier.verify(message, &signed.signature).is_ok())
}

/// jsonwebtoken 11 lacks ES512, so this one goes to aws-lc directly.
fn verifies_es512(key: &DecodingKey, message: &[u8], signature: &[u8]) -> bool {
    let key = key.try_get_as_bytes().ok();
    let key = key.map(|key| UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, key));
    key.is_some_and(|key| key.verify(message, signature).is_ok())
}

/// Signs with a shared secret; `None` if the key or the algorithm is none.
pub(super) fn sign(algorithm: Algorithm, key: &DecodingKey, message: &[u8]) -> Option<Vec<u8>> {
    if key.family() != AlgorithmFamily::Hmac {
        return None;
    }
    let secret = EncodingKey::from_secret(key.try_get_as_bytes().ok()?);
    let signer = (PROVIDER.signer_factory)(&algorithm.listed()?, &secret).ok()?;
    signer.try_sign(message).ok()
}

/// Whether an algorithm can verify with a key: its kind, curve and size.
///
/// jsonwebtoken looks at a key no earlier than at a token. Asking aws-lc when the
/// key is loaded turns a config that refuses everybody into an error that says so.
pub(super) fn suits(key: &DecodingKey, algorithm: Algorithm) -> bool {
    if key.family() != algorithm.family() {
        return false;
    }
    let kind: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDSA => &ED25519,
        _ if algorithm.is_shared_secret() => return true,
        _ => return is_sound_rsa(key).unwrap_or(false),
    };
    let bytes = key.try_get_as_bytes();
    bytes.is_ok_and(|bytes| ParsedPublicKey::new(kind, bytes).is_ok())
}

/// Whether an RSA key is of a size that signatures are believed from: 2048 to
/// 8192 bits.
fn is_sound_rsa(key: &DecodingKey) -> Option<bool> {
    let der: PublicKeyX509Der<'_> = match key.kind() {
        DecodingKeyKind::SecretOrDer(der) => rsa::PublicKey::from_der(der).ok()?.as_der().ok()?,
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            RsaPublicKeyComponents { n, e }.as_der().ok()?
        }
    };
    Some(rsa::PublicEncryptingKey::from_der(der.as_ref()).is_ok())
}
