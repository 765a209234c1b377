//! `[redis]`: where steps put keys, if that is not the channel layer's Redis.

use std::sync::Arc;

use toml::Spanned;

use super::{
    super::raw,
    Check,
    channel_layer::{password, server},
};
use crate::redis::Server;

pub(super) fn redis(check: &mut Check<'_>, raw: Option<&Spanned<raw::Redis>>) -> Option<Server> {
    let (span, raw) = (raw?.span(), raw?.get_ref());
    let Some(url) = &raw.url else {
        let help = "add url = \"redis://127.0.0.1:6379/0\"";
        check.error(span, "this Redis has no address", help);
        return None;
    };
    let authorities = raw.ca_file.as_ref().and_then(|path| check.file(path));
    let authorities: Option<Arc<[u8]>> = authorities.map(Into::into);
    let password = password(
        check,
        (raw.password_env.as_ref(), raw.password_file.as_ref()),
    );
    let server = server(check, url)?;
    let server = server.with_login(raw.username.clone(), password);
    Some(server.with_authorities(authorities))
}
