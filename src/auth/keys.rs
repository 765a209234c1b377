//! The keys tokens are verified with, replaceable while the process runs.
//!
//! Every key here is bound to one algorithm when it is read, and is of that
//! algorithm's family. So a public key can never be taken for an HMAC secret, nor
//! a secret for anything else, whatever a token's header says (RFC 8725 section 2.1).

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use super::{Algorithm, Rejected, crypto, jwk, jws::Signed, pem};
use crate::secret::Secret;

/// A set of verification keys. Cloning shares the set.
#[derive(Clone)]
pub struct KeySet(Arc<Shared>);

struct Shared {
    keys: RwLock<Arc<[Key]>>,
    /// The digest of what it was read from; none if [`KeySet::replace`] fills it, so
    /// that an unknown key may yet come.
    origin: Option<[u8; 32]>,
}

/// One key for one algorithm.
pub(super) struct Key {
    /// Its name in a JWKS.
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A text holds no usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAKey(pub String);

impl KeySet {
    /// One shared secret, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// It is empty, or an algorithm needs a public key instead.
    pub fn secret(secret: &Secret, algorithms: &[Algorithm]) -> Result<Self, NotAKey> {
        if secret.expose().is_empty() {
            return Err(NotAKey("the secret is empty, so anybody could sign".into()));
        }
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        let keys = Key::bound(None, &key, algorithms);
        Self::fixed(keys, algorithms, secret.expose().as_bytes())
    }

    /// Public keys in PEM: RSA, EC or Ed25519, as `PUBLIC KEY` (RFC 7468),
    /// `RSA PUBLIC KEY` (PKCS#1) or `CERTIFICATE`, whose key is taken and whose
    /// validity is not looked at. Several may follow each other; all are believed.
    ///
    /// # Errors
    /// One is no public key that is needed, or an algorithm is left without a key.
    pub fn pem(pem: &[u8], algorithms: &[Algorithm]) -> Result<Self, NotAKey> {
        let mut keys = Vec::new();
        for (count, der) in pem::public_keys(pem)?.iter().enumerate() {
            let read = Key::read(der, algorithms);
            if read.is_empty() {
                let what = "is not usable with any of the algorithms";
                let sizes = "RSA needs 2048 to 8192 bits, ES256 the curve P-256";
                return Err(NotAKey(format!("key {} {what}: {sizes}", count + 1)));
            }
            keys.extend(read);
        }
        Self::fixed(keys, algorithms, pem)
    }

    /// An empty set, to be filled from a JWKS URL.
    pub fn empty() -> Self {
        Self::new(Vec::new(), None)
    }

    /// Replaces all keys by those of a JWKS document (RFC 7517) and says how many
    /// it can use. Removed keys stop working; keys that are not understood or not
    /// for signatures are skipped.
    ///
    /// # Errors
    /// It is no JWKS; the keys of before stay.
    pub fn replace(&self, jwks: &[u8]) -> Result<usize, NotAKey> {
        let keys = jwk::keys(jwks)?;
        let usable = keys.iter().filter(|keys| !keys.is_empty()).count();
        let flat: Arc<[Key]> = keys.into_iter().flatten().collect();
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = flat;
        Ok(usable)
    }

    /// Whether one of the keys made this signature.
    pub(super) fn check(&self, signed: &Signed<'_>) -> Result<(), Rejected> {
        let keys = self.current();
        let kid = signed.kid.as_deref();
        let is_named = |key: &Key| kid.is_some() && key.kid.as_deref() == kid;
        let may_be = |key: &&Key| {
            key.algorithm == signed.algorithm
                && (kid.is_none() || key.kid.is_none() || is_named(key))
        };
        let made = |key: &Key| crypto::verifies(&key.key, signed);
        if keys.iter().filter(may_be).any(made) {
            return Ok(());
        }
        if self.0.origin.is_none() && !keys.iter().any(is_named) {
            return Err(Rejected::UnknownKey);
        }
        Err(Rejected::Invalid("the token's signature is wrong".into()))
    }

    /// Signs with the set's secret, if it has one for the algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let keys = self.current();
        let key = keys.iter().find(|key| key.algorithm == algorithm)?;
        crypto::sign(algorithm, &key.key, message)
    }

    fn fixed(keys: Vec<Key>, algorithms: &[Algorithm], text: &[u8]) -> Result<Self, NotAKey> {
        let lacks = |wanted: &&Algorithm| !keys.iter().any(|key| key.algorithm == **wanted);
        match algorithms.iter().find(lacks) {
            Some(algorithm) => {
                let wants = match algorithm.is_shared_secret() {
                    true => "a shared secret",
                    false => "a public key of its kind",
                };
                Err(NotAKey(format!("{algorithm} needs {wants}")))
            }
            None if keys.is_empty() => Err(NotAKey("no algorithm is named".into())),
            None => Ok(Self::new(keys, Some(text))),
        }
    }

    fn new(keys: Vec<Key>, text: Option<&[u8]>) -> Self {
        let keys = RwLock::new(keys.into());
        let origin = text.map(|text| {
            let mut origin = [0; 32];
            origin.copy_from_slice(digest(&SHA256, text).as_ref());
            origin
        });
        Self(Arc::new(Shared { keys, origin }))
    }

    fn current(&self) -> Arc<[Key]> {
        let keys = self.0.keys.read();
        keys.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Read from the same text, or filled together.
impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        let same = self.0.origin.is_some() && self.0.origin == other.0.origin;
        same || Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.current().len())
    }
}

impl Key {
    /// A public key in DER, for those of the algorithms that it suits.
    fn read(der: &[u8], algorithms: &[Algorithm]) -> Vec<Self> {
        let bound = |algorithm: &Algorithm| {
            let key = match algorithm.family() {
                AlgorithmFamily::Hmac => return Vec::new(),
                AlgorithmFamily::Rsa => DecodingKey::from_rsa_der(der),
                AlgorithmFamily::Ec => DecodingKey::from_ec_der(der),
                AlgorithmFamily::Ed => DecodingKey::from_ed_der(der),
            };
            Self::bound(None, &key, &[*algorithm])
        };
        algorithms.iter().flat_map(bound).collect()
    }

    /// A key, once for each of the algorithms that it suits.
    pub(super) fn bound(
        kid: Option<&str>,
        key: &DecodingKey,
        algorithms: &[Algorithm],
    ) -> Vec<Self> {
        let suiting = algorithms.iter().filter(|one| crypto::suits(key, **one));
        let bound = suiting.map(|algorithm| Self {
            kid: kid.map(Into::into),
            algorithm: *algorithm,
            key: key.clone(),
        });
        bound.collect()
    }
}
