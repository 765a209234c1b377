//! Keys out of a JWKS document (RFC 7517 section 5, RFC 7518 section 6).
//!
//! A key that is not understood is skipped, as section 5 asks. So are symmetric
//! ones: a secret that is published at a URL is none.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::RsaPublicKeyComponents,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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

#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    #[serde(flatten)]
    material: Material,
}

#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Material {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: String, x: String },
}

/// The keys of a document, each bound to the algorithms it is for: none if it is
/// of no use here.
pub(super) fn keys(document: &[u8]) -> Result<Vec<Vec<Key>>, NotAKey> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| NotAKey(format!("not a JWKS document: {error}")))?;
    let bound = |key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        jwk.bind()
    };
    let keys = document.keys.into_iter();
    Ok(keys.map(|key| bound(key).unwrap_or_default()).collect())
}

impl Jwk {
    fn bind(&self) -> Option<Vec<Key>> {
        let verifies = self.purpose.as_deref().is_none_or(|to| to == "sig")
            && (self.key_ops.as_ref()).is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let named: Option<Algorithm> = self.alg.as_deref().map(str::parse).transpose().ok()?;
        let mut algorithms = self.material.algorithms().to_vec();
        algorithms.retain(|algorithm| named.is_none_or(|named| named == *algorithm));
        let key = self.material.bytes().filter(|_| verifies)?;
        Some(Key::public(self.kid.as_deref(), &key, &algorithms))
    }
}

impl Material {
    /// The algorithms that a key of this kind may be for.
    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa { .. } => &RSA,
            Self::Ec { crv, .. } => match crv.as_str() {
                "P-256" => &[Algorithm::ES256],
                "P-384" => &[Algorithm::ES384],
                "P-521" => &[Algorithm::ES512],
                _ => &[],
            },
            Self::Okp { crv, .. } if crv == "Ed25519" => &[Algorithm::EdDSA],
            Self::Okp { .. } => &[],
        }
    }

    /// The key as the crypto library reads it: DER, or the raw point.
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa { n, e } => {
                let (n, e) = (number(n)?, number(e)?);
                let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().ok()?;
                Some(der.as_ref().to_vec())
            }
            // 4: an uncompressed point (SEC 1 section 2.3.3).
            Self::Ec { x, y, .. } => Some([vec![4], decoded(x)?, decoded(y)?].concat()),
            Self::Okp { x, .. } => decoded(x),
        }
    }
}

/// A big-endian number; some issuers pad it with zeros, against RFC 7518.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decoded(text)?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}
