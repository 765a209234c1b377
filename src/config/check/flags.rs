//! `rollout` and `[flags]`: who gets what.

use std::collections::HashSet;

use serde_json::Value;
use toml::Spanned;

use super::{
    super::{
        named::{Percent, User},
        raw,
        value::Short,
    },
    Check,
};
use crate::{
    event::UserId,
    rollout::{Rollout, Share},
    routes::Flag,
};

/// The rollout of an endpoint: `on` if nothing is said.
pub(super) fn rollout(
    check: &mut Check<'_>,
    raw: Option<&Spanned<Short<raw::Rollout>>>,
    name: &str,
) -> Rollout {
    let Some(raw) = raw else {
        return Rollout::of(Share::On, name);
    };
    match raw.get_ref() {
        Short::Word(word) => Rollout::of(share(check, word, raw), name),
        Short::Switch(on) => {
            let word = if *on { "on" } else { "off" };
            let message = "a rollout is not true or false";
            check.error(raw.span(), message, format!("write rollout = \"{word}\""));
            Rollout::of(Share::Off, name)
        }
        Short::Full(full) => Rollout {
            share: percent(full.percent),
            always: users(&full.always),
            never: users(&full.never),
            salt: full.salt.clone().unwrap_or_else(|| name.into()),
        },
    }
}

fn share<T>(check: &mut Check<'_>, word: &str, place: &Spanned<T>) -> Share {
    match word {
        "on" => return Share::On,
        "off" => return Share::Off,
        "shadow" => {
            let help = "write `off`, `on` or { percent = 25 }";
            check.error(place.span(), "`shadow` is not in this version", help);
        }
        // No nearest word: who mistypes one letter must not be led to the opposite.
        _ => {
            let help = "write \"off\", \"on\" or { percent = 25 }";
            check.error(place.span(), format!("unknown rollout `{word}`"), help);
        }
    }
    Share::Off
}

fn percent(percent: Option<Percent>) -> Share {
    percent.map_or(Share::Off, |percent| Share::Percent(percent.0))
}

fn users(list: &[User]) -> HashSet<UserId> {
    list.iter().map(|user| user.0.as_str().into()).collect()
}

pub(super) fn flags(check: &mut Check<'_>, file: &raw::File) -> Vec<Flag> {
    let known = file.auth.jwt.is_some() || file.auth.app.is_some();
    let mut flags = Vec::new();
    for (name, raw) in &file.flags.0 {
        let mut endpoints = file
            .endpoint
            .iter()
            .filter_map(|one| one.get_ref().name.as_ref());
        if let Some(taken) = endpoints.find(|endpoint| endpoint.get_ref() == name.get_ref()) {
            let message = format!("`{}` is an endpoint, and so a flag already", name.get_ref());
            let problem = super::Problem::error(name.span(), message);
            let problem = problem.other(taken.span(), "the endpoint");
            check
                .problems
                .push(problem.help("give the flag another name"));
        }
        let flag = flag(check, name.get_ref(), raw);
        if flag.rollout.asks_for_user() && !known {
            strangers(check, raw);
        }
        flags.push(flag);
    }
    flags
}

/// A share of users where nobody is known.
pub(super) fn strangers<T>(check: &mut Check<'_>, place: &Spanned<T>) {
    let help = "add [auth.jwt] or [auth.app], or write `on` or `off`";
    check.error(
        place.span(),
        "users are chosen here, and nothing says who is who",
        help,
    );
}

fn flag(check: &mut Check<'_>, name: &str, raw: &Spanned<Short<raw::Flag>>) -> Flag {
    let json = |tree: &Option<super::Tree>, usual: bool| {
        tree.as_ref()
            .map_or(Value::Bool(usual), |tree| tree.get_ref().json())
    };
    let (rollout, on, off) = match raw.get_ref() {
        Short::Switch(true) => (Rollout::of(Share::On, name), true.into(), false.into()),
        Short::Switch(false) => (Rollout::of(Share::Off, name), true.into(), false.into()),
        Short::Word(_) => {
            let help = "write true, false or { percent = 10 }; for other values { on = \"b\", off = \"a\", percent = 10 }";
            check.error(raw.span(), "a flag is not a text", help);
            (Rollout::of(Share::Off, name), true.into(), false.into())
        }
        Short::Full(full) => {
            let rollout = Rollout {
                share: percent(full.percent),
                always: users(&full.always),
                never: users(&full.never),
                salt: full.salt.clone().unwrap_or_else(|| name.into()),
            };
            (rollout, json(&full.on, true), json(&full.off, false))
        }
    };
    let name = name.into();
    Flag {
        name,
        rollout,
        on,
        off,
    }
}
