//! A signed token in its compact form (RFC 7515 section 7.1), taken apart but
//! not yet believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::decode_header;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Algorithm, Rejected};

/// The largest token that is looked at, in bytes: more than fits into the request
/// heads that servers take.
const LARGEST: usize = 16 * 1024;

/// A token whose signature has yet to be checked.
pub(super) struct Signed<'a> {
    /// The algorithm that the header names.
    pub(super) algorithm: Algorithm,
    /// The key that the header names.
    pub(super) kid: Option<String>,
    /// What was signed.
    pub(super) message: &'a str,
    /// The signature over it.
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

/// What counts of a header. One that names a member twice is refused by serde.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    is_critical: bool,
}

/// A header with an algorithm by a name that jsonwebtoken 11 does not know.
#[derive(Deserialize)]
struct UnlistedHeader {
    alg: Unlisted,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
enum Unlisted {
    ES512,
    /// RFC 9864.
    Ed25519,
}

impl<'a> Signed<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Result<Self, Rejected> {
        if token.len() > LARGEST {
            return Err(not_a_token("it is too long"));
        }
        let parts = token.rsplit_once('.').and_then(|(message, signature)| {
            let (header, payload) = message.split_once('.')?;
            Some((message, header, payload, signature))
        });
        let (message, header, payload, signature) =
            parts.ok_or_else(|| not_a_token("it does not have three parts"))?;
        let header = Header::read(token, header)?;
        if header.is_critical {
            // RFC 7515 section 4.1.11: what is critical must be understood.
            return Err(not_a_token("it needs an extension that is not known"));
        }
        Ok(Self {
            algorithm: header.algorithm,
            kid: header.kid,
            message,
            signature: decoded(signature)?,
            payload,
        })
    }

    /// What it says. To be asked after its signature was checked.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Rejected> {
        serde_json::from_slice(&decoded(self.payload)?)
            .map_err(|_| not_a_token("its claims are not a JSON object"))
    }
}

impl Header {
    fn read(token: &str, encoded: &str) -> Result<Self, Rejected> {
        let listed = decode_header(token).ok().and_then(Self::listed);
        if let Some(header) = listed {
            return Ok(header);
        }
        let header: UnlistedHeader = serde_json::from_slice(&decoded(encoded)?)
            .map_err(|_| not_a_token("its header cannot be read or its algorithm is not known"))?;
        Ok(Self {
            algorithm: match header.alg {
                Unlisted::ES512 => Algorithm::ES512,
                Unlisted::Ed25519 => Algorithm::EdDSA,
            },
            kid: header.kid,
            is_critical: header.crit.is_some(),
        })
    }

    fn listed(header: jsonwebtoken::Header) -> Option<Self> {
        let is_named = |algorithm: &Algorithm| algorithm.listed() == Some(header.alg);
        Some(Self {
            algorithm: Algorithm::ALL.into_iter().find(is_named)?,
            kid: header.kid,
            is_critical: header.crit.is_some(),
        })
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Rejected> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| not_a_token("it is not base64url"))
}

fn not_a_token(why: &str) -> Rejected {
    Rejected::Invalid(format!("not a signed token: {why}"))
}
