//! Who a client is: by its token, or because the app says so.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, StatusCode, request::Parts};
use serde_json::Value;

use super::{Sessions, ask::Answer, caller::Caller, origin};
use crate::{
    auth::{Identity, Rejected, Token, Verifier},
    routes::{AskApp, Method, RouteTable},
    wire::Peer,
};

/// What is known about a client.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) who: Who,
    /// The headers by which the app knows it.
    pub(super) caller: Caller,
    /// The subprotocol that has to be selected because the token came by it.
    pub(super) subprotocol: Option<HeaderValue>,
    /// Whether it may be known by what browsers send by themselves.
    pub(super) by_cookie: bool,
}

/// Who a client is.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// It showed nothing.
    Nobody,
    /// What it showed does not hold, and why.
    Unproven(String),
    /// The app had to be asked and could not be.
    Unknown(String),
    /// A user.
    User(Box<Identity>),
}

impl Sessions {
    /// Finds out who a client is.
    pub(super) async fn identify(&self, table: &RouteTable, head: &Parts, peer: &Peer) -> Known {
        let tokens = table.auth.tokens.find(head);
        let at = (peer, &table.trusted);
        let mut caller = Caller::unproven(head, &tokens, at);
        let mut token = tokens.first();
        let who = match &table.auth.method {
            Method::None => Who::Nobody,
            Method::App(rules) => self.ask_who(table, rules, &caller).await,
            Method::Jwt(verifier) => {
                let (who, proven) = self.verify_any(table, verifier, &tokens).await;
                if let Some(proven) = proven {
                    token = Some(proven);
                    caller = Caller::proven(head, proven, at);
                }
                who
            }
        };
        Known {
            who,
            caller,
            subprotocol: token.and_then(|token| token.subprotocol.clone()),
            by_cookie: origin::is_by_cookie(&table.auth.method, token, &head.headers),
        }
    }

    /// Who a request without a socket comes from.
    pub async fn who(&self, table: &RouteTable, head: &Parts, peer: &Peer) -> Who {
        self.identify(table, head, peer).await.who
    }

    /// The first token that verifies; else why the first one does not.
    async fn verify_any<'t>(
        &self,
        table: &RouteTable,
        verifier: &Verifier,
        tokens: &'t [Token],
    ) -> (Who, Option<&'t Token>) {
        let mut why = None;
        for token in tokens {
            match verify(table, verifier, token).await {
                Ok(identity) => return (Who::User(Box::new(identity)), Some(token)),
                Err(rejected) => why = why.or(Some(rejected)),
            }
        }
        (
            why.map_or(Who::Nobody, |why| Who::Unproven(why.to_string())),
            None,
        )
    }

    async fn ask_who(&self, table: &RouteTable, rules: &AskApp, caller: &Caller) -> Who {
        if !caller.has_credentials() {
            return Who::Nobody;
        }
        let limits = (rules.cache, rules.timeout);
        match self
            .asks
            .get(&table.app, rules.path.clone(), caller, limits)
            .await
        {
            Ok(answer) => read_answer(rules, &answer),
            Err(error) => Who::Unknown(error.to_string()),
        }
    }
}

/// A key that is not known may have been published a moment ago.
async fn verify(
    table: &RouteTable,
    verifier: &Verifier,
    token: &Token,
) -> Result<Identity, Rejected> {
    let verdict = verifier.verify(&token.text, SystemTime::now());
    if verdict == Err(Rejected::UnknownKey)
        && let Some(jwks) = &table.jwks
        && jwks.refresh_for_unknown_key().await
    {
        return verifier.verify(&token.text, SystemTime::now());
    }
    verdict
}

fn read_answer(rules: &AskApp, answer: &Answer) -> Who {
    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Who::Unknown(format!("the app answered {}", answer.status));
    }
    if !answer.status.is_success() {
        return Who::Unproven(format!("the app answered {}", answer.status));
    }
    let json = answer.json();
    let Some(user_value) = json.pointer(&rules.user) else {
        return Who::Unproven(format!("the app's answer holds nothing at {}", rules.user));
    };
    let user = match user_value {
        Value::String(id) if !id.is_empty() => id.as_str().into(),
        Value::Number(id) => id.to_string().into(),
        _ => return Who::Nobody,
    };
    Who::User(Box::new(Identity {
        user,
        user_value: user_value.clone(),
        claims: Arc::new(json.as_object().cloned().unwrap_or_default()),
        expires_at: None,
    }))
}
