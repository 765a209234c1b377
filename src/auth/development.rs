//! Tokens for developers, signed with the config's own secret.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Rejected, Verifier};
use crate::secret::Secret;

/// Why no development token can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDevelopmentToken {
    /// The config holds public keys only.
    #[error("only a shared secret (HS256, HS384, HS512) can sign: the config has public keys")]
    NoSecret,
    /// The config asks for what only the app can say.
    #[error("the config would refuse it: {0}")]
    Refused(#[source] Rejected),
    /// The system gives no random bytes.
    #[error("no random bytes for the token's id")]
    NoRandom,
}

impl Verifier {
    /// Makes a token for a user that this verifier accepts, and no longer than
    /// `lifetime`. A user's id is a text or a whole number, as the app issues it;
    /// `extra` claims (`a.b` as in [`Verifier::user_claim`]) speak louder than ours.
    ///
    /// # Errors
    /// There is no secret to sign with, or no such token would be accepted.
    pub fn development_token(
        &self,
        user: Value,
        extra: &[(String, Value)],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Secret, NoDevelopmentToken> {
        let mut claims = self.development_claims(user, lifetime, now)?;
        for (name, value) in extra {
            insert(&mut claims, name, value.clone());
        }
        let token = self.sign(&claims).ok_or(NoDevelopmentToken::NoSecret)?;
        self.verify(&token, now)
            .map_err(NoDevelopmentToken::Refused)?;
        Ok(token)
    }

    fn development_claims(
        &self,
        user: Value,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Map<String, Value>, NoDevelopmentToken> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| NoDevelopmentToken::NoRandom)?;
        let issued = now.duration_since(SystemTime::UNIX_EPOCH);
        let issued = issued.unwrap_or_default().as_secs();
        let mut claims = Map::new();
        for (name, value) in &self.require {
            insert(&mut claims, name, value.clone());
        }
        insert(&mut claims, &self.user_claim, user);
        for (name, list) in [("iss", &self.issuers), ("aud", &self.audiences)] {
            if let Some(first) = list.first() {
                claims.insert(name.into(), json!(first));
            }
        }
        claims.insert("iat".into(), json!(issued));
        let expires = issued.saturating_add(lifetime.as_secs());
        claims.insert("exp".into(), json!(expires));
        claims.insert("jti".into(), json!(URL_SAFE_NO_PAD.encode(id)));
        Ok(claims)
    }

    fn sign(&self, claims: &Map<String, Value>) -> Option<Secret> {
        let algorithm = self.algorithms.iter().find(|one| one.is_shared_secret())?;
        let header = json!({ "alg": algorithm.name(), "typ": "JWT" }).to_string();
        let claims = serde_json::to_string(claims).ok()?;
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = format!("{header}.{claims}");
        let tag = self.keys.sign(*algorithm, message.as_bytes())?;
        let signature = URL_SAFE_NO_PAD.encode(tag);
        Some(Secret::new(format!("{message}.{signature}")))
    }
}

/// Puts a claim where [`super::claims::find`] finds it. A URL is one name.
fn insert(claims: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.').filter(|_| !name.contains('/')) {
        None => {
            claims.insert(name.into(), value);
        }
        Some((first, rest)) => {
            let inner = claims.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
