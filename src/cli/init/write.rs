//! The config's text, proved before anybody sees it: each endpoint is added to what
//! the check has already let pass. What it refuses is made smaller or left out, and
//! said so.

use std::path::Path;

use super::{
    choices::{Auth, Choices, Events},
    found::{Jwt, Kind, Layer, Note},
    propose::{Draft, key, quoted},
};
use crate::{
    cli::output::Failure,
    config::{self, Overrides, Severity},
};

/// A proved config.
pub(super) struct Written {
    pub(super) text: String,
    /// The drafts that are in it.
    pub(super) drafts: Vec<Draft>,
    /// Those that could not be.
    pub(super) left_out: Vec<Draft>,
}

/// Puts a config together that passes `outrigger check`.
pub(super) fn write(choices: &Choices, drafts: Vec<Draft>) -> Result<Written, Failure> {
    let mut text = head(choices);
    prove(&text).map_err(|why| {
        let what = format!("what was found of tokens and sources gives no config: {why}");
        Failure::new(
            what,
            "say it by flags: --auth app --ask-url /api/me/ --events webhook",
        )
    })?;
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    for mut draft in drafts {
        proposable(&text, &mut draft);
        let whole = format!("{text}{}", table(&draft));
        let Err(why) = prove(&whole) else {
            text = whole;
            taken.push(draft);
            continue;
        };
        let note = |why: String| Note::new(&draft.place, why);
        let refused = note(format!("not all of it passes the check ({why})"));
        draft.notes.push(refused);
        reduce(&text, &mut draft);
        match prove(&format!("{text}{}", table(&draft))) {
            Ok(()) => {
                text.push_str(&table(&draft));
                taken.push(draft);
            }
            Err(why) => {
                let note = Note::new(&draft.place, format!("it is not in the config ({why})"));
                draft.notes.push(note);
                left_out.push(draft);
            }
        }
    }
    Ok(Written {
        text,
        drafts: taken,
        left_out,
    })
}

/// A proposal has to pass the check too, once its signs of a comment are gone.
fn proposable(before: &str, draft: &mut Draft) {
    let known = draft.tables.len();
    draft.tables.extend(draft.proposals.iter().cloned());
    let bad = prove(&format!("{before}{}", table(draft))).is_err();
    draft.tables.truncate(known);
    if bad && prove(&format!("{before}{}", table(draft))).is_ok() {
        draft.proposals.clear();
    }
}

/// Leaves out what the check refuses. Without its door, nothing of an endpoint stays but
/// its path.
fn reduce(before: &str, draft: &mut Draft) {
    let (keys, groups) = (std::mem::take(&mut draft.keys), draft.groups());
    draft.tables.clear();
    for key in keys {
        draft.keys.push(key);
        let Err(why) = prove(&format!("{before}{}", table(draft))) else {
            continue;
        };
        let key = draft.keys.pop().unwrap_or_default();
        draft
            .notes
            .push(Note::new(&draft.place, format!("left out: {key} ({why})")));
        if key.starts_with("permit") || key.starts_with("topics") {
            return draft.keys.clear();
        }
    }
    for group in groups {
        let known = draft.tables.len();
        draft.tables.extend(group.iter().cloned());
        if let Err(why) = prove(&format!("{before}{}", table(draft))) {
            draft.tables.truncate(known);
            let group = group.join("; ");
            draft.notes.push(Note::new(
                &draft.place,
                format!("left out: {group} ({why})"),
            ));
        }
    }
}

/// Whether `outrigger check` lets a text pass, once its variables are set.
fn prove(text: &str) -> Result<(), String> {
    let environment = |_: &str| Some("a secret that is long enough for every use".to_owned());
    let parsed = config::parse(
        text,
        Path::new("outrigger.toml"),
        &Overrides::default(),
        &environment,
    );
    let Err(report) = parsed else { return Ok(()) };
    let mut problems = report.problems().iter();
    let first = problems.find(|problem| problem.severity == Severity::Error);
    Err(first.map_or_else(String::new, |problem| problem.message.clone()))
}

/// All but the endpoints.
fn head(choices: &Choices) -> String {
    let mut text = format!(
        "# Written by `outrigger init`. All keys: docs/configuration.md.\n\
         #   outrigger check outrigger.toml    says what is wrong with it, with the place\n\n\
         [listen]\naddress = {}\n\n[app]\naddress = {}\n\n",
        quoted(&choices.listen.to_string()),
        quoted(&choices.app.to_string()),
    );
    text.push_str("[auth]\n");
    if !choices.token.is_empty() {
        let places: Vec<_> = choices.token.iter().map(|place| quoted(place)).collect();
        text.push_str(&format!("token = [{}]\n", places.join(", ")));
    }
    if choices.kind == Kind::Fastapi {
        text.push_str("repeated = \"last\"  # as Starlette reads the query\n");
    }
    text.push_str(&auth(&choices.auth));
    match choices.events {
        Events::Webhook => text.push_str(WEBHOOK),
        Events::ChannelLayer => text.push_str(&layer(choices.layer.as_ref())),
        Events::None => {}
    }
    text
}

const WEBHOOK: &str = "\n# What the app posts to /outrigger/events, signed.\n\
    [source.webhook]\nsecret_env = \"OUTRIGGER_WEBHOOK_SECRET\"\n";

/// The app's channel layer, all but its secrets.
fn layer(layer: Option<&Layer>) -> String {
    let mut text = "\n# Outrigger joins the groups of Channels in the app's Redis. A password comes from the\n\
        # environment: password_env.\n[source.channel_layer]\n".to_owned();
    let redis = layer
        .and_then(|layer| layer.redis.as_deref())
        .filter(|url| url.is_ascii());
    text.push_str(&format!(
        "redis = {}",
        quoted(redis.unwrap_or("redis://127.0.0.1:6379/0"))
    ));
    let from = layer
        .and_then(|layer| layer.redis_env.as_ref())
        .filter(|_| redis.is_none());
    match from {
        Some(name) => text.push_str(&format!("  # TODO: the app reads it from {name}\n")),
        None if redis.is_none() => text.push_str("  # TODO: as in CHANNEL_LAYERS\n"),
        None => text.push('\n'),
    }
    let Some(layer) = layer else { return text };
    if layer.backend.contains("pubsub") {
        text.push_str("layer = \"pubsub\"\n");
    }
    let known = text.clone();
    if let Some(prefix) = &layer.prefix {
        text.push_str(&format!("prefix = {}\n", quoted(prefix)));
    }
    if prove(&text).is_err() {
        text = known;
    }
    if let Some(name) = layer.key_env.as_ref().filter(|_| layer.encrypted) {
        text.push_str(&format!("encryption_keys_env = [{}]\n", quoted(name)));
    } else if layer.encrypted {
        text.push_str(
            "# TODO: the app encrypts its messages: name the variables that hold the keys\n\
            #encryption_keys_env = [\"CHANNEL_LAYER_KEY\"]\n",
        );
    }
    text
}

fn auth(auth: &Auth) -> String {
    match auth {
        Auth::App { url } => format!(
            "\n# The app is asked who a client is, with the client's own cookies and headers.\n\
             # TODO: a URL of yours that answers a logged in user with JSON, others with 401 or 403.\n\
             [auth.app]\nurl = {}\nuser = \"/id\"\n",
            quoted(url)
        ),
        Auth::Jwt(jwt) => {
            let mut text = format!(
                "\n[auth.jwt]\nalgorithms = [{}]\n{}user_claim = {}\n",
                quoted(&jwt.algorithm),
                verified_by(jwt),
                quoted(&jwt.user_claim),
            );
            if let Some((claim, value)) = &jwt.require {
                text.push_str(&format!(
                    "require = {{ {} = {} }}\n",
                    key(claim),
                    quoted(value)
                ));
            }
            if let Some(issuer) = &jwt.issuer {
                text.push_str(&format!("issuers = [{}]\n", quoted(issuer)));
            }
            if let Some(audience) = &jwt.audience {
                text.push_str(&format!("audiences = [{}]\n", quoted(audience)));
            }
            text
        }
    }
}

/// The key of the tokens: a secret, or where the public keys are.
fn verified_by(jwt: &Jwt) -> String {
    match &jwt.jwks_url {
        _ if jwt.has_secret() => format!("secret_env = {}\n", quoted(&jwt.secret_env)),
        Some(url) => format!("jwks_url = {}\n", quoted(url)),
        None => {
            "# TODO: no token is valid until this is the app's public key, as a JWKS or in PEM:\n\
            #public_key_file = \"jwt.pub.pem\"\n\
            jwks_url = \"https://TODO.invalid/.well-known/jwks.json\"\n"
                .into()
        }
    }
}

/// An endpoint's tables, after what is left to do.
fn table(draft: &Draft) -> String {
    let mut lines = vec![String::new(), comment(&draft.code)];
    if !draft.notes.is_empty() {
        lines.push("# Before it is turned on:".into());
        lines.extend(draft.notes.iter().map(|note| comment(&format!("- {note}"))));
    }
    lines.push("[[endpoint]]".into());
    lines.push(format!("name = {}", quoted(&draft.name)));
    lines.push(format!("path = {}", quoted(&draft.path)));
    lines.push("rollout = \"off\"".into());
    lines.extend(draft.keys.iter().cloned());
    lines.extend(draft.tables.iter().map(|line| match line.starts_with('#') {
        true => comment(line.trim_start_matches(['#', ' '])),
        false => line.clone(),
    }));
    if !draft.proposals.is_empty() {
        lines.push("# A proposal, for when somebody comes or goes:".into());
        lines.extend(
            draft
                .proposals
                .iter()
                .map(|line| format!("#{}", plain(line))),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}

/// One line of comment, whatever stands in the source.
fn comment(text: &str) -> String {
    format!("# {}", plain(text))
}

/// A text for one line: no control characters, and not endless.
pub(super) fn plain(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(300).collect()
}
