//! The door of an endpoint: who may connect, and how the others are turned away.

use super::{
    super::{
        named::{Code, Percent, Reason, Status, User},
        value::{Maybe, Time},
    },
    tables,
};

tables! {
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
}
