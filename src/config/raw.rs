//! The file as it is written. Each value is understood by itself (`value`,
//! `named`, `tree`); what they mean together is the business of `check`. Nearly every key
//! may be absent: defaults and what cannot be absent are also known there.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::{
    named::{
        Algorithm, Answers, AppPath, Code, Method, Percent, Reason, Server, Socket, Status,
        TokenSource, Url, User,
    },
    tree::Tree,
    value::{Count, Many, Maybe, Pairs, Short, Size, Time, Wait},
};

macro_rules! tables {
    ($($name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub(super) struct $name {
                $(pub(super) $field: $type,)*
            }
        )*
    };
}

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
    Listen {
        address: Maybe<Socket>,
        tls: Maybe<Tls>,
        limits: ListenLimits,
    }
    Tls {
        certificate: Maybe<PathBuf>,
        key: Maybe<PathBuf>,
    }
    ListenLimits {
        max_connections: Option<Count>,
        max_connections_per_address: Option<Count>,
        header_timeout: Option<Wait>,
        idle_timeout: Option<Wait>,
        write_timeout: Option<Wait>,
        max_header_bytes: Option<Size>,
        max_headers: Option<Count>,
    }
    App {
        address: Maybe<Server>,
        connect_timeout: Option<Wait>,
        response_timeout: Option<Wait>,
        idle_timeout: Option<Wait>,
        keep_alive: Option<Wait>,
        max_connections: Option<Count>,
    }
    Admin {
        address: Maybe<Socket>,
        enabled: Option<bool>,
    }
    Trust {
        proxies: Vec<Spanned<String>>,
    }
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
    Feed {
        memory: Maybe<Memory>,
        disk: Maybe<DiskFeed>,
        redis: Maybe<RedisFeed>,
    }
    Memory {
        keep: Option<Wait>,
        max_events: Option<Count>,
        max_bytes: Option<Size>,
    }
    DiskFeed {
        path: Maybe<PathBuf>,
        keep: Option<Wait>,
        max_events: Option<Count>,
        max_bytes: Option<Size>,
        memory: Option<Size>,
    }
    RedisFeed {
        url: Maybe<String>,
        cluster: Vec<Spanned<String>>,
        sentinel: Maybe<Sentinel>,
        username: Option<String>,
        password_env: Maybe<String>,
        password_file: Maybe<PathBuf>,
        ca_file: Maybe<PathBuf>,
        prefix: Maybe<String>,
        keep: Option<Wait>,
        max_events: Option<Count>,
        memory: Option<Size>,
    }
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
    Redis {
        url: Maybe<String>,
        username: Option<String>,
        password_env: Maybe<String>,
        password_file: Maybe<PathBuf>,
        ca_file: Maybe<PathBuf>,
    }
    Sentinel {
        nodes: Vec<Spanned<String>>,
        master: Maybe<String>,
        db: Option<u32>,
        tls: bool,
        password_env: Maybe<String>,
    }
    Exchange {
        name: Maybe<String>,
        on: Maybe<On>,
        when: Pairs<Tree>,
        each: Maybe<String>,
        event: Maybe<Happening>,
        max_body: Option<Size>,
        decompress: bool,
    }
    On {
        method: Many<Method>,
        path: Maybe<String>,
        status: Many<Answers>,
    }
    Happening {
        r#type: Maybe<String>,
        id: Maybe<String>,
        topics: Vec<Spanned<String>>,
        users: Maybe<Vec<Spanned<String>>>,
        except: Maybe<Short<Left>>,
        ephemeral: bool,
        data: Option<Tree>,
    }
    Left {
        users: Vec<Spanned<String>>,
    }
    FromEnv {
        env: String,
    }
    Endpoint {
        name: Maybe<String>,
        path: Maybe<String>,
        rollout: Maybe<Short<Rollout>>,
        anonymous: Option<bool>,
        permit: Maybe<Permit>,
        lookup: Pairs<Spanned<Short<Lookup>>>,
        topics: Vec<Spanned<String>>,
        topics_from: Maybe<Many<TopicsFrom>>,
        frames: Pairs<Tree>,
        except: Pairs<Spanned<Short<LeftOut>>>,
        actions: Vec<Spanned<Action>>,
        on_connect: Vec<Spanned<OnConnect>>,
        on_disconnect: Vec<Spanned<OnDisconnect>>,
        every: Vec<Spanned<Every>>,
        presence: Maybe<Presence>,
        include: Vec<Spanned<String>>,
        welcome: Option<Tree>,
        welcome_text: Maybe<String>,
        history_lost: Option<Tree>,
        on_invalid_json: Maybe<Answer>,
        refuse: Refuse,
        json: Option<Json>,
        subprotocols: Vec<Spanned<String>>,
        origins: Maybe<Short<Vec<Spanned<String>>>>,
        expiry: Maybe<Short<Expiry>>,
        heartbeat: Option<Wait>,
        resume: Maybe<Short<Resume>>,
        limits: Limits,
    }
    LeftOut {
        user: Maybe<String>,
        session: Maybe<String>,
    }
    Rollout {
        percent: Option<Percent>,
        always: Vec<User>,
        never: Vec<User>,
        salt: Option<String>,
    }
    Permit {
        own: Maybe<String>,
        claim: Maybe<String>,
        value: Maybe<String>,
        ask_app: Maybe<String>,
        cache: Option<Time>,
    }
    TopicsFrom {
        ask_app: Maybe<String>,
        each: Maybe<String>,
        topic: Maybe<String>,
        next: Maybe<String>,
        cache: Option<Time>,
    }
    Lookup {
        path: Maybe<String>,
        cache: Option<Time>,
    }
    Presence {
        key: Maybe<String>,
        per: Option<Per>,
        grace: Option<Time>,
        online: Maybe<Steps>,
        offline: Maybe<Steps>,
    }
    Call {
        method: Option<Method>,
        path: Maybe<String>,
        headers: Pairs<Spanned<String>>,
        body: Option<Tree>,
        timeout: Option<Wait>,
        reply: Option<Tree>,
        reply_text: Maybe<String>,
        on_status: Pairs<Spanned<Answer>>,
        on_failure: Maybe<Answer>,
    }
    SetKey {
        key: Maybe<String>,
        value: Maybe<String>,
        ttl: Option<Wait>,
    }
    DeleteKey {
        key: Maybe<String>,
    }
    GroupSend {
        group: Maybe<String>,
        message: Option<Tree>,
    }
    Publish {
        r#type: Maybe<String>,
        topics: Vec<Spanned<String>>,
        users: Vec<Spanned<String>>,
        except: Option<Except>,
        ephemeral: bool,
        data: Option<Tree>,
    }
    Subscribe {
        topics: Vec<Spanned<String>>,
        each: Maybe<String>,
        permit: Maybe<Short<Permit>>,
        on_failure: Maybe<Answer>,
    }
    Unsubscribe {
        topics: Vec<Spanned<String>>,
        each: Maybe<String>,
    }
    Answer {
        reply: Option<Tree>,
        reply_text: Maybe<String>,
    }
    Refuse {
        no_token: Maybe<Refusal>,
        bad_token: Maybe<Refusal>,
        not_permitted: Maybe<Refusal>,
    }
    Refusal {
        http: Option<Status>,
        close: Option<Code>,
        reason: Maybe<Reason>,
    }
    Expiry {
        close: Option<Code>,
        grace: Option<Time>,
    }
    Resume {
        window: Option<Time>,
        confirm: Option<Confirm>,
    }
    Limits {
        max_sessions: Option<Count>,
        max_sessions_per_user: Option<Count>,
        max_message: Option<Size>,
        max_rate: Option<Count>,
        outbox_frames: Option<Count>,
        outbox_bytes: Option<Size>,
        max_topics: Option<Count>,
        write_timeout: Option<Wait>,
    }
    Flag {
        percent: Option<Percent>,
        always: Vec<User>,
        never: Vec<User>,
        salt: Option<String>,
        on: Option<Tree>,
        off: Option<Tree>,
    }
    Stop {
        notice: Option<Time>,
        spread: Option<Time>,
        deadline: Maybe<Wait>,
    }
    Log {
        format: Option<LogFormat>,
        level: Maybe<String>,
        access: Option<bool>,
    }
}

/// Tables of steps: each has the keys of the first besides its own.
macro_rules! moments {
    ($first:ident $steps:tt $($name:ident $own:tt)*) => {
        tables! { $first $steps }
        $(moments! { @one $name $own $first $steps })*
    };
    (@one $name:ident { $($field:ident: $own:ty,)* } $first:ident { $($step:ident: $type:ty,)* }) => {
        tables! { $name { $($field: $own,)* $($step: $type,)* } }
        impl $name {
            /// What is done at this moment.
            pub(super) fn steps(&self) -> $first {
                $first { $($step: self.$step.clone(),)* }
            }
        }
    };
}

moments! {
    Steps {
        call: Maybe<Call>,
        set_key: Maybe<SetKey>,
        delete_key: Maybe<DeleteKey>,
        group_send: Maybe<GroupSend>,
        publish: Maybe<Publish>,
        subscribe: Maybe<Subscribe>,
        unsubscribe: Maybe<Unsubscribe>,
        reply: Option<Tree>,
        reply_text: Maybe<String>,
    }
    Action {
        when: Pairs<Tree>,
        require: Pairs<Tree>,
        on_invalid: Maybe<Answer>,
        ignore: Maybe<bool>,
    }
    OnConnect {
        name: Maybe<String>,
    }
    OnDisconnect {
    }
    Every {
        interval: Option<Wait>,
    }
}

macro_rules! words {
    ($($name:ident { $($variant:ident,)* })*) => {
        $(
            #[derive(Clone, Copy, Debug, Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub(super) enum $name {
                $($variant,)*
            }
        )*
    };
}

words! {
    FallThrough { Absent, Invalid, }
    Repeated { First, Last, }
    Empty { Absent, Bad, }
    Json { Compact, Python, }
    Per { User, Socket, }
    Confirm { Heartbeat, Eager, }
    Layer { Core, Pubsub, }
    Serializer { Msgpack, Json, }
    LogFormat { Text, Json, }
}

/// Whom a published event leaves out.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Except {
    #[serde(rename = "self")]
    Socket,
    User,
}
