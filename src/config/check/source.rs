//! `[source.webhook]` and `[source.sse]`: where events come from.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use toml::Spanned;

use super::{
    super::{Settings, raw, value::Short},
    Check,
};
use crate::{
    rollout::Share,
    routes::{self, Endpoint, Step},
    secret::Secret,
    source::sse,
};

/// Shorter secrets can be guessed (RFC 2104 asks for the length of the hash; this
/// is the least that is not a mistake).
pub(super) const LEAST_SECRET: usize = 16;

pub(super) fn webhook(check: &mut Check<'_>, raw: &raw::Source) -> Option<routes::Webhook> {
    let webhook = raw.webhook.as_ref()?;
    let (span, raw) = (webhook.span(), webhook.get_ref());
    let secrets = hook_secrets(check, raw);
    let named = raw.secret.is_some() || raw.secret_file.is_some();
    if !named && raw.secret_env.is_none() && raw.secrets_env.is_empty() {
        let help = "name the variable that holds it: secret_env = \"OUTRIGGER_WEBHOOK_SECRET\"";
        check.error(span, "the webhook needs a secret", help);
    }
    Some(routes::Webhook {
        secrets,
        tolerance: raw
            .tolerance
            .map_or(Duration::from_secs(300), |wait| wait.0),
        max_body: raw.max_body.map_or(1 << 20, |size| size.0),
    })
}

/// Endpoints that send events where nothing brings any.
pub(super) fn unfed(check: &mut Check<'_>, file: &raw::File, settings: &Settings) {
    let mut steps = settings.endpoints.iter().flat_map(Endpoint::steps);
    let publishes = steps.any(|step| matches!(step, Step::Publish(_)));
    let fed = settings.webhook.is_some()
        || settings.sse.is_some()
        || settings.channel_layer.is_some()
        || !settings.exchanges.is_empty();
    if fed || publishes {
        return;
    }
    let sends = |name: &str| {
        let mut all = settings.endpoints.iter();
        let endpoint = all.find(|endpoint| &*endpoint.name == name);
        endpoint.is_some_and(|one| {
            let nobody = one.rollout.share == Share::Off && one.rollout.always.is_empty();
            !nobody && !one.frames.kinds().is_empty()
        })
    };
    let names = file.endpoint.iter();
    for name in names.filter_map(|endpoint| endpoint.get_ref().name.as_ref()) {
        if sends(name.get_ref()) {
            let message = format!("no events reach `{}`", name.get_ref());
            let help =
                "add [source.webhook], [source.sse], [source.channel_layer] or [[source.exchange]]";
            check.warn(name.span(), message, help);
        }
    }
}

/// All that are named: while they are exchanged, the old and the new one.
fn hook_secrets(check: &mut Check<'_>, raw: &raw::Webhook) -> Vec<Secret> {
    let mut found = Vec::new();
    for name in raw.secret_env.iter().chain(&raw.secrets_env) {
        found.push((check.variable(name), name.span()));
    }
    if let Some(path) = &raw.secret_file {
        found.push((secret_file(check, path), path.span()));
    }
    if let Some(secret) = &raw.secret {
        found.push((Some(secret.get_ref().clone()), secret.span()));
    }
    let found = found.into_iter();
    found
        .filter_map(|(text, span)| hook_secret(check, &text?, span))
        .collect()
}

/// A key as Standard Webhooks writes it (`whsec_` and base64), or any other text.
fn hook_secret(check: &mut Check<'_>, text: &str, span: std::ops::Range<usize>) -> Option<Secret> {
    let length = match text.strip_prefix("whsec_") {
        None => text.len(),
        Some(encoded) => match STANDARD.decode(encoded) {
            Ok(bytes) => bytes.len(),
            Err(_) => {
                let help = "after `whsec_` comes base64; a plain text has no `whsec_`";
                check.error(span, "this webhook secret is not what it says", help);
                return None;
            }
        },
    };
    short_secret(check, length, span);
    Some(Secret::new(text))
}

/// Warns of a secret that can be guessed.
pub(super) fn short_secret(check: &mut Check<'_>, length: usize, span: std::ops::Range<usize>) {
    if length < LEAST_SECRET {
        let message = format!("this secret has only {length} bytes and can be guessed");
        check.warn(span, message, "make a new one: openssl rand -base64 32");
    }
}

/// The text of a file, without the newline at its end.
pub(super) fn secret_file(check: &mut Check<'_>, path: &Spanned<PathBuf>) -> Option<String> {
    let bytes = check.file(path)?;
    let text = String::from_utf8(bytes)
        .ok()
        .map(|text| text.trim_end().to_owned());
    let text = text.filter(|text| !text.is_empty());
    if text.is_none() {
        let message = format!("`{}` holds no text", path.get_ref().display());
        check.error(
            path.span(),
            message,
            "write the secret into it, on one line",
        );
    }
    text
}

pub(super) fn sse(check: &mut Check<'_>, raw: &raw::Source) -> Option<sse::Settings> {
    let sse = raw.sse.as_ref()?;
    let (span, raw) = (sse.span(), sse.get_ref());
    let headers = raw.headers.0.iter();
    let headers = headers
        .filter_map(|(name, value)| header(check, name, value))
        .collect();
    let Some(url) = &raw.url else {
        let help = "add url = \"http://127.0.0.1:8000/events/\"";
        check.error(span, "the event stream has no url", help);
        return None;
    };
    Some(sse::Settings {
        address: url.get_ref().address.clone(),
        path: url.get_ref().path.clone(),
        headers,
        silence: raw.silence.map_or(Duration::from_secs(60), |wait| wait.0),
        max_backoff: raw
            .max_backoff
            .map_or(Duration::from_secs(30), |wait| wait.0),
    })
}

fn header(
    check: &mut Check<'_>,
    name: &Spanned<String>,
    value: &Spanned<Short<raw::FromEnv>>,
) -> Option<(HeaderName, HeaderValue)> {
    let text = match value.get_ref() {
        Short::Word(text) => Some(text.clone()),
        Short::Full(from) => check.variable(&Spanned::new(value.span(), from.env.clone())),
        Short::Switch(_) => None,
    };
    let parsed = text
        .as_ref()
        .and_then(|text| HeaderValue::from_str(text).ok());
    if parsed.is_none() && (text.is_some() || matches!(value.get_ref(), Short::Switch(_))) {
        let help = "write a text of one line, or { env = \"NAME\" }";
        check.error(value.span(), "this is not a header's value", help);
    }
    let name = header_name(check, name)?;
    let mut value = parsed?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The name of a header that may be set.
pub(super) fn header_name(check: &mut Check<'_>, name: &Spanned<String>) -> Option<HeaderName> {
    match super::super::named::header_name(name.get_ref()) {
        Ok(name) => Some(name),
        Err((message, help)) => {
            check.error(name.span(), message, help);
            None
        }
    }
}
