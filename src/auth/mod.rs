//! A credential becomes an [`Identity`]. Pure: no I/O happens here. Keys from a
//! JWKS URL are fed in by a task of their own, and asking the app who somebody is
//! belongs to the session; both fill the types of this room.

mod algorithm;
mod claims;
mod crypto;
mod development;
mod jwk;
mod jws;
mod keys;
mod pem;
mod token;
mod verifier;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value};

use crate::event::UserId;

pub use algorithm::{Algorithm, NotAnAlgorithm};
pub use development::NoDevelopmentToken;
pub use keys::{KeySet, NotAKey};
pub use token::{Empty, FallThrough, Repeated, Token, TokenSource, TokenSources};
pub use verifier::{Rejected, Verifier};

/// Who a client is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The user's id as text.
    pub user: UserId,
    /// The id as it was issued: a number stays a number.
    pub user_value: Value,
    /// All verified claims, or the app's whole answer.
    pub claims: Arc<Map<String, Value>>,
    /// When the credential runs out.
    pub expires_at: Option<SystemTime>,
}
