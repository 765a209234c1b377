//! `[auth]`: how clients say who they are.

use std::path::PathBuf;

use toml::Spanned;

use super::{
    super::{
        named::{Algorithm, AppPath, TokenSource, Url},
        tree::Tree,
        value::{Maybe, Pairs, Time, Wait},
    },
    tables, words,
};

tables! {
    Auth {
        token: Option<Vec<TokenSource>>,
        fall_through: Option<FallThrough>,
        repeated: Option<Repeated>,
        empty: Option<Empty>,
        jwt: Maybe<Jwt>,
        app: Maybe<AskApp>,
    }
    Jwt {
        algorithms: Vec<Spanned<Algorithm>>,
        secret: Maybe<String>,
        secret_env: Maybe<String>,
        secret_file: Maybe<PathBuf>,
        public_key_file: Maybe<PathBuf>,
        jwks_url: Maybe<Url>,
        jwks_refresh: Option<Wait>,
        jwks_cooldown: Option<Wait>,
        user_claim: Option<String>,
        issuers: Vec<String>,
        audiences: Vec<String>,
        require: Pairs<Tree>,
        required_claims: Option<Vec<String>>,
        leeway: Option<Time>,
        refuse_future_iat: Option<bool>,
    }
    AskApp {
        url: Maybe<AppPath>,
        user: Maybe<String>,
        cache: Option<Time>,
        timeout: Option<Wait>,
    }
}

words! {
    FallThrough { Absent, Invalid, }
    Repeated { First, Last, }
    Empty { Absent, Bad, }
}
