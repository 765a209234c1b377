//! A JWT (RFC 7519) becomes an identity, or a reason why not.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::{Algorithm, Identity, KeySet, claims, jws::Signed};
use crate::secret::Secret;

/// The rules a token must keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Verifier {
    /// Algorithms that are believed; a token of any other is refused.
    pub algorithms: Vec<Algorithm>,
    /// The keys.
    pub keys: KeySet,
    /// Which claim is the user's id; `a.b` is claim `b` of the object `a`, here and
    /// in the two lists below.
    pub user_claim: String,
    /// Issuers that are believed; empty: any.
    pub issuers: Vec<String>,
    /// Audiences of which the token must name one; empty: `aud` is not looked at.
    pub audiences: Vec<String>,
    /// Claims that must have this value, such as `token_type = "access"`.
    pub require: Vec<(String, Value)>,
    /// Claims that must be there, such as `exp`.
    pub required_claims: Vec<String>,
    /// How far clocks may differ for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// Whether a token issued in the future is refused.
    pub refuse_future_iat: bool,
}

/// Why a token was refused. Never says the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is none, its signature is wrong, or a claim is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// It ran out.
    #[error("the token has expired")]
    Expired,
    /// It names a key that the set does not hold; fetching the set anew may help.
    #[error("the token's key is not known")]
    UnknownKey,
}

impl Verifier {
    /// Checks a token at a moment.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &Secret, now: SystemTime) -> Result<Identity, Rejected> {
        let signed = Signed::parse(token.expose())?;
        self.check_algorithm(signed.algorithm)?;
        self.keys.check(&signed)?;
        let said = signed.claims()?;
        let expires_at = self.check_times(&said, now)?;
        self.check_parties(&said)?;
        self.check_claims(&said)?;
        let value = claims::find(&said, &self.user_claim);
        let value = value.ok_or_else(|| lacks(&self.user_claim))?.clone();
        let user = claims::user(&value);
        Ok(Identity {
            user: user.ok_or_else(|| {
                invalid(format!("claim `{}` is not a user's id", self.user_claim))
            })?,
            user_value: value,
            claims: said.into(),
            expires_at,
        })
    }

    fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), Rejected> {
        match self.algorithms.contains(&algorithm) {
            true => Ok(()),
            false => Err(invalid(format!(
                "the token is signed with {algorithm}, which is not allowed"
            ))),
        }
    }

    /// Says when the token runs out, the leeway counted in.
    fn check_times(
        &self,
        said: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Rejected> {
        let expires_at = claims::moment(said, "exp")?.and_then(|at| at.checked_add(self.leeway));
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Rejected::Expired);
        }
        let latest = now.checked_add(self.leeway).unwrap_or(now);
        if claims::moment(said, "nbf")?.is_some_and(|at| at > latest) {
            return Err(invalid("the token is not valid yet".into()));
        }
        if self.refuse_future_iat && claims::moment(said, "iat")?.is_some_and(|at| at > latest) {
            return Err(invalid("the token was issued in the future".into()));
        }
        Ok(expires_at)
    }

    fn check_parties(&self, said: &Map<String, Value>) -> Result<(), Rejected> {
        let is_one_of =
            |value: &Value, list: &[String]| list.iter().any(|one| value.as_str() == Some(one));
        let issuer = said.get("iss");
        if !self.issuers.is_empty() && !issuer.is_some_and(|iss| is_one_of(iss, &self.issuers)) {
            return Err(invalid("the token's issuer is not believed".into()));
        }
        let audience = match said.get("aud") {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        if !self.audiences.is_empty() && !audience.iter().any(|a| is_one_of(a, &self.audiences)) {
            return Err(invalid("the token is for another audience".into()));
        }
        Ok(())
    }

    fn check_claims(&self, said: &Map<String, Value>) -> Result<(), Rejected> {
        let is_there = |name| claims::find(said, name).is_some_and(|value| !value.is_null());
        if let Some(name) = self.required_claims.iter().find(|name| !is_there(name)) {
            return Err(lacks(name));
        }
        let differs = |(name, value): &&(String, Value)| claims::find(said, name) != Some(value);
        match self.require.iter().find(differs) {
            Some((name, value)) => Err(invalid(format!("claim `{name}` is not {value}"))),
            None => Ok(()),
        }
    }
}

fn invalid(why: String) -> Rejected {
    Rejected::Invalid(why)
}

fn lacks(claim: &str) -> Rejected {
    invalid(format!("the token lacks claim `{claim}`"))
}
