//! A request to the app on behalf of a client.

use http::{HeaderValue, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::{
    sync::SemaphorePermit,
    time::{Duration, timeout},
};

use super::{Desk, Done, Failed, Said};
use crate::{
    frame::Missing,
    metrics::Because,
    routes::Call,
    upstream::{CallRequest, CallResponse},
};

/// The largest answer of the app that is read after a call.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a call may wait for its turn.
const IN_LINE: Duration = Duration::from_secs(30);

impl Desk {
    pub(super) async fn call(
        &self,
        call: &Call,
        said: Said<'_>,
        done: &mut Done,
    ) -> Result<(), Failed> {
        let result = match self.request(call, said) {
            Ok(request) => self.ask(request).await,
            Err(missing) => Err(Failed::Unanswered(missing.to_string())),
        };
        let (status, result) = match result {
            Ok(response) => {
                let status = response.status;
                done.answer = Some(serde_json::from_slice(&response.body).unwrap_or(Value::Null));
                let refused = !status.is_success();
                let result = refused
                    .then_some(Failed::Refused(status))
                    .map_or(Ok(()), Err);
                (Some(status), result)
            }
            Err(failed) => (None, Err(failed)),
        };
        let count = result.as_ref().err().map_or("ok", Failed::metric);
        Because::count(&self.sessions.metrics.calls, &self.endpoint.name, count);
        let reply = match &result {
            Ok(()) => call.reply.as_ref(),
            Err(_) => call.on(status),
        };
        if let Some(reply) = reply {
            let answer = done.answer.as_ref();
            done.reply = self.reply(reply, Said { answer, ..said });
        }
        result
    }

    /// In line with the calls of all other sessions: what many clients cause at the
    /// same moment leaves room for plain requests.
    async fn ask(&self, request: CallRequest) -> Result<CallResponse, Failed> {
        let _turn = self.turn().await?;
        let answer = self.table.app.call(request).await;
        answer.map_err(|error| Failed::Unanswered(error.to_string()))
    }

    /// Waits in that line, not for ever.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Failed> {
        match timeout(IN_LINE, self.sessions.calls.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Failed::Unanswered("too many calls at once".into())),
        }
    }

    fn request(&self, call: &Call, said: Said<'_>) -> Result<CallRequest, Missing> {
        let scope = self.scope(said);
        let mut headers = self
            .caller
            .as_ref()
            .map(|caller| caller.headers())
            .unwrap_or_default();
        for (name, value) in &call.headers {
            let value = value.render(&scope)?;
            let value = HeaderValue::try_from(value).map_err(|_| Missing(name.to_string()))?;
            headers.insert(name.clone(), value);
        }
        let body = call.body.as_ref().map(|body| body.render(&scope));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(CallRequest {
            method: call.method.clone(),
            path: call.path.render_path(&scope)?,
            headers,
            body: body.unwrap_or_default().into(),
            timeout: call.timeout,
            max_body: MAX_ANSWER,
        })
    }
}
