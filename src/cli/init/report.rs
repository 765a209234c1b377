//! What people read after `init`: what was found, what could not be translated, and
//! what to do next.

use super::{
    choices::{Auth, Choices, Events},
    found::{Found, Kind},
    project::Project,
    propose::Draft,
    write::{Written, plain},
};

/// What was found in a project, and what not.
pub(super) fn found(project: &Project, found: &Found, written: &Written) -> String {
    let kind = match found.kind {
        Kind::Django => "Django Channels",
        Kind::Fastapi => "FastAPI",
    };
    let mut lines = vec![format!(
        "{kind}: {} in {} that speak of sockets or tokens.",
        many(found.endpoints.len(), "endpoint"),
        many(project.modules.len(), "file"),
    )];
    for draft in written.drafts.iter().chain(&written.left_out) {
        lines.push(String::new());
        endpoint(draft, &mut lines);
    }
    lines.push(String::new());
    if let Some(layer) = &found.layer {
        let from = layer
            .redis_env
            .as_ref()
            .map(|name| format!(", from {name}"));
        let from = from.unwrap_or_default();
        lines.push(format!(
            "Channel layer: {}{from} ({})",
            layer.backend, layer.place
        ));
    }
    if !found.notes.is_empty() || !project.skipped.is_empty() {
        lines.push("Not understood:".into());
        lines.extend(found.notes.iter().map(|note| format!("  {note}")));
        lines.extend(project.skipped.iter().map(|skipped| format!("  {skipped}")));
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let lines: Vec<_> = lines.iter().map(|line| plain(line)).collect();
    lines.join("\n")
}

fn endpoint(draft: &Draft, lines: &mut Vec<String>) {
    lines.push(format!("{}  ({})", draft.path, draft.code));
    for (what, list) in [
        ("hears", &draft.topics),
        ("sends", &draft.frames),
        ("takes", &draft.actions),
    ] {
        if !list.is_empty() {
            lines.push(format!("  {what}  {}", list.join("; ")));
        }
    }
    match draft.notes.is_empty() {
        true => lines.push("  translated whole".into()),
        false => lines.push("  not translated:".into()),
    }
    lines.extend(draft.notes.iter().map(|note| format!("    {note}")));
}

/// What to do next.
pub(super) fn next(choices: &Choices, file: &str, drafts: &[Draft]) -> String {
    let mut steps = Vec::new();
    let variables = choices.variables();
    if !variables.is_empty() {
        steps.push(format!(
            "set {}, here and for the app",
            variables.join(" and ")
        ));
    }
    if let Auth::App { url } = &choices.auth {
        steps.push(format!(
            "look whether {url} of the app says who a user is, with the id at /id"
        ));
    }
    if let Auth::Jwt(jwt) = &choices.auth
        && !jwt.has_secret()
        && jwt.jwks_url.is_none()
    {
        steps.push(format!(
            "put the public key of your {} tokens into [auth.jwt]; never the private one",
            jwt.algorithm
        ));
    }
    steps.push(format!("outrigger check {file}"));
    steps.push(format!(
        "outrigger run --config {file}\n     Every endpoint is off: the app still serves its sockets, through Outrigger."
    ));
    if choices.events == Events::Webhook {
        let from = match choices.kind {
            Kind::Django => "let the app post its events: docs/events.md",
            Kind::Fastapi => {
                "let events come from the app's HTTP answers, with no change to the app\n     \
                 ([[source.exchange]]), or let the app post them: docs/events.md"
            }
        };
        steps.push(from.into());
    }
    let open = drafts
        .iter()
        .filter(|draft| !draft.notes.is_empty())
        .count();
    if open > 0 {
        steps.push(format!(
            "work off what is left to do at {}: it stands above each in the file",
            many(open, "endpoint")
        ));
    }
    steps.push(
        "turn one endpoint on for yourself: rollout = { always = [42] }, with your own id.\n     \
         Then rollout = { percent = 1 }, more, and \"on\". \"off\" is the way back."
            .into(),
    );
    let steps = steps
        .iter()
        .enumerate()
        .map(|(number, step)| format!("  {}. {step}", number + 1));
    format!("Next:\n{}", steps.collect::<Vec<_>>().join("\n"))
}

pub(super) fn many(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
