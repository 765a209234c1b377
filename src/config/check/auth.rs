//! `[auth]`: how clients are told who they are.

use std::{ops::Range, sync::Arc, time::Duration};

use toml::Spanned;

use super::{
    super::raw,
    Check,
    source::{secret_file, short_secret},
};
use crate::{
    auth::{self, Algorithm, Empty, FallThrough, KeySet, Repeated, TokenSources, Verifier},
    jwks,
    routes::{AskApp, Auth, Method},
    secret::Secret,
};

pub(super) fn auth(check: &mut Check<'_>, raw: &raw::Auth) -> (Auth, Option<jwks::Settings>) {
    let (method, jwks) = match (&raw.jwt, &raw.app) {
        (Some(jwt), Some(app)) => {
            let help = "keep the one that knows the user";
            check.error(
                app.span(),
                "[auth.app] and [auth.jwt] cannot both say who a client is",
                help,
            );
            verifier(check, jwt)
        }
        (Some(jwt), None) => verifier(check, jwt),
        (None, Some(app)) => (ask_app(check, app), None),
        (None, None) => (Method::None, None),
    };
    let tokens = tokens(raw);
    (Auth { tokens, method }, jwks)
}

fn tokens(raw: &raw::Auth) -> TokenSources {
    let usual = || {
        let header = auth::TokenSource::Header(http::header::AUTHORIZATION);
        vec![header, auth::TokenSource::Query("token".into())]
    };
    let written = raw.token.as_ref();
    let written = written.map(|list| list.iter().map(|source| source.0.clone()).collect());
    TokenSources {
        sources: written.unwrap_or_else(usual),
        fall_through: match raw.fall_through {
            Some(raw::FallThrough::Invalid) => FallThrough::Invalid,
            Some(raw::FallThrough::Absent) | None => FallThrough::Absent,
        },
        repeated: match raw.repeated {
            Some(raw::Repeated::Last) => Repeated::Last,
            Some(raw::Repeated::First) | None => Repeated::First,
        },
        empty: match raw.empty {
            Some(raw::Empty::Bad) => Empty::Bad,
            Some(raw::Empty::Absent) | None => Empty::Absent,
        },
    }
}

fn ask_app(check: &mut Check<'_>, app: &Spanned<raw::AskApp>) -> Method {
    let (span, raw) = (app.span(), app.get_ref());
    if raw.url.is_none() {
        check.error(
            span.clone(),
            "[auth.app] has no url",
            "add url = \"/api/me/\"",
        );
    }
    let pointer = raw.user.as_ref();
    if let Some(user) = pointer.filter(|user| !user.get_ref().starts_with('/')) {
        let message = format!("`{}` is not a JSON pointer", user.get_ref());
        check.error(
            user.span(),
            message,
            "write the way to the id with slashes: /id or /user/id",
        );
    }
    Method::App(AskApp {
        path: raw
            .url
            .as_ref()
            .map_or_else(String::new, |url| url.get_ref().0.clone()),
        user: pointer.map_or_else(|| "/id".into(), |user| user.get_ref().clone()),
        cache: raw.cache.map_or(Duration::from_secs(10), |time| time.0),
        timeout: raw.timeout.map_or(Duration::from_secs(5), |wait| wait.0),
    })
}

fn verifier(check: &mut Check<'_>, jwt: &Spanned<raw::Jwt>) -> (Method, Option<jwks::Settings>) {
    let raw = jwt.get_ref();
    let algorithms = algorithms(check, jwt);
    let keys = keys(check, jwt, &algorithms).unwrap_or_else(KeySet::empty);
    let jwks = raw.jwks_url.as_ref().map(|url| jwks::Settings {
        address: url.get_ref().address.clone(),
        path: url.get_ref().path.clone(),
        refresh: raw
            .jwks_refresh
            .map_or(Duration::from_secs(300), |wait| wait.0),
        cooldown: raw
            .jwks_cooldown
            .map_or(Duration::from_secs(10), |wait| wait.0),
        keys: keys.clone(),
    });
    let require = raw.require.0.iter();
    let expires = || vec!["exp".to_owned()];
    let verifier = Verifier {
        algorithms,
        keys,
        user_claim: raw.user_claim.clone().unwrap_or_else(|| "sub".into()),
        issuers: raw.issuers.clone(),
        audiences: raw.audiences.clone(),
        require: require
            .map(|(name, value)| (name.get_ref().clone(), value.get_ref().json()))
            .collect(),
        required_claims: raw.required_claims.clone().unwrap_or_else(expires),
        leeway: raw.leeway.map_or(Duration::ZERO, |time| time.0),
        refuse_future_iat: raw.refuse_future_iat.unwrap_or(false),
    };
    (Method::Jwt(Arc::new(verifier)), jwks)
}

fn shared(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

fn algorithms(check: &mut Check<'_>, jwt: &Spanned<raw::Jwt>) -> Vec<Algorithm> {
    let raw = jwt.get_ref();
    if raw.algorithms.is_empty() {
        let help = "add algorithms = [\"HS256\"], or what the app signs with";
        check.error(
            jwt.span(),
            "[auth.jwt] does not say which algorithms are believed",
            help,
        );
    }
    let public = raw.public_key_file.is_some() || raw.jwks_url.is_some();
    let secret = raw.secret.is_some() || raw.secret_env.is_some() || raw.secret_file.is_some();
    for algorithm in &raw.algorithms {
        let name = algorithm.get_ref().0;
        if public && shared(name) {
            let message = format!("{name:?} needs a secret, and this key is public");
            let help = "anybody could sign with it: name RS256, ES256 or EdDSA, or use secret_env";
            check.error(algorithm.span(), message, help);
        }
        if secret && !public && !shared(name) {
            let message = format!("{name:?} is verified with a public key, not with a secret");
            check.error(
                algorithm.span(),
                message,
                "use public_key_file or jwks_url, or name HS256",
            );
        }
    }
    raw.algorithms
        .iter()
        .map(|algorithm| algorithm.get_ref().0)
        .collect()
}

/// Where the one key is named.
fn one_key(check: &mut Check<'_>, jwt: &Spanned<raw::Jwt>) -> Option<Range<usize>> {
    let raw = jwt.get_ref();
    let places = [
        raw.secret.as_ref().map(Spanned::span),
        raw.secret_env.as_ref().map(Spanned::span),
        raw.secret_file.as_ref().map(Spanned::span),
        raw.public_key_file.as_ref().map(Spanned::span),
        raw.jwks_url.as_ref().map(Spanned::span),
    ];
    let mut places = places.into_iter().flatten();
    let ways = "one of secret_env, secret_file, public_key_file and jwks_url";
    let first = places.next();
    if first.is_none() {
        check.error(
            jwt.span(),
            "[auth.jwt] has no key to verify with",
            format!("add {ways}"),
        );
    }
    if let Some(second) = places.next() {
        check.error(
            second,
            "[auth.jwt] has more than one key",
            format!("keep {ways}"),
        );
    }
    first
}

fn keys(
    check: &mut Check<'_>,
    jwt: &Spanned<raw::Jwt>,
    algorithms: &[Algorithm],
) -> Option<KeySet> {
    let raw = jwt.get_ref();
    let span = one_key(check, jwt)?;
    let secret = match (&raw.secret, &raw.secret_env, &raw.secret_file) {
        (Some(text), _, _) => Some(text.get_ref().clone()),
        (_, Some(name), _) => Some(check.variable(name)?),
        (_, _, Some(path)) => Some(secret_file(check, path)?),
        _ => None,
    };
    // Algorithms of the other kind are a mistake that is known by now.
    let fitting = |wanted: bool| -> Vec<_> {
        let fits = |algorithm: &Algorithm| shared(*algorithm) == wanted;
        algorithms.iter().copied().filter(fits).collect()
    };
    let (read, help) = if let Some(secret) = secret {
        short_secret(check, secret.len(), span.clone());
        let help = "write one that is long and random: openssl rand -base64 32";
        (
            KeySet::secret(&Secret::new(secret), &some(fitting(true))?),
            help,
        )
    } else if let Some(path) = &raw.public_key_file {
        let help = "the file holds a public key in PEM: -----BEGIN PUBLIC KEY-----";
        (
            KeySet::pem(&check.file(path)?, &some(fitting(false))?),
            help,
        )
    } else {
        return Some(KeySet::empty());
    };
    read.map_err(|error| check.error(span, error.to_string(), help))
        .ok()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
