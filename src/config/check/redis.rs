//! `[redis]`: where steps put keys, if that is not the channel layer's Redis. And the
//! server of any table that names one.

use std::sync::Arc;

use toml::Spanned;

use super::{
    super::raw,
    Check,
    channel_layer::{by_sentinel, password, server},
};
use crate::redis::Server;

pub(super) fn redis(check: &mut Check<'_>, raw: Option<&Spanned<raw::Redis>>) -> Option<Server> {
    let (span, raw) = (raw?.span(), raw?.get_ref());
    let Some(url) = &raw.url else {
        let help = "add url = \"redis://127.0.0.1:6379/0\"";
        check.error(span, "this Redis has no address", help);
        return None;
    };
    let server = server(check, url);
    logged_in(check, server, raw)
}

/// The Redis of a feed: by its address, or by what Sentinels or a Cluster know.
pub(super) fn of_feed(check: &mut Check<'_>, raw: &Spanned<raw::RedisFeed>) -> Option<Server> {
    let (span, raw) = (raw.span(), raw.get_ref());
    let found = match (&raw.url, &raw.sentinel, raw.cluster.first()) {
        (Some(url), Some(_), _) => {
            let help = "take one of them away: the Sentinels know where the server is";
            check.error(url.span(), "`url` stands beside `sentinel`", help);
            return None;
        }
        (Some(_), None, Some(node)) | (None, Some(_), Some(node)) => {
            let help = "leave one of `url`, `sentinel` and `cluster`";
            check.error(node.span(), "the feed's Redis has two addresses", help);
            return None;
        }
        (Some(url), None, None) => server(check, url),
        (None, Some(sentinel), None) => by_sentinel(check, sentinel),
        (None, None, Some(_)) => by_cluster(check, &raw.cluster),
        (None, None, None) => {
            let help = "add url = \"redis://127.0.0.1:6379/0\"";
            check.error(span, "the feed's Redis has no address", help);
            return None;
        }
    };
    let login = raw::Redis {
        url: None,
        username: raw.username.clone(),
        password_env: raw.password_env.clone(),
        password_file: raw.password_file.clone(),
        ca_file: raw.ca_file.clone(),
    };
    logged_in(check, found, &login)
}

fn by_cluster(check: &mut Check<'_>, nodes: &[Spanned<String>]) -> Option<Server> {
    let servers: Vec<_> = nodes
        .iter()
        .filter_map(|node| server(check, node))
        .collect();
    if servers.len() < nodes.len() {
        return None;
    }
    let cluster = Server::by_cluster(servers);
    if cluster.is_err() {
        let help = "write cluster = [\"redis://10.0.0.1:6379\", \"redis://10.0.0.2:6379\"]";
        let span = nodes.first()?.span();
        check.error(span, "a Cluster has no databases and no sockets", help);
    }
    cluster.ok()
}

fn logged_in(check: &mut Check<'_>, server: Option<Server>, raw: &raw::Redis) -> Option<Server> {
    let authorities = raw.ca_file.as_ref().and_then(|path| check.file(path));
    let authorities: Option<Arc<[u8]>> = authorities.map(Into::into);
    let password = password(
        check,
        (raw.password_env.as_ref(), raw.password_file.as_ref()),
    );
    let server = server?.with_login(raw.username.clone(), password);
    Some(server.with_authorities(authorities))
}
