//! Bytes to messages and back: random prefix, encryption, msgpack or JSON.
//!
//! Whoever may write to the app's Redis may send anything: what cannot be read has a
//! reason, is bounded in size and depth, and costs nobody anything.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use serde_json::{Value, value::RawValue};

use super::{
    Layer, SendError, Serializer, Settings,
    fernet::{self, Key},
    msgpack::{Reader, pack, quote},
};
use crate::{frame::JsonStyle, source::wire};

/// Larger messages are not read.
const MAX_MESSAGE: usize = 1 << 20;

/// What the core layer puts before each message, so that no two are equal.
const RANDOM_PREFIX: usize = 12;

/// The library believes an encrypted message a little longer than it keeps it.
const BELIEVED: Duration = Duration::from_secs(10);

/// The member of a message that names whom it is for.
const TO: &str = "__asgi_channel__";

/// A message of a group.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its `type`.
    pub kind: String,
    /// All else it says, as a JSON object.
    pub data: Box<RawValue>,
    /// The channels it is for; none where the layer does not say.
    pub to: Vec<String>,
    /// What JSON cannot spell.
    pub replaced: Replaced,
}

/// How many values have a stand-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Not a number, or infinite: null.
    pub nan: u64,
    /// Bytes: base64.
    pub bytes: u64,
    /// Types of msgpack's extensions: null.
    pub ext: u64,
}

/// Why a message is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Encrypted with another key, or not at all.
    #[error(
        "none of the keys opens it: compare `encryption_keys_env` with the app's `symmetric_encryption_keys`"
    )]
    WrongKey,
    /// Older than it may be.
    #[error(
        "it is older than `expiry` allows, or from the future: compare the clocks of the app and of Outrigger"
    )]
    Expired,
    /// Not what the serializer writes.
    #[error("{0}: compare `serializer` and `encryption_keys_env` with the app's channel layer")]
    Malformed(&'static str),
    /// Something else than a dict.
    #[error(
        "it is no map: compare `serializer` and `encryption_keys_env` with the app's channel layer"
    )]
    NotAMap,
    /// Nobody would know what to do with it.
    #[error("it has no `type`, which Channels wants too")]
    NoType,
    /// Too long.
    #[error("it is larger than {MAX_MESSAGE} bytes: send a reference instead")]
    TooLarge,
    /// Too deep.
    #[error("it is nested deeper than 100 levels")]
    TooDeep,
}

impl Unreadable {
    /// The word in the metric.
    pub fn word(&self) -> &'static str {
        match self {
            Self::WrongKey => "wrong_key",
            Self::Expired => "expired",
            Self::Malformed(_) => "malformed",
            Self::NotAMap => "not_a_map",
            Self::NoType => "no_type",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
        }
    }
}

/// Reads and writes as the app's layer is set.
#[derive(Debug)]
pub(super) struct Codec {
    prefix: usize,
    serializer: Serializer,
    keys: Vec<Key>,
    ttl: Option<Duration>,
}

impl Codec {
    pub(super) fn new(settings: &Settings) -> Self {
        let core = settings.layer == Layer::Core;
        let keys = settings.keys.iter();
        Self {
            prefix: if core { RANDOM_PREFIX } else { 0 },
            serializer: settings.serializer,
            keys: keys.map(|key| Key::of(key.expose())).collect(),
            // The pub/sub layer gives no time to live.
            ttl: core.then(|| settings.expiry + BELIEVED),
        }
    }

    /// What stands in a queue or comes over a channel.
    pub(super) fn read(&self, bytes: &[u8], now: SystemTime) -> Result<Message, Unreadable> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Unreadable::TooLarge);
        }
        let short = Unreadable::Malformed("it is too short");
        let body = bytes.get(self.prefix..).ok_or(short)?;
        match &self.keys[..] {
            [] => decode(body, self.serializer),
            keys => {
                let body = fernet::decrypt(keys, body, (self.ttl, now))?;
                decode(&body, self.serializer)
            }
        }
    }

    /// Whether equal bytes are one and the same sending: only what is encrypted says so.
    pub(super) fn is_unique(&self) -> bool {
        !self.keys.is_empty()
    }

    /// A message as the app's own processes write it, to these channels if the layer
    /// names them.
    pub(super) fn write(
        &self,
        message: &RawValue,
        to: Option<&[String]>,
        now: SystemTime,
    ) -> Result<Vec<u8>, SendError> {
        let body = match self.serializer {
            Serializer::Msgpack => to_msgpack(message, to)?,
            Serializer::Json => to_json(message, to)?,
        };
        let body = match self.keys.first() {
            None => body,
            Some(key) => key
                .encrypt(&body, now)
                .map_err(|_| SendError::NotAMessage("cannot be encrypted"))?,
        };
        let mut bytes = vec![0; self.prefix];
        rand::fill(&mut bytes).map_err(|_| SendError::NotAMessage("gets no random prefix"))?;
        bytes.extend(body);
        Ok(bytes)
    }
}

/// Reads the body of a message: what is left when prefix and encryption are gone.
///
/// # Errors
/// It is no message.
pub fn decode(body: &[u8], serializer: Serializer) -> Result<Message, Unreadable> {
    match serializer {
        Serializer::Msgpack => from_msgpack(body),
        Serializer::Json => from_json(body),
    }
}

fn from_msgpack(body: &[u8]) -> Result<Message, Unreadable> {
    let mut reader = Reader::new(body);
    let (mut kind, mut to, mut data) = (None, Vec::new(), Data::default());
    for _ in 0..reader.map()? {
        let mut key = String::new();
        reader.key(&mut key)?;
        match key.as_str() {
            "\"type\"" => kind = reader.text()?.map(str::to_owned).or(Some(String::new())),
            "\"__asgi_channel__\"" => to = reader.texts()?,
            _ => reader.value(data.member(&key))?,
        }
        if kind.as_ref().is_some_and(String::is_empty) {
            return Err(Unreadable::NoType);
        }
    }
    reader.end()?;
    Ok(Message {
        kind: kind.ok_or(Unreadable::NoType)?,
        data: data.end()?,
        to,
        replaced: reader.replaced,
    })
}

fn from_json(body: &[u8]) -> Result<Message, Unreadable> {
    let no_json = Unreadable::Malformed("it is no JSON");
    let text = std::str::from_utf8(body).map_err(|_| no_json.clone())?;
    let (text, nan) = without_nan(text);
    let raw: &RawValue = serde_json::from_str(&text).map_err(|_| no_json.clone())?;
    let members = wire::members(raw).map_err(|problem| match problem {
        wire::Rejected::NotAnObject => Unreadable::NotAMap,
        _ => Unreadable::Malformed("a key in it is there twice or no text"),
    })?;
    let (mut kind, mut to, mut data) = (None, Vec::new(), Data::default());
    for (key, value) in members {
        match &*key {
            "type" => kind = serde_json::from_str::<String>(value.get()).ok(),
            TO => to = channels(value)?,
            key => {
                wire::payload(value).map_err(|_| Unreadable::TooDeep)?;
                let mut name = String::new();
                quote(key, &mut name);
                data.member(&name).push_str(value.get());
            }
        }
    }
    Ok(Message {
        kind: kind
            .filter(|kind| !kind.is_empty())
            .ok_or(Unreadable::NoType)?,
        data: data.end()?,
        to,
        replaced: Replaced {
            nan,
            ..Replaced::default()
        },
    })
}

fn channels(value: &RawValue) -> Result<Vec<String>, Unreadable> {
    let one = serde_json::from_str::<String>(value.get()).map(|name| vec![name]);
    one.or_else(|_| serde_json::from_str(value.get()))
        .map_err(|_| Unreadable::Malformed("its `__asgi_channel__` is no list of texts"))
}

/// Python's `json` writes `NaN` and `Infinity`, which no other reader takes: null.
fn without_nan(text: &str) -> (std::borrow::Cow<'_, str>, u64) {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return (text.into(), 0);
    }
    let (mut out, mut count) = (String::with_capacity(text.len()), 0);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"];
        let word = word.iter().find(|word| rest.starts_with(**word));
        let length = match (word, c) {
            (Some(word), _) => {
                count += 1;
                out.push_str("null");
                rest = rest.get(word.len()..).unwrap_or_default();
                continue;
            }
            (None, '"') => string_length(rest),
            (None, c) => c.len_utf8(),
        };
        let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(piece);
        rest = behind;
    }
    (out.into(), count)
}

/// How long the JSON string is that a text begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A JSON object that grows by its members.
#[derive(Default)]
struct Data(String);

impl Data {
    /// Begins a member; what is appended is its value. The key is quoted already.
    fn member(&mut self, key: &str) -> &mut String {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(key);
        self.0.push(':');
        &mut self.0
    }

    fn end(mut self) -> Result<Box<RawValue>, Unreadable> {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        RawValue::from_string(self.0).map_err(|_| Unreadable::TooDeep)
    }
}

fn object(message: &RawValue, to: Option<&[String]>) -> Result<Value, SendError> {
    let value = serde_json::from_str(message.get());
    let mut value: Value = value.map_err(|_| SendError::NotAMessage("cannot be read"))?;
    let Some(members) = value.as_object_mut() else {
        return Err(SendError::NotAMessage("is no object"));
    };
    match members.get("type") {
        Some(Value::String(kind)) if !kind.is_empty() => {}
        _ => return Err(SendError::NotAMessage("has no `type`")),
    }
    if members.contains_key(TO) {
        return Err(SendError::NotAMessage(
            "has `__asgi_channel__`, which is Channels' own",
        ));
    }
    if let Some(to) = to {
        members.insert(TO.into(), to.into());
    }
    Ok(value)
}

fn to_msgpack(message: &RawValue, to: Option<&[String]>) -> Result<Vec<u8>, SendError> {
    let mut out = Vec::new();
    pack(&object(message, to)?, &mut out).map_err(SendError::NotAMessage)?;
    Ok(out)
}

/// As `json.dumps` spells it.
fn to_json(message: &RawValue, to: Option<&[String]>) -> Result<Vec<u8>, SendError> {
    let mut out = String::new();
    JsonStyle::Python.write_value(&object(message, to)?, &mut out);
    Ok(out.into_bytes())
}

#[cfg(test)]
mod tests;
