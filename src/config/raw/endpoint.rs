//! `[[endpoint]]`: a WebSocket path and what it does.

use toml::Spanned;

use super::{
    super::{
        tree::Tree,
        value::{Count, Many, Maybe, Pairs, Short, Size, Time, Wait},
    },
    door::{Expiry, Permit, Refuse, Rollout},
    steps::{Action, Answer, Every, OnConnect, OnDisconnect, Steps},
    tables, words,
};

tables! {
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
}

words! {
    Json { Compact, Python, }
    Per { User, Socket, }
    Confirm { Heartbeat, Eager, }
}
