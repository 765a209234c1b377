//! The file as it is written, a file here for each of its parts. Each value is understood
//! by itself (`value`, `named`, `tree`); what they mean together is the business of `check`.
//! Nearly every key may be absent: defaults and what cannot be absent are also known there.

mod auth;
mod door;
mod endpoint;
mod exchange;
mod feed;
mod flags;
mod process;
mod redis;
mod source;
mod steps;

use toml::Spanned;

use super::value::{Maybe, Pairs, Short};

pub(super) use auth::*;
pub(super) use door::*;
pub(super) use endpoint::*;
pub(super) use exchange::*;
pub(super) use feed::*;
pub(super) use flags::*;
pub(super) use process::*;
pub(super) use redis::*;
pub(super) use source::*;
pub(super) use steps::*;

/// Tables and their keys. None takes a key that it does not know.
macro_rules! tables {
    ($($name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Clone, Debug, Default, serde::Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub(in crate::config) struct $name {
                $(pub(in crate::config) $field: $type,)*
            }
        )*
    };
}
use tables;

/// Keys that take one of a few words.
macro_rules! words {
    ($($name:ident { $($variant:ident,)* })*) => {
        $(
            #[derive(Clone, Copy, Debug, serde::Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub(in crate::config) enum $name {
                $($variant,)*
            }
        )*
    };
}
use words;

tables! {
    File {
        listen: Listen,
        app: App,
        admin: Admin,
        trust: Trust,
        auth: Auth,
        feed: Feed,
        source: Source,
        redis: Maybe<Redis>,
        endpoint: Vec<Spanned<Endpoint>>,
        flags: Pairs<Spanned<Short<Flag>>>,
        stop: Stop,
        log: Log,
    }
}
