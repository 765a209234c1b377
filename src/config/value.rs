//! Values that are understood by themselves: times, sizes, addresses, names.
//! What is wrong with one is said while it is read, so its place in the text is
//! known. An error is one line of message and, after a newline, the way out.

use std::{fmt, marker::PhantomData, net::SocketAddr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer, value::SeqAccessDeserializer},
};
use toml::Spanned;

use crate::{auth, upstream::Address};

/// Longer than any time in a config; sums of times stay far from overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value that may be absent and whose place is needed.
pub(super) type Maybe<T> = Option<Spanned<T>>;

/// Reads a value from one of TOML's own types. The error is made inside the
/// visitor: only there does `toml` know the place of an item of a list.
macro_rules! read {
    ($expecting:literal, $from:ty, $visit:ident($seen:ty) => $($name:ident)*) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    struct Visitor;
                    impl de::Visitor<'_> for Visitor {
                        type Value = $name;
                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str($expecting)
                        }
                        fn $visit<E: de::Error>(self, seen: $seen) -> Result<$name, E> {
                            $name::try_from(<$from>::from(seen)).map_err(E::custom)
                        }
                    }
                    from.deserialize_any(Visitor)
                }
            }
        )*
    };
}

read!("a text in quotes", String, visit_str(&str) =>
    Time Wait Socket Server Url AppPath Method Reason Algorithm TokenSource);
read!("a whole number", i64, visit_i64(i64) => Count Code Status);

/// A span of time, possibly none: `"10s"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a time\nwrite a number and a unit: 500ms, 10s, 5m, 1h, 7d");
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(wrong()),
        };
        let time = Duration::from_millis(number.saturating_mul(millis));
        match time > LONGEST {
            true => Err(format!(
                "`{text}` is more than a year\nwrite a shorter time"
            )),
            false => Ok(Self(time)),
        }
    }
}

/// A span of time that is more than none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(pub Duration);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = Time::try_from(text)?.0;
        match time.is_zero() {
            true => Err("this time must be more than none\nwrite at least 1ms".into()),
            false => Ok(Self(time)),
        }
    }
}

/// A whole number or a text.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Int(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.into()))
            }
        }
        from.deserialize_any(Either)
    }
}

macro_rules! read_scalar {
    ($($name:ident)*) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    Self::try_from(Scalar::deserialize(from)?).map_err(de::Error::custom)
                }
            }
        )*
    };
}

read_scalar!(Size User);

/// Bytes: `65536`, `"64KiB"`, `"1MiB"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub usize);

impl TryFrom<Scalar> for Size {
    type Error = String;

    fn try_from(value: Scalar) -> Result<Self, String> {
        const HELP: &str = "write bytes, or a number and a unit: 64KiB, 1MiB, 2GiB";
        let (shown, bytes) = match value {
            Scalar::Int(number) => (number.to_string(), usize::try_from(number).ok()),
            Scalar::Text(text) => {
                let bytes = size(&text);
                (text, bytes)
            }
        };
        match bytes {
            Some(0) => Err(format!("a size of nothing lets nothing through\n{HELP}")),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(format!("`{shown}` is not a size\n{HELP}")),
        }
    }
}

fn size(text: &str) -> Option<usize> {
    let at = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// How many, at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub u32);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(number @ 1..) => Ok(Self(number)),
            _ => Err(format!(
                "`{number}` is not a count\nwrite a number from 1 to {}",
                u32::MAX
            )),
        }
    }
}

impl Count {
    /// As a length.
    pub(super) fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

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

/// A value that has a short form besides its full one.
#[derive(Clone, Debug)]
pub(super) enum Short<T> {
    Word(String),
    Switch(bool),
    Full(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or the full form")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Short::Word(text.into()))
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(Short::Switch(on))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short::Full)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                T::deserialize(SeqAccessDeserializer::new(items)).map(Short::Full)
            }
        }
        from.deserialize_any(Either(PhantomData))
    }
}

/// A table whose keys are the user's own names, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Pairs<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for InOrder<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(InOrder(PhantomData))
    }
}
