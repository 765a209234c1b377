//! A signed token in its compact form (RFC 7515 section 7.1), taken apart but
//! not yet believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Rejected;

/// The largest token that is looked at, in bytes: more than fits into the request
/// heads that servers take.
const LARGEST: usize = 16 * 1024;

/// A token whose signature has yet to be checked.
pub(super) struct Signed<'a> {
    /// The algorithm that the header names.
    pub(super) alg: String,
    /// The key that the header names.
    pub(super) kid: Option<String>,
    /// What was signed.
    pub(super) message: &'a str,
    /// The signature over it.
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

/// A header that names a member twice is refused by serde.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
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
        let header: Header = serde_json::from_slice(&decoded(header)?)
            .map_err(|_| not_a_token("its header cannot be read"))?;
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: what is critical must be understood.
            return Err(not_a_token("it needs an extension that is not known"));
        }
        Ok(Self {
            alg: header.alg,
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

fn decoded(part: &str) -> Result<Vec<u8>, Rejected> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| not_a_token("it is not base64url"))
}

fn not_a_token(why: &str) -> Rejected {
    Rejected::Invalid(format!("not a signed token: {why}"))
}
