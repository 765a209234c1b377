//! The steps of an endpoint, and the moments at which they are done.

use serde::Deserialize;
use toml::Spanned;

use super::{
    super::{
        named::Method,
        tree::Tree,
        value::{Maybe, Pairs, Short, Wait},
    },
    door::Permit,
    tables,
};

tables! {
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
            pub(in crate::config) fn steps(&self) -> $first {
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

/// Whom a published event leaves out.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Except {
    #[serde(rename = "self")]
    Socket,
    User,
}
