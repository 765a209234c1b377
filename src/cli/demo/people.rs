//! Who may use the demo's app, and their tokens: real HS256 JWTs, made at login,
//! checked by the app itself and, with the same secret, by Outrigger.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderMap, header::AUTHORIZATION};
use serde::Serialize;
use serde_json::{Value, json};

use crate::secret::Secret;

/// A token is good for a working day; the demo has no refresh.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Somebody who may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct User {
    /// The id in the app's own database and in the token's `user_id`.
    pub(super) id: u64,
    /// The name at login.
    pub(super) login: &'static str,
    /// The name in frames.
    pub(super) name: &'static str,
}

/// All of them. The second name is not ASCII, so that spelling shows in frames.
pub(super) const USERS: [User; 2] = [
    User {
        id: 1,
        login: "ada",
        name: "Ada",
    },
    User {
        id: 2,
        login: "zoe",
        name: "Zoë",
    },
];

impl User {
    /// Finds a user by id.
    pub(super) fn by_id(id: u64) -> Option<Self> {
        USERS.into_iter().find(|user| user.id == id)
    }

    /// Finds a user by the name at login.
    pub(super) fn by_login(login: &str) -> Option<Self> {
        USERS.into_iter().find(|user| user.login == login)
    }

    /// Makes an access token.
    pub(super) fn token(self, secret: &Secret) -> String {
        let now = seconds();
        let claims = json!({
            "user_id": self.id, "token_type": "access", "iat": now, "exp": now + LIFETIME.as_secs(),
        });
        let part = |value: Value| BASE64URL.encode(value.to_string());
        let header = part(json!({ "alg": "HS256", "typ": "JWT" }));
        let signed = format!("{header}.{}", part(claims));
        let tag = hmac::sign(&key(secret), signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(tag))
    }
}

/// Who sent a request: by `Authorization: Bearer`, else by `?token=`, which is
/// how browsers open WebSockets.
pub(super) fn sender(headers: &HeaderMap, query: Option<&str>, secret: &Secret) -> Option<User> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = bearer.or_else(|| parameter(query, "token"))?;
    let claims = claims(token, secret)?;
    let good = claims["token_type"] == "access" && claims["exp"].as_u64()? > seconds();
    good.then(|| User::by_id(claims["user_id"].as_u64()?))?
}

/// The claims of a token that this app signed. The app makes only one kind, so
/// a header that promises another cannot be signed right.
fn claims(token: &str, secret: &Secret) -> Option<Value> {
    let (signed, tag) = token.rsplit_once('.')?;
    let tag = BASE64URL.decode(tag).ok()?;
    hmac::verify(&key(secret), signed.as_bytes(), &tag).ok()?;
    let (_, claims) = signed.split_once('.')?;
    serde_json::from_slice(&BASE64URL.decode(claims).ok()?).ok()
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
}

/// Seconds since 1970.
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A query parameter, as it stands there: tokens and names need no decoding.
pub(super) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_the_app_for_its_user_only_with_the_right_secret() {
        let secret = Secret::new("s3cret");
        let token = USERS[1].token(&secret);
        let query = format!("socket=a&token={token}");
        let none = HeaderMap::new();
        assert_eq!(sender(&none, Some(&query), &secret), Some(USERS[1]));
        assert_eq!(sender(&none, Some(&query), &Secret::new("other")), None);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        assert_eq!(sender(&headers, None, &secret), Some(USERS[1]));
        assert_eq!(sender(&none, None, &secret), None);
    }
}
