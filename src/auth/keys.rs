//! The keys tokens are verified with, replaceable while the process runs.

use std::sync::{Arc, RwLock};

use crate::secret::Secret;

pub use jsonwebtoken::Algorithm;

/// A set of verification keys. Cloning shares the set.
#[derive(Clone, Debug)]
pub struct KeySet(Arc<RwLock<Vec<Key>>>);

#[derive(Debug)]
struct Key;

/// A text holds no usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAKey(pub String);

impl KeySet {
    /// One shared secret (HS256, HS384, HS512).
    pub fn secret(secret: &Secret) -> Self {
        let _ = secret;
        Self(Arc::default())
    }

    /// One public key in PEM (RSA, EC or Ed25519).
    ///
    /// # Errors
    /// It is no public key, or none of the kind the algorithms need.
    pub fn pem(pem: &[u8], algorithms: &[Algorithm]) -> Result<Self, NotAKey> {
        let _ = (pem, algorithms);
        Ok(Self(Arc::default()))
    }

    /// An empty set, to be filled from a JWKS URL.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// Replaces all keys by those of a JWKS document (RFC 7517). Removed keys stop working.
    ///
    /// # Errors
    /// It is no JWKS; the keys of before stay.
    pub fn replace(&self, jwks: &[u8]) -> Result<usize, NotAKey> {
        let _ = jwks;
        Ok(0)
    }
}
