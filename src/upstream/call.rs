//! A small whole exchange: request out, answer read to its end, within limits.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::{RequestBody, Upstream};

/// What is asked. `Host` is filled in where it is missing.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers, without `Content-Length`.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// For everything, from dialling to the last byte of the answer.
    pub timeout: Duration,
    /// The largest answer that is read, in bytes.
    pub max_body: usize,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct CallResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It did not come in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It could not be asked, or the answer broke off.
    #[error("{0}")]
    Failed(String),
}

impl Upstream {
    /// Asks one thing and reads the whole answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(self: &Arc<Self>, request: CallRequest) -> Result<CallResponse, CallError> {
        let limit = request.timeout;
        match timeout(limit, self.call_in_full(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Timeout(limit)),
        }
    }

    async fn call_in_full(self: &Arc<Self>, call: CallRequest) -> Result<CallResponse, CallError> {
        let max_body = call.max_body;
        let request = self.request(call)?;
        let response = self
            .send(request)
            .await
            .map_err(|error| CallError::Failed(error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_body)
            .collect()
            .await
            .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => CallError::TooLarge(max_body),
                None => CallError::Failed(error.to_string()),
            })?;
        Ok(CallResponse {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    fn request(&self, call: CallRequest) -> Result<Request<RequestBody>, CallError> {
        let has_body = !call.body.is_empty();
        let body = if has_body {
            RequestBody::Whole(Some(call.body))
        } else {
            RequestBody::Empty
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .body(body);
        if let Ok(request) = &mut request {
            *request.headers_mut() = call.headers;
            if !request.headers().contains_key(HOST) {
                let host = HeaderValue::try_from(self.settings().address.authority());
                request
                    .headers_mut()
                    .extend(host.ok().map(|host| (HOST, host)));
            }
        }
        request.map_err(|error| CallError::Failed(error.to_string()))
    }
}
