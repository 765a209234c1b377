//! Values with a meaning of their own: addresses, paths, codes, algorithms. Each is
//! understood by itself, and its error is one line of message and, after a newline,
//! the way out.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Deserializer, de};

use super::value::{Scalar, read, read_scalar};
use crate::{auth, routes::Statuses, upstream::Address};

read!("a text in quotes", String, visit_str(&str) =>
    Socket Server Url AppPath Method Reason Algorithm TokenSource);
read!("a whole number", i64, visit_i64(i64) => Code Status);
read_scalar!(User Answers);

/// An address to listen on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket(pub SocketAddr);

impl TryFrom<String> for Socket {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |_| {
            format!(
                "`{text}` is not an address to listen on\n\
                 write an IP address and a port: 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080"
            )
        };
        text.parse().map(Self).map_err(wrong)
    }
}

/// The address of a server.
#[derive(Clone, Debug)]
pub(super) struct Server(pub Address);

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        no_password(&text)?;
        text.parse().map(Self).map_err(two_lines)
    }
}

/// The URL of a document or a stream on a server.
#[derive(Clone, Debug)]
pub(super) struct Url {
    pub address: Address,
    pub path: String,
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        no_password(&text)?;
        let (address, path) = Address::split_url(&text).map_err(two_lines)?;
        match path.parse::<http::uri::PathAndQuery>() {
            Ok(_) => Ok(Self { address, path }),
            Err(_) => Err(format!(
                "`{path}` is not the path of a URL\npercent-encode what is special in it"
            )),
        }
    }
}

fn no_password(text: &str) -> Result<(), String> {
    match text.contains('@') {
        true => Err("a URL here has no user and no password\nsend a header instead".into()),
        false => Ok(()),
    }
}

/// An error of a lower room, `what: the way out`, as message and help.
fn two_lines(error: impl fmt::Display) -> String {
    error.to_string().replacen(": write ", "\nwrite ", 1)
}

/// A path on the app, with its query, without templates.
#[derive(Clone, Debug)]
pub(super) struct AppPath(pub String);

impl TryFrom<String> for AppPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
        match fits {
            true => Ok(Self(text)),
            false => Err(format!(
                "`{text}` is not a path on the app\nwrite it from the slash on: /api/me/"
            )),
        }
    }
}

/// An HTTP method.
#[derive(Clone, Debug)]
pub(super) struct Method(pub http::Method);

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {
                text.parse().map(Self).map_err(|_| String::new())
            }
            _ => Err(format!(
                "`{text}` is not a method for a call\nwrite GET, POST, PUT, PATCH or DELETE"
            )),
        }
    }
}

/// Headers that belong to the connection or to the one who writes the request.
const OURS: [&str; 7] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The name of a header that may be set; else what is wrong, and the way out.
pub(super) fn header_name(text: &str) -> Result<http::HeaderName, (String, &'static str)> {
    let name: http::HeaderName = text.parse().map_err(|_| {
        let message = format!("`{text}` is not a header's name");
        (message, "write letters, digits and dashes: X-Source")
    })?;
    match OURS.contains(&name.as_str()) {
        true => Err((
            format!("`{text}` is written by Outrigger itself"),
            "leave it out",
        )),
        false => Ok(name),
    }
}

/// A share of the users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percent(pub f64);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(f64::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, String> {
        match (0.0..=100.0).contains(&percent) {
            true => Ok(Self(percent)),
            false => Err(format!(
                "{percent} is not a percentage\nwrite a number from 0 to 100"
            )),
        }
    }
}

/// A close code that an endpoint may send (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(pub u16);

impl TryFrom<i64> for Code {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u16::try_from(number) {
            Ok(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => Ok(Self(code)),
            _ => Err(format!(
                "{number} is not a close code that may be sent\n\
                 choose one from 4000 to 4999, which are free for applications"
            )),
        }
    }
}

/// The text beside a close code.
#[derive(Clone, Debug)]
pub(super) struct Reason(pub String);

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.len() {
            0..=123 => Ok(Self(text)),
            long => Err(format!(
                "a reason of {long} bytes does not fit into a close frame\nwrite at most 123 bytes"
            )),
        }
    }
}

/// The status of a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status(pub http::StatusCode);

impl TryFrom<i64> for Status {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let status = u16::try_from(number)
            .ok()
            .filter(|code| (400..600).contains(code));
        let status = status.and_then(|code| http::StatusCode::from_u16(code).ok());
        status.map(Self).ok_or_else(|| {
            format!("{number} is not a status that refuses\nwrite one from 400 to 599, such as 401 or 403")
        })
    }
}

/// The statuses of answers: `201`, or `"2xx"` for all that begin with a 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers(pub Statuses);

impl TryFrom<Scalar> for Answers {
    type Error = String;

    fn try_from(value: Scalar) -> Result<Self, String> {
        let text = User::from(value).0;
        let class = text.strip_suffix("xx");
        let class = class.and_then(|digit| digit.parse().ok());
        let class = class.filter(|digit| (2..6).contains(digit));
        let one = text.parse::<u16>().ok().filter(|code| *code >= 200);
        let one = one.and_then(|code| http::StatusCode::from_u16(code).ok());
        class
            .map(Statuses::Class)
            .or(one.map(Statuses::One))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "`{text}` is not the status of an answer\nwrite one such as 201, or \"2xx\""
                )
            })
    }
}

/// A user's id.
#[derive(Clone, Debug)]
pub(super) struct User(pub String);

impl From<Scalar> for User {
    fn from(value: Scalar) -> Self {
        Self(match value {
            Scalar::Int(number) => number.to_string(),
            Scalar::Text(text) => text,
        })
    }
}

/// A JWT algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Algorithm(pub auth::Algorithm);

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let names = auth::Algorithm::ALL.map(auth::Algorithm::name).join(", ");
            format!("`{text}` is not a JWT algorithm known here\nknown are: {names}")
        })
    }
}

/// A place a token may stand in: `query:token`.
#[derive(Clone, Debug)]
pub(super) struct TokenSource(pub auth::TokenSource);

impl TryFrom<String> for TokenSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (place, name) = text.split_once(':').unwrap_or((&text, ""));
        let source = match (place, name) {
            (_, "") => None,
            ("query", name) => Some(auth::TokenSource::Query(name.into())),
            ("cookie", name) => Some(auth::TokenSource::Cookie(name.into())),
            ("header", name) => name.parse().ok().map(auth::TokenSource::Header),
            ("subprotocol", name) => Some(auth::TokenSource::Subprotocol(name.into())),
            _ => None,
        };
        source.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a place where a token stands\nwrite query:token, \
                 cookie:access_token, header:authorization or subprotocol:bearer"
            )
        })
    }
}
