//! `[source]`: where events come from.

use std::path::PathBuf;

use toml::Spanned;

use super::{
    super::{
        named::Url,
        value::{Count, Maybe, Pairs, Short, Size, Wait},
    },
    exchange::Exchange,
    redis::Sentinel,
    tables, words,
};

tables! {
    Source {
        webhook: Maybe<Webhook>,
        sse: Maybe<Sse>,
        channel_layer: Maybe<ChannelLayer>,
        exchange: Vec<Spanned<Exchange>>,
    }
    Webhook {
        secret: Maybe<String>,
        secret_env: Maybe<String>,
        secrets_env: Vec<Spanned<String>>,
        secret_file: Maybe<PathBuf>,
        tolerance: Option<Wait>,
        max_body: Option<Size>,
    }
    Sse {
        url: Maybe<Url>,
        headers: Pairs<Spanned<Short<FromEnv>>>,
        silence: Option<Wait>,
        max_backoff: Option<Wait>,
    }
    FromEnv {
        env: String,
    }
    ChannelLayer {
        redis: Maybe<Short<Vec<Spanned<String>>>>,
        sentinel: Maybe<Sentinel>,
        username: Option<String>,
        password_env: Maybe<String>,
        password_file: Maybe<PathBuf>,
        ca_file: Maybe<PathBuf>,
        layer: Option<Layer>,
        prefix: Maybe<String>,
        serializer: Option<Serializer>,
        encryption_keys_env: Vec<Spanned<String>>,
        expiry: Maybe<Wait>,
        group_expiry: Maybe<Wait>,
        capacity: Option<Count>,
    }
}

words! {
    Layer { Core, Pubsub, }
    Serializer { Msgpack, Json, }
}
