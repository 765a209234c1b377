//! The signature algorithms of JSON Web Tokens (RFC 7518 section 3.1) and what
//! carries each of them out. `none` is not among them.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac, rsa,
    signature::{self as sig, ParsedPublicKey, VerificationAlgorithm},
};

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256, a shared secret.
    HS256,
    /// HMAC with SHA-384, a shared secret.
    HS384,
    /// HMAC with SHA-512, a shared secret.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519 (RFC 8037; called `Ed25519` since RFC 9864).
    EdDSA,
}

/// A text names no algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no algorithm: use HS, RS, PS or ES with 256, 384 or 512, or EdDSA")]
pub struct NotAnAlgorithm(String);

/// What carries an algorithm out.
pub(super) enum Mechanism {
    /// One secret signs and verifies.
    Mac(hmac::Algorithm),
    /// A public key verifies.
    Signature(&'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: [Self; 13] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The registered name, as it stands in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether one shared secret both signs and verifies.
    pub fn is_shared_secret(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    pub(super) fn mechanism(self) -> Mechanism {
        Mechanism::Signature(match self {
            Self::HS256 => return Mechanism::Mac(hmac::HMAC_SHA256),
            Self::HS384 => return Mechanism::Mac(hmac::HMAC_SHA384),
            Self::HS512 => return Mechanism::Mac(hmac::HMAC_SHA512),
            Self::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &sig::RSA_PSS_2048_8192_SHA512,
            Self::ES256 => &sig::ECDSA_P256_SHA256_FIXED,
            Self::ES384 => &sig::ECDSA_P384_SHA384_FIXED,
            Self::ES512 => &sig::ECDSA_P521_SHA512_FIXED,
            Self::EdDSA => &sig::ED25519,
        })
    }

    /// Reads a public key for this algorithm: `SubjectPublicKeyInfo`, PKCS#1, or
    /// a raw point. `None` if it is of another kind, another curve or another size.
    pub(super) fn public_key(self, bytes: &[u8]) -> Option<ParsedPublicKey> {
        let Mechanism::Signature(algorithm) = self.mechanism() else {
            return None;
        };
        let is_rsa = self.name().starts_with(['R', 'P']);
        let key = ParsedPublicKey::new(algorithm, bytes).ok()?;
        (!is_rsa || has_sound_size(bytes)).then_some(key)
    }
}

/// Whether an RSA key is of a size that signatures are believed from (2048 to
/// 8192 bits). Parsing alone does not say; verifying would fail for each token.
fn has_sound_size(key: &[u8]) -> bool {
    let parsed = rsa::PublicKey::from_der(key).ok();
    let der: Option<PublicKeyX509Der<'_>> = parsed.and_then(|key| key.as_der().ok());
    der.is_some_and(|der| rsa::PublicEncryptingKey::from_der(der.as_ref()).is_ok())
}

impl FromStr for Algorithm {
    type Err = NotAnAlgorithm;

    fn from_str(name: &str) -> Result<Self, NotAnAlgorithm> {
        let named = |algorithm: &Self| match algorithm {
            Self::EdDSA => matches!(name, "EdDSA" | "Ed25519"),
            _ => algorithm.name() == name,
        };
        let found = Self::ALL.into_iter().find(named);
        found.ok_or_else(|| NotAnAlgorithm(name.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
