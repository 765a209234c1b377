//! What a handshake would come to, as far as that can be told without asking the
//! app: for explaining a config. It decides by the same rules as the session does,
//! and opens nothing.

use std::{sync::Arc, time::SystemTime};

use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, COOKIE},
    request::Parts,
};
use serde_json::Value;

use super::{
    identify::Who,
    open::client_of,
    origin,
    permit::{Denied, claimed, own},
};
use crate::{
    auth::{Token, TokenSource, Verifier},
    frame::{Client, Scope, Text},
    routes::{Auth, Endpoint, Method, Permit, Refuse},
};

/// What a request says about who it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Who it is; `None` if only the app can say.
    pub who: Option<Who>,
    /// Where the token stood that proves it, else the first that was looked at.
    pub source: Option<TokenSource>,
    /// Whether it may be known by what browsers send by themselves.
    pub by_cookie: bool,
}

/// What an admitted session comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What the app is asked first, by GET with the client's own credentials: the
    /// paths. What only an earlier answer can fill in stands as it is written.
    pub questions: Vec<String>,
    /// What the session subscribes to, in the same way.
    pub topics: Vec<String>,
}

/// A client is turned away.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnedAway {
    /// Why.
    pub why: String,
    /// How.
    pub how: Refuse,
}

/// Finds out who a request comes from, at a moment.
pub fn shown(auth: &Auth, head: &Parts, now: SystemTime) -> Shown {
    let tokens = auth.tokens.find(head);
    let (who, token) = match &auth.method {
        Method::None => (Some(Who::Nobody), tokens.first()),
        Method::App(_) => {
            let anything = !tokens.is_empty()
                || head.headers.contains_key(AUTHORIZATION)
                || head.headers.contains_key(COOKIE);
            ((!anything).then_some(Who::Nobody), tokens.first())
        }
        Method::Jwt(verifier) => proven(verifier, &tokens, now),
    };
    Shown {
        who,
        source: token.map(|token| token.source.clone()),
        by_cookie: origin::is_by_cookie(&auth.method, token, &head.headers),
    }
}

/// The first token that verifies; else why the first one does not.
fn proven<'t>(
    verifier: &Verifier,
    tokens: &'t [Token],
    now: SystemTime,
) -> (Option<Who>, Option<&'t Token>) {
    let mut who = Who::Nobody;
    for token in tokens {
        match verifier.verify(&token.text, now) {
            Ok(identity) => return (Some(Who::User(Box::new(identity))), Some(token)),
            Err(rejected) if who == Who::Nobody => who = Who::Unproven(rejected.to_string()),
            Err(_) => {}
        }
    }
    (Some(who), tokens.first())
}

/// Decides a handshake on the feed leg.
///
/// # Errors
/// The client is turned away without asking the app.
pub fn feed_leg(
    endpoint: &Endpoint,
    (who, by_cookie): (Who, bool),
    params: Vec<(Arc<str>, Value)>,
    headers: &HeaderMap,
) -> Result<Admitted, TurnedAway> {
    let refuse = &endpoint.refuse;
    if !origin::is_allowed(&endpoint.origins, headers, by_cookie) {
        let forbidden = Refuse::Http(StatusCode::FORBIDDEN);
        return Err(turned_away(
            "pages of this Origin are not allowed",
            &forbidden,
        ));
    }
    let identity = match who {
        Who::User(identity) => Some(*identity),
        Who::Nobody if endpoint.anonymous => None,
        Who::Nobody => return Err(turned_away("there is no token", &refuse.no_token)),
        Who::Unproven(why) => return Err(turned_away(why, &refuse.bad_token)),
        Who::Unknown(why) => {
            let busy = Refuse::Http(StatusCode::SERVICE_UNAVAILABLE);
            return Err(turned_away(why, &busy));
        }
    };
    let client = client_of(identity, params);
    admitted(endpoint, &client).map_err(|why| turned_away(why, &refuse.not_permitted))
}

fn admitted(endpoint: &Endpoint, client: &Client) -> Result<Admitted, String> {
    let scope = Scope {
        client: Some(client),
        ..Scope::default()
    };
    let mut questions = Vec::new();
    let permitted = match &endpoint.permit {
        Permit::Anyone => Ok(()),
        Permit::Own(param) => own(client, param),
        Permit::Claim { claim, value } => claimed(&scope, claim, value),
        Permit::Ask { path, .. } => {
            let path = path.render_path(&scope);
            questions.push(path.map_err(|missing| missing.to_string())?);
            Ok(())
        }
    };
    permitted.map_err(|denied| match denied {
        Denied::Unproven(why) | Denied::NotPermitted(why) | Denied::Unknown(why) => why,
    })?;
    // What is missing now may be what the app answers then.
    let asks = !endpoint.lookups.is_empty() || !endpoint.moments.on_connect.is_empty();
    let or_as_written = |text: &Text, filled: Result<String, crate::frame::Missing>| match filled {
        Ok(text) => Ok(text),
        Err(_) if asks || text.source().contains("{session.id}") => Ok(text.source().to_owned()),
        Err(missing) => Err(missing.to_string()),
    };
    for lookup in &endpoint.lookups {
        questions.push(or_as_written(
            &lookup.path,
            lookup.path.render_path(&scope),
        )?);
    }
    for from in &endpoint.topics_from {
        questions.push(or_as_written(&from.path, from.path.render_path(&scope))?);
    }
    let topics = endpoint.topics.iter();
    let topics = topics.map(|topic| or_as_written(topic, topic.render(&scope)));
    let from_app = endpoint.topics_from.iter();
    let from_app = from_app.map(|from| Ok(from.topic.source().to_owned()));
    Ok(Admitted {
        questions,
        topics: topics.chain(from_app).collect::<Result<_, _>>()?,
    })
}

fn turned_away(why: impl Into<String>, how: &Refuse) -> TurnedAway {
    TurnedAway {
        why: why.into(),
        how: how.clone(),
    }
}
