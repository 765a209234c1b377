//! What differs between two configs, as an operator calls it: what needs a
//! restart, what takes effect at once.

use crate::{
    config::{Settings, needs_restart},
    routes::Endpoint,
};

/// The width of the first column.
const WIDTH: usize = "needs a restart".len();

/// What taking up the new config would do, a line each.
pub(super) fn between(old: &Settings, new: &Settings) -> String {
    let mut lines = Vec::new();
    let mut line = |what: &str, rest: String| lines.push(format!("  {what:WIDTH$}  {rest}"));
    for key in needs_restart(old, new) {
        line("needs a restart", key.to_owned());
    }
    for endpoint in &new.endpoints {
        match named(old, &endpoint.name) {
            None => line("added", format!("endpoint {}", place(endpoint))),
            Some(before) if before != endpoint => {
                let keys = keys(before, endpoint).join(", ");
                line("changed", format!("endpoint {}: {keys}", endpoint.name));
            }
            Some(_) => {}
        }
    }
    for endpoint in &old.endpoints {
        if named(new, &endpoint.name).is_none() {
            let end = "its sessions are sent home with 1012";
            line("removed", format!("endpoint {}: {end}", place(endpoint)));
        }
    }
    for table in tables(old, new) {
        line("changed", table.to_owned());
    }
    if lines.is_empty() {
        lines.push("  no difference".to_owned());
    }
    lines.push("  (not compared: the keys of [auth], what is in certificates)".to_owned());
    lines.join("\n")
}

fn named<'s>(settings: &'s Settings, name: &str) -> Option<&'s Endpoint> {
    let mut endpoints = settings.endpoints.iter();
    endpoints.find(|endpoint| &*endpoint.name == name)
}

fn place(endpoint: &Endpoint) -> String {
    format!("{} at {}", endpoint.name, endpoint.path)
}

/// The keys of an endpoint that differ.
fn keys(old: &Endpoint, new: &Endpoint) -> Vec<&'static str> {
    only_true([
        ("path", old.path != new.path),
        ("anonymous", old.anonymous != new.anonymous),
        ("permit", old.permit != new.permit),
        ("lookup", old.lookups != new.lookups),
        ("topics", old.topics != new.topics),
        ("frames", old.frames != new.frames),
        ("except", old.except != new.except),
        ("actions", old.actions != new.actions),
        (
            "on_connect",
            old.moments.on_connect != new.moments.on_connect,
        ),
        (
            "on_disconnect",
            old.moments.on_disconnect != new.moments.on_disconnect,
        ),
        ("every", old.moments.every != new.moments.every),
        ("presence", old.presence != new.presence),
        ("welcome", old.welcome != new.welcome),
        ("history_lost", old.history_lost != new.history_lost),
        ("on_invalid_json", old.invalid_json != new.invalid_json),
        ("refuse", old.refuse != new.refuse),
        ("json", old.json != new.json),
        ("subprotocols", old.subprotocols != new.subprotocols),
        ("rollout", old.rollout != new.rollout),
        ("origins", old.origins != new.origins),
        ("expiry", old.expiry != new.expiry),
        ("heartbeat", old.heartbeat != new.heartbeat),
        ("resume", old.resume != new.resume),
        ("limits", old.limits != new.limits),
    ])
}

/// The tables that differ, endpoints and what needs a restart left out.
fn tables(old: &Settings, new: &Settings) -> Vec<&'static str> {
    only_true([
        ("listen.tls", old.listen.tls != new.listen.tls),
        ("listen.limits", old.listen.limits != new.listen.limits),
        ("app", old.app != new.app),
        ("trust", old.trusted != new.trusted),
        ("auth", auth_differs(old, new)),
        ("source.webhook", hooks_differ(old, new)),
        ("source.sse", old.sse != new.sse),
        (
            "source.channel_layer",
            old.channel_layer != new.channel_layer,
        ),
        ("redis", old.redis != new.redis),
        ("flags", old.flags != new.flags),
        ("stop", old.stop != new.stop),
    ])
}

fn hooks_differ(old: &Settings, new: &Settings) -> bool {
    let parts = |settings: &Settings| {
        let hook = settings.webhook.as_ref()?;
        Some((hook.secrets.clone(), hook.tolerance, hook.max_body))
    };
    parts(old) != parts(new)
}

/// Keys cannot be compared: what surrounds them is, by what its `Debug` says.
fn auth_differs(old: &Settings, new: &Settings) -> bool {
    let same_keys = match (&old.jwks, &new.jwks) {
        (Some(old), Some(new)) => old.same_place(new),
        (old, new) => old.is_none() && new.is_none(),
    };
    !same_keys || format!("{:?}", old.auth) != format!("{:?}", new.auth)
}

fn only_true<const N: usize>(differs: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(name, _)| name).collect()
}
