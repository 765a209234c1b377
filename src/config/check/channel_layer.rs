//! `[source.channel_layer]`: the Redis that Django Channels already uses.

use std::{path::PathBuf, sync::Arc, time::Duration};

use toml::Spanned;

use super::{
    super::{raw, value::Short},
    Check, source,
};
use crate::{
    redis::{Sentinel, Server},
    secret::Secret,
    source::channel_layer::{Layer, Serializer, Settings, is_prefix},
};

/// What Channels has if nothing is said.
const DEFAULT_REDIS: &str = "redis://localhost:6379";

/// A shorter one would make us leave groups between two refreshments.
const LEAST_GROUP_EXPIRY: Duration = Duration::from_secs(10);

pub(super) fn channel_layer(check: &mut Check<'_>, raw: &raw::Source) -> Option<Settings> {
    let raw = raw.channel_layer.as_ref()?.get_ref();
    let pubsub = matches!(raw.layer, Some(raw::Layer::Pubsub));
    let json = matches!(raw.serializer, Some(raw::Serializer::Json));
    Some(Settings {
        hosts: hosts(check, raw),
        layer: if pubsub { Layer::PubSub } else { Layer::Core },
        prefix: prefix(check, raw),
        serializer: if json {
            Serializer::Json
        } else {
            Serializer::Msgpack
        },
        keys: keys(check, raw),
        expiry: whole_seconds(check, raw.expiry.as_ref(), Duration::from_secs(60)),
        group_expiry: group_expiry(check, raw),
        capacity: raw.capacity.map_or(100, |count| count.0),
    })
}

fn hosts(check: &mut Check<'_>, raw: &raw::ChannelLayer) -> Vec<Server> {
    let authorities = raw.ca_file.as_ref().and_then(|path| check.file(path));
    let authorities: Option<Arc<[u8]>> = authorities.map(Into::into);
    let password = password(
        check,
        (raw.password_env.as_ref(), raw.password_file.as_ref()),
    );
    let servers = servers(check, raw).into_iter();
    servers
        .map(|server| {
            server
                .with_login(raw.username.clone(), password.clone())
                .with_authorities(authorities.clone())
        })
        .collect()
}

fn servers(check: &mut Check<'_>, raw: &raw::ChannelLayer) -> Vec<Server> {
    match (&raw.redis, &raw.sentinel) {
        (Some(redis), Some(_)) => {
            let help = "take one of them away: the Sentinels know where the server is";
            check.error(redis.span(), "`redis` stands beside `sentinel`", help);
            Vec::new()
        }
        (None, Some(sentinel)) => by_sentinel(check, sentinel).into_iter().collect(),
        (None, None) => Server::parse(DEFAULT_REDIS).into_iter().collect(),
        (Some(redis), None) => match redis.get_ref() {
            Short::Word(url) => {
                let url = Spanned::new(redis.span(), url.clone());
                server(check, &url).into_iter().collect()
            }
            Short::Full(urls) if !urls.is_empty() => {
                urls.iter().filter_map(|url| server(check, url)).collect()
            }
            Short::Full(_) | Short::Switch(_) => {
                let help =
                    "write redis = \"redis://127.0.0.1:6379/0\", or a list where the app has one";
                check.error(redis.span(), "the channel layer has no Redis", help);
                Vec::new()
            }
        },
    }
}

pub(super) fn server(check: &mut Check<'_>, url: &Spanned<String>) -> Option<Server> {
    match Server::parse(url.get_ref()) {
        Ok(server) => {
            if server.has_password() {
                let help = "take it out and write password_env = \"REDIS_PASSWORD\"";
                check.warn(url.span(), "a password stands in the file", help);
            }
            Some(server)
        }
        Err(problem) => {
            let problem = problem.to_string();
            let (message, help) = problem.split_once(": ").unwrap_or((&problem, ""));
            check.error(url.span(), message, help);
            None
        }
    }
}

pub(super) fn by_sentinel(
    check: &mut Check<'_>,
    sentinel: &Spanned<raw::Sentinel>,
) -> Option<Server> {
    let (span, raw) = (sentinel.span(), sentinel.get_ref());
    let mut nodes = Vec::new();
    for node in &raw.nodes {
        let parts = node.get_ref().rsplit_once(':');
        let parts = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        match parts {
            Some(node) => nodes.push(node),
            None => {
                let message = format!("`{}` is not a Sentinel's address", node.get_ref());
                check.error(node.span(), message, "write host:26379");
            }
        }
    }
    if raw.nodes.is_empty() {
        let help = "add nodes = [\"10.0.0.1:26379\", \"10.0.0.2:26379\"]";
        check.error(span.clone(), "no Sentinel is named", help);
    }
    let password = raw.password_env.as_ref();
    let password = password.and_then(|name| check.variable(name));
    let Some(master) = &raw.master else {
        let help = "add master = \"mymaster\", as the app's `master_name`";
        check.error(span, "the master has no name", help);
        return None;
    };
    Some(Server::by_sentinel(Sentinel {
        nodes,
        master: master.get_ref().clone(),
        db: raw.db.unwrap_or_default().into(),
        tls: raw.tls,
        password: password.map(Secret::new),
    }))
}

/// A password by its variable or its file.
pub(super) fn password(
    check: &mut Check<'_>,
    (named, read): (Option<&Spanned<String>>, Option<&Spanned<PathBuf>>),
) -> Option<Secret> {
    let named = named.and_then(|name| check.variable(name));
    let read = read.and_then(|path| source::secret_file(check, path));
    named.or(read).map(Secret::new)
}

fn prefix(check: &mut Check<'_>, raw: &raw::ChannelLayer) -> String {
    let Some(prefix) = &raw.prefix else {
        return "asgi".into();
    };
    if !is_prefix(prefix.get_ref()) {
        let help = "write it as the app's `prefix`; the default is \"asgi\"";
        check.error(prefix.span(), "this is not a prefix of keys", help);
    }
    prefix.get_ref().clone()
}

fn keys(check: &mut Check<'_>, raw: &raw::ChannelLayer) -> Vec<Secret> {
    let names = raw.encryption_keys_env.iter();
    let keys = names.filter_map(|name| check.variable(name).map(Secret::new));
    keys.collect()
}

fn group_expiry(check: &mut Check<'_>, raw: &raw::ChannelLayer) -> Duration {
    let expiry = raw.group_expiry.as_ref();
    let time = whole_seconds(check, expiry, Duration::from_secs(86_400));
    if let Some(expiry) = expiry.filter(|_| time < LEAST_GROUP_EXPIRY) {
        let help = "write the app's `group_expiry`, at least 10s";
        check.error(
            expiry.span(),
            "groups would be gone before they are refreshed",
            help,
        );
    }
    time
}

/// Channels counts these in whole seconds.
fn whole_seconds(
    check: &mut Check<'_>,
    time: Option<&Spanned<super::super::value::Wait>>,
    default: Duration,
) -> Duration {
    let Some(time) = time else { return default };
    if time.get_ref().0.subsec_nanos() != 0 {
        let help = "write whole seconds: 60s";
        check.error(time.span(), "Channels knows only whole seconds here", help);
    }
    time.get_ref().0
}
