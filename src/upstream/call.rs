//! A small whole exchange: request out, answer read to its end, within limits.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

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
