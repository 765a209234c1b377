//! msgpack to JSON text, and back, as Python's `msgpack` and `json` do it.
//!
//! Whole numbers stay exact, floats are spelled as Python spells them, keys keep their
//! order. What JSON cannot spell gets a stand-in and is counted.

use serde_json::Value;

use super::codec::{Replaced, Unreadable};
use crate::frame::JsonStyle;

/// Lists and maps stand in each other at most so deep. Readers of JSON stop at 128.
const MAX_DEPTH: usize = 100;

/// A reader of bytes that may be anything.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    depth: usize,
    /// What was replaced so far.
    pub(super) replaced: Replaced,
}

const CUT_OFF: Unreadable = Unreadable::Malformed("it is cut off");

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
            replaced: Replaced::default(),
        }
    }

    /// Everything was read.
    pub(super) fn end(&self) -> Result<(), Unreadable> {
        match self.rest {
            [] => Ok(()),
            _ => Err(Unreadable::Malformed("something stands behind it")),
        }
    }

    /// The number of pairs of a map.
    pub(super) fn map(&mut self) -> Result<usize, Unreadable> {
        match self.byte()? {
            marker @ 0x80..=0x8f => Ok(usize::from(marker & 0x0f)),
            0xde => self.length(2),
            0xdf => self.length(4),
            _ => Err(Unreadable::NotAMap),
        }
    }

    /// A text, or whatever else stands there as `None`, left where it is.
    pub(super) fn text(&mut self) -> Result<Option<&'b str>, Unreadable> {
        let length = match self.rest.first().copied().ok_or(CUT_OFF)? {
            marker @ 0xa0..=0xbf => (1, usize::from(marker & 0x1f)),
            0xd9 => (2, 1),
            0xda => (3, 2),
            0xdb => (5, 4),
            _ => return Ok(None),
        };
        self.byte()?;
        let length = match length {
            (1, length) => length,
            (_, width) => self.length(width)?,
        };
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some)
            .map_err(|_| Unreadable::Malformed("a text in it is no UTF-8"))
    }

    /// The texts of a list, or one text.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, Unreadable> {
        let wrong = Unreadable::Malformed("its `__asgi_channel__` is no list of texts");
        if let Some(text) = self.text()? {
            return Ok(vec![text.into()]);
        }
        let count = match self.byte()? {
            marker @ 0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.length(2)?,
            0xdd => self.length(4)?,
            _ => return Err(wrong),
        };
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.text()?.ok_or(wrong.clone())?.to_owned());
        }
        Ok(texts)
    }

    /// Appends the next value as JSON.
    pub(super) fn value(&mut self, out: &mut String) -> Result<(), Unreadable> {
        if let Some(text) = self.text()? {
            quote(text, out);
            return Ok(());
        }
        match self.byte()? {
            marker @ 0x80..=0x8f => self.members(usize::from(marker & 0x0f), out),
            marker @ 0x90..=0x9f => self.items(usize::from(marker & 0x0f), out),
            0xdc => self.length(2).and_then(|count| self.items(count, out)),
            0xdd => self.length(4).and_then(|count| self.items(count, out)),
            0xde => self.length(2).and_then(|count| self.members(count, out)),
            0xdf => self.length(4).and_then(|count| self.members(count, out)),
            0xc4 => self.length(1).and_then(|length| self.binary(length, out)),
            0xc5 => self.length(2).and_then(|length| self.binary(length, out)),
            0xc6 => self.length(4).and_then(|length| self.binary(length, out)),
            marker => self.scalar(marker, out),
        }
    }

    fn scalar(&mut self, marker: u8, out: &mut String) -> Result<(), Unreadable> {
        let text = match marker {
            0x00..=0x7f | 0xe0..=0xff => marker.cast_signed().to_string(),
            0xc0 => "null".into(),
            0xc2 => "false".into(),
            0xc3 => "true".into(),
            0xca => self
                .array()
                .map(f32::from_be_bytes)
                .map(f64::from)
                .map(|f| self.float(f))?,
            0xcb => self
                .array()
                .map(f64::from_be_bytes)
                .map(|f| self.float(f))?,
            0xcc => u8::from_be_bytes(self.array()?).to_string(),
            0xcd => u16::from_be_bytes(self.array()?).to_string(),
            0xce => u32::from_be_bytes(self.array()?).to_string(),
            0xcf => u64::from_be_bytes(self.array()?).to_string(),
            0xd0 => i8::from_be_bytes(self.array()?).to_string(),
            0xd1 => i16::from_be_bytes(self.array()?).to_string(),
            0xd2 => i32::from_be_bytes(self.array()?).to_string(),
            0xd3 => i64::from_be_bytes(self.array()?).to_string(),
            0xd4..=0xd8 => return self.extension(1 << (marker - 0xd4), out),
            0xc7 => return self.length(1).and_then(|size| self.extension(size, out)),
            0xc8 => return self.length(2).and_then(|size| self.extension(size, out)),
            0xc9 => return self.length(4).and_then(|size| self.extension(size, out)),
            _ => return Err(Unreadable::Malformed("it is no msgpack")),
        };
        out.push_str(&text);
        Ok(())
    }

    fn float(&mut self, number: f64) -> String {
        if number.is_finite() {
            return python_float(number);
        }
        self.replaced.nan += 1;
        "null".into()
    }

    fn binary(&mut self, length: usize, out: &mut String) -> Result<(), Unreadable> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let bytes = self.take(length)?;
        self.replaced.bytes += 1;
        out.push('"');
        STANDARD.encode_string(bytes, out);
        out.push('"');
        Ok(())
    }

    /// A type byte and that many bytes.
    fn extension(&mut self, length: usize, out: &mut String) -> Result<(), Unreadable> {
        self.byte()?;
        self.take(length)?;
        self.replaced.ext += 1;
        out.push_str("null");
        Ok(())
    }

    fn items(&mut self, count: usize, out: &mut String) -> Result<(), Unreadable> {
        self.enter()?;
        out.push('[');
        for index in 0..count {
            if index > 0 {
                out.push(',');
            }
            self.value(out)?;
        }
        out.push(']');
        self.depth -= 1;
        Ok(())
    }

    fn members(&mut self, count: usize, out: &mut String) -> Result<(), Unreadable> {
        self.enter()?;
        out.push('{');
        for index in 0..count {
            if index > 0 {
                out.push(',');
            }
            self.key(out)?;
            out.push(':');
            self.value(out)?;
        }
        out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// A key as `json.dumps` writes it: numbers, true, false and None become texts.
    pub(super) fn key(&mut self, out: &mut String) -> Result<(), Unreadable> {
        if let Some(text) = self.text()? {
            quote(text, out);
            return Ok(());
        }
        let marker = self.byte()?;
        match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xca..=0xd3 | 0xe0..=0xff => {
                out.push('"');
                self.scalar(marker, out)?;
                out.push('"');
                Ok(())
            }
            _ => Err(Unreadable::Malformed("a key in it is no text or number")),
        }
    }

    fn enter(&mut self) -> Result<(), Unreadable> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(Unreadable::TooDeep),
            false => Ok(()),
        }
    }

    fn length(&mut self, width: usize) -> Result<usize, Unreadable> {
        let bytes = self.take(width)?;
        let add = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        Ok(bytes.iter().fold(0, add))
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Unreadable> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// Appends a text as a JSON string.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    JsonStyle::Compact.write_escaped(text, out);
    out.push('"');
}

/// Python's `repr` of a float: the shortest digits that are this very number, with
/// an exponent from 1e16 on and below 0.0001.
fn python_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let exponent = scientific.split_once('e').and_then(|(digits, exponent)| {
        let exponent: i32 = exponent.parse().ok()?;
        Some((digits, exponent))
    });
    match exponent {
        Some((digits, exponent)) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => {
            let plain = number.to_string();
            let dot = if plain.contains('.') { "" } else { ".0" };
            format!("{plain}{dot}")
        }
    }
}

/// A number in a message that Python could not have put there.
pub(super) const TOO_LARGE: &str = "holds a whole number that does not fit into 64 bits";

/// Appends a JSON value as `msgpack.packb` writes it.
///
/// # Errors
/// A whole number is too large for msgpack.
pub(super) fn pack(value: &Value, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Number(number) => pack_number(&number.to_string(), out)?,
        Value::String(text) => pack_text(text, out),
        Value::Array(items) => {
            pack_length(items.len(), [0x90, 0xdc, 0xdd], out);
            for item in items {
                pack(item, out)?;
            }
        }
        Value::Object(members) => {
            pack_length(members.len(), [0x80, 0xde, 0xdf], out);
            for (key, value) in members {
                pack_text(key, out);
                pack(value, out)?;
            }
        }
    }
    Ok(())
}

fn pack_number(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if text.contains(['.', 'e', 'E']) {
        let float: f64 = text.parse().map_err(|_| TOO_LARGE)?;
        out.push(0xcb);
        out.extend(float.to_be_bytes());
    } else if let Ok(number) = text.parse::<u64>() {
        match number {
            0..=0x7f => out.extend(&number.to_be_bytes()[7..]),
            0x80..=0xff => tagged(0xcc, &number.to_be_bytes()[7..], out),
            0x100..=0xffff => tagged(0xcd, &number.to_be_bytes()[6..], out),
            0x1_0000..=0xffff_ffff => tagged(0xce, &number.to_be_bytes()[4..], out),
            _ => tagged(0xcf, &number.to_be_bytes(), out),
        }
    } else {
        let number: i64 = text.parse().map_err(|_| TOO_LARGE)?;
        match number {
            -0x20.. => out.extend(&number.to_be_bytes()[7..]),
            -0x80..-0x20 => tagged(0xd0, &number.to_be_bytes()[7..], out),
            -0x8000..-0x80 => tagged(0xd1, &number.to_be_bytes()[6..], out),
            -0x8000_0000..-0x8000 => tagged(0xd2, &number.to_be_bytes()[4..], out),
            _ => tagged(0xd3, &number.to_be_bytes(), out),
        }
    }
    Ok(())
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(bytes);
}

fn pack_text(text: &str, out: &mut Vec<u8>) {
    let length = text.len().to_be_bytes();
    match text.len() {
        0..=0x1f => out.push(0xa0 | length[7]),
        0x20..=0xff => tagged(0xd9, &length[7..], out),
        0x100..=0xffff => tagged(0xda, &length[6..], out),
        _ => tagged(0xdb, &length[4..], out),
    }
    out.extend(text.as_bytes());
}

fn pack_length(length: usize, [short, middle, long]: [u8; 3], out: &mut Vec<u8>) {
    let bytes = length.to_be_bytes();
    match length {
        0..=0x0f => out.push(short | bytes[7]),
        0x10..=0xffff => tagged(middle, &bytes[6..], out),
        _ => tagged(long, &bytes[4..], out),
    }
}
