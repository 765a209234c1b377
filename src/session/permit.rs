//! May this user hear this? And what the app says at connect.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::{
    Sessions,
    ask::{self, Answer},
    caller::Caller,
};
use crate::{
    frame::{Client, Scope},
    routes::{Endpoint, Permit, RouteTable},
};

/// Why a known user is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The credential is not good enough for the app.
    Unproven(String),
    /// Not for this user.
    NotPermitted(String),
    /// The app had to be asked and could not be.
    Unknown(String),
}

impl Denied {
    /// What an answer of the app means for a client that it was asked about: 2xx lets
    /// it in.
    pub(super) fn by(status: StatusCode) -> Option<Self> {
        let said = format!("the app answered {status}");
        match status {
            status if status.is_success() => None,
            StatusCode::UNAUTHORIZED => Some(Self::Unproven(said)),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Some(Self::NotPermitted(said))
            }
            _ => Some(Self::Unknown(said)),
        }
    }
}

impl Sessions {
    /// Checks the permit, then asks the look-ups in order and puts their answers
    /// into the client.
    pub(super) async fn permit(
        &self,
        table: &RouteTable,
        endpoint: &Endpoint,
        client: &mut Client,
        caller: &Caller,
    ) -> Result<(), Denied> {
        match &endpoint.permit {
            Permit::Anyone => {}
            Permit::Own(param) => own(client, param)?,
            Permit::Claim { claim, value } => {
                let client = Some(&*client);
                let scope = Scope {
                    client,
                    ..Scope::default()
                };
                claimed(&scope, claim, value)?;
            }
            Permit::Ask { path, cache } => {
                self.ask(table, client, caller, (path, *cache)).await?;
            }
        }
        for lookup in &endpoint.lookups {
            let answer = self
                .ask(table, client, caller, (&lookup.path, lookup.cache))
                .await?;
            client
                .lookups
                .insert(lookup.name.to_string(), answer.json());
        }
        Ok(())
    }

    async fn ask(
        &self,
        table: &RouteTable,
        client: &Client,
        caller: &Caller,
        (path, cache): (&crate::frame::Text, std::time::Duration),
    ) -> Result<Answer, Denied> {
        let scope = Scope {
            client: Some(client),
            ..Scope::default()
        };
        let path = path
            .render_path(&scope)
            .map_err(|missing| Denied::NotPermitted(missing.to_string()))?;
        self.ask_app(table, caller, (&path, cache)).await
    }

    /// Asks for a path; only a 2xx is an answer.
    pub(super) async fn ask_app(
        &self,
        table: &RouteTable,
        caller: &Caller,
        (path, cache): (&str, std::time::Duration),
    ) -> Result<Answer, Denied> {
        let limits = (cache, ask::TIMEOUT);
        let answer = self
            .asks
            .get(&table.app, path.to_owned(), caller, limits)
            .await;
        let answer = answer.map_err(|error| Denied::Unknown(error.to_string()))?;
        Denied::by(answer.status).map_or(Ok(answer), Err)
    }
}

pub(super) fn own(client: &Client, param: &Arc<str>) -> Result<(), Denied> {
    let value = client
        .params
        .iter()
        .find(|(name, _)| name == param)
        .map(|(_, value)| text_of(value));
    let user = client.user.as_ref().map(|user| user.as_str().to_owned());
    if value.is_some() && value == user {
        return Ok(());
    }
    Err(Denied::NotPermitted(format!(
        "{{{param}}} is not the user's own id"
    )))
}

pub(super) fn claimed(
    scope: &Scope<'_>,
    claim: &str,
    value: &crate::frame::Text,
) -> Result<(), Denied> {
    let wanted = value
        .render(scope)
        .map_err(|missing| Denied::NotPermitted(missing.to_string()))?;
    let claims = scope.client.and_then(|client| client.claims.as_ref());
    let held = claims.and_then(|claims| claims.get(claim));
    let holds = match held {
        Some(Value::Array(items)) => items.iter().any(|item| text_of(item) == wanted),
        Some(one) => text_of(one) == wanted,
        None => false,
    };
    if holds {
        return Ok(());
    }
    Err(Denied::NotPermitted(format!(
        "the claim {claim} does not hold it"
    )))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
