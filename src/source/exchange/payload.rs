//! One side's body, as bytes that passed, into JSON: decompressed where that is wanted,
//! never to more than its limit.

use std::{fmt, io::Read};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Map, Value};

use crate::upstream::NotKept;

/// What the decoder of Brotli works with at a time.
const BUFFER: usize = 4096;

/// Whose body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Request,
    /// The app's.
    Response,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// Why a body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its end did not come.
    #[error("broke off")]
    Cut,
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Larger than the rule looks at.
    #[error("is larger than `max_body`")]
    TooLarge,
    /// It is compressed.
    #[error(
        "is compressed in a way that is not looked into; `decompress = true` looks into gzip, deflate and br"
    )]
    Compressed,
    /// It is something else.
    #[error("is neither JSON nor a form")]
    NotJson,
}

impl Unusable {
    pub(super) fn reason(self, side: Side) -> &'static str {
        match (side, self) {
            (Side::Request, Self::Cut) => "request_broke_off",
            (Side::Request, Self::Empty) => "request_empty",
            (Side::Request, Self::TooLarge) => "request_too_large",
            (Side::Request, Self::Compressed) => "request_compressed",
            (Side::Request, Self::NotJson) => "request_not_json",
            (Side::Response, Self::Cut) => "response_broke_off",
            (Side::Response, Self::Empty) => "response_empty",
            (Side::Response, Self::TooLarge) => "response_too_large",
            (Side::Response, Self::Compressed) => "response_compressed",
            (Side::Response, Self::NotJson) => "response_not_json",
        }
    }
}

/// A body and what its headers say of it.
#[derive(Debug)]
pub struct Payload {
    kind: Option<HeaderValue>,
    coding: Option<HeaderValue>,
    body: Result<Bytes, NotKept>,
}

impl Payload {
    /// A body whose bytes are not known yet.
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            kind: headers.get(CONTENT_TYPE).cloned(),
            coding: headers.get(CONTENT_ENCODING).cloned(),
            body: Ok(Bytes::new()),
        }
    }

    /// The same with its bytes.
    #[must_use]
    pub fn with(self, body: Result<Bytes, NotKept>) -> Self {
        Self { body, ..self }
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its value: JSON, or a form's fields.
    pub(super) fn read(&self, max: usize, decompress: bool) -> Result<Value, Unusable> {
        let body = match &self.body {
            Err(NotKept::TooLarge) => return Err(Unusable::TooLarge),
            Err(NotKept::Cut) => return Err(Unusable::Cut),
            Ok(body) if body.is_empty() => return Err(Unusable::Empty),
            Ok(body) => body,
        };
        let coding = lower(self.coding.as_ref());
        let decoded = match coding.as_str() {
            "" | "identity" => None,
            _ if !decompress => return Err(Unusable::Compressed),
            coding => Some(decoded(coding, body, max)?),
        };
        let text = decoded.as_deref().unwrap_or(body);
        if text.len() > max {
            return Err(Unusable::TooLarge);
        }
        let kind = lower(self.kind.as_ref());
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Ok(form(text)),
            _ => serde_json::from_slice(text).map_err(|_| Unusable::NotJson),
        }
    }
}

/// The fields of a form or a query: texts, and lists where a name is there again.
pub(super) fn form(text: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        let value = Value::from(value);
        match fields.get_mut(&*name) {
            None => {
                fields.insert(name.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(fields)
}

fn decoded(coding: &str, body: &[u8], max: usize) -> Result<Vec<u8>, Unusable> {
    let mut out = Vec::new();
    // One byte more than is allowed tells that there is more.
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = match coding {
        "gzip" | "x-gzip" => flate2::read::GzDecoder::new(body)
            .take(most)
            .read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(body)
            .take(most)
            .read_to_end(&mut out),
        "br" => brotli_decompressor::Decompressor::new(body, BUFFER)
            .take(most)
            .read_to_end(&mut out),
        _ => return Err(Unusable::Compressed),
    };
    match read {
        Ok(_) if out.len() > max => Err(Unusable::TooLarge),
        Ok(_) => Ok(out),
        Err(_) => Err(Unusable::NotJson),
    }
}

fn lower(value: Option<&HeaderValue>) -> String {
    let text = value.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().trim().to_ascii_lowercase()
}
