//! The signature algorithms of JSON Web Tokens (RFC 7518 section 3.1) by name.
//! `none` is not among them.

use std::{fmt, str::FromStr};

use jsonwebtoken::{Algorithm as Listed, AlgorithmFamily};

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

    /// The same in jsonwebtoken, which lacks ES512.
    pub(super) fn listed(self) -> Option<Listed> {
        Some(match self {
            Self::HS256 => Listed::HS256,
            Self::HS384 => Listed::HS384,
            Self::HS512 => Listed::HS512,
            Self::RS256 => Listed::RS256,
            Self::RS384 => Listed::RS384,
            Self::RS512 => Listed::RS512,
            Self::PS256 => Listed::PS256,
            Self::PS384 => Listed::PS384,
            Self::PS512 => Listed::PS512,
            Self::ES256 => Listed::ES256,
            Self::ES384 => Listed::ES384,
            Self::ES512 => return None,
            Self::EdDSA => Listed::EdDSA,
        })
    }

    /// The kind of key it takes.
    pub(super) fn family(self) -> AlgorithmFamily {
        self.listed().map_or(AlgorithmFamily::Ec, Listed::family)
    }
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
