//! What the settings of Django say: where the channel layer is, which variables hold
//! the secrets. The secrets themselves are not looked at.

use super::super::{
    follow::Place,
    found::Layer,
    names::Symbol,
    project::Project,
    python::{Expr, ExprKind, Stmt},
};

/// The last value that a setting gets, with its file.
pub(super) fn setting<'p>(project: &'p Project, name: &str) -> Option<(usize, &'p Expr)> {
    let files = 0..project.modules.len();
    let all = files.flat_map(|file| project.statements(file).map(move |stmt| (file, stmt)));
    let values = all.filter_map(|(file, stmt)| match stmt {
        Stmt::Assign(to, value) if to.dotted().as_deref() == Some(name) => Some((file, value)),
        _ => None,
    });
    values.last()
}

/// All values that a setting may get.
fn settings<'p>(project: &'p Project, name: &str) -> Vec<(usize, &'p Expr)> {
    let files = 0..project.modules.len();
    let all = files.flat_map(|file| project.statements(file).map(move |stmt| (file, stmt)));
    let values = all.filter_map(|(file, stmt)| match stmt {
        Stmt::Assign(to, value) if to.dotted().as_deref() == Some(name) => Some((file, value)),
        _ => None,
    });
    values.collect()
}

/// An entry of a dict by its key.
pub(super) fn entry<'e>(dict: &'e Expr, name: &str) -> Option<&'e Expr> {
    let ExprKind::Dict(entries) = &dict.kind else {
        return None;
    };
    let mut entries = entries.iter();
    let found = entries.find(|(key, _)| key.as_ref().and_then(Expr::plain) == Some(name));
    found.map(|(_, value)| value)
}

/// The variable of the environment that a value is read from.
pub(super) fn variable(value: &Expr, deep: usize) -> Option<String> {
    if deep == 0 {
        return None;
    }
    match &value.kind {
        ExprKind::Call(call) => {
            let name = call.callee.dotted().unwrap_or_default();
            let last = name.rsplit('.').next().unwrap_or_default();
            let reads = ["getenv", "config", "env", "get_env", "get", "str"].contains(&last)
                && (last != "str" || name.ends_with("env.str"))
                && (last != "get" || name.ends_with("environ.get"));
            let first = call.arguments.first();
            match first.and_then(Expr::plain) {
                Some(variable) if reads && is_variable(variable) => Some(variable.to_owned()),
                _ => call
                    .arguments
                    .iter()
                    .find_map(|inner| variable(inner, deep - 1)),
            }
        }
        ExprKind::Index(object, key) => {
            let environ = object
                .dotted()
                .is_some_and(|name| name.ends_with("environ") || name == "env");
            key.plain()
                .filter(|key| environ && is_variable(key))
                .map(str::to_owned)
        }
        ExprKind::List(parts) | ExprKind::Or(parts) | ExprKind::Sum(parts) => {
            parts.iter().find_map(|part| variable(part, deep - 1))
        }
        _ => None,
    }
}

/// A name, and nothing that could be a value.
fn is_variable(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.len() < 80 && text.chars().all(letters)
}

/// The channel layer, the one with Redis if there are several.
pub(super) fn layer(project: &Project) -> Option<Layer> {
    let found = settings(project, "CHANNEL_LAYERS").into_iter();
    let mut layers: Vec<_> = found
        .filter_map(|(file, value)| one(project, file, value))
        .collect();
    let redis = layers
        .iter()
        .position(|layer| layer.backend.starts_with("channels_redis"));
    match redis {
        Some(place) => Some(layers.swap_remove(place)),
        None => layers.pop(),
    }
}

fn one(project: &Project, file: usize, value: &Expr) -> Option<Layer> {
    let default = entry(value, "default")?;
    let backend = entry(default, "BACKEND")?.plain()?.to_owned();
    let rule = |name: &str| entry(default, "CONFIG").and_then(|config| entry(config, name));
    let hosts = rule("hosts");
    let mut redis_env = hosts.and_then(|hosts| variable(hosts, 6));
    if let (Some(hosts), None) = (hosts, &redis_env) {
        redis_env = through_names(project, file, hosts);
    }
    Some(Layer {
        place: Place {
            path: project.modules.get(file)?.path.clone(),
            line: value.line,
        },
        backend,
        redis: hosts.and_then(address),
        redis_env,
        prefix: rule("prefix").and_then(Expr::plain).map(str::to_owned),
        encrypted: rule("symmetric_encryption_keys").is_some(),
        key_env: rule("symmetric_encryption_keys").and_then(|keys| {
            let direct = variable(keys, 6);
            direct.or_else(|| through_names(project, file, keys))
        }),
    })
}

/// `[REDIS_URL]`, where `REDIS_URL` is read from the environment.
fn through_names(project: &Project, file: usize, hosts: &Expr) -> Option<String> {
    let ExprKind::List(parts) = &hosts.kind else {
        return None;
    };
    let name = parts.first()?.dotted()?;
    match project.symbol(file, &name) {
        Some(Symbol::Values(_, values)) => variable(values.last()?, 6),
        _ => named(project, file, &name),
    }
}

/// `if url := os.environ.get("REDIS_URL"):`
fn named(project: &Project, file: usize, name: &str) -> Option<String> {
    let mut all = project.statements(file);
    all.find_map(|stmt| {
        let Stmt::If(branches) = stmt else {
            return None;
        };
        let mut conditions = branches
            .iter()
            .filter_map(|(condition, _)| condition.as_ref());
        conditions.find_map(|condition| match &condition.kind {
            ExprKind::Named(own, value) if own == name => variable(value, 6),
            _ => None,
        })
    })
}

/// Where Redis is, unless a password stands there.
fn address(hosts: &Expr) -> Option<String> {
    let ExprKind::List(parts) = &hosts.kind else {
        return None;
    };
    let first = parts.first()?;
    if let Some(url) = first.plain() {
        let plain = url.starts_with("redis://") && !url.contains(['@', '?']);
        return (plain && url.is_ascii() && !url.contains(char::is_whitespace))
            .then(|| url.to_owned());
    }
    let ExprKind::List(pair) = &first.kind else {
        return None;
    };
    let [host, port] = pair.as_slice() else {
        return None;
    };
    let host = host.plain()?;
    let name = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    match &port.kind {
        ExprKind::Constant(port) if host.chars().all(name) => {
            Some(format!("redis://{host}:{}", port.as_u64()?))
        }
        _ => None,
    }
}
