//! JSON as Python's `json.dumps(x)` writes it: a space after `,` and `:`, and
//! nothing but ASCII. The demo's app, like a Django one, spells its frames by this
//! and not by Outrigger's own code, so that equal bytes prove something.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, ser::Formatter};

/// Writes a value the way `json.dumps` does.
pub(super) fn dumps(value: &Value) -> String {
    let mut out = Vec::new();
    let mut json = serde_json::Serializer::with_formatter(&mut out, Python);
    // A `Value` has only string keys and a Vec takes every write.
    value.serialize(&mut json).unwrap_or_default();
    String::from_utf8(out).unwrap_or_default()
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        comma(out, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        comma(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        for c in text.chars() {
            if c.is_ascii() {
                write!(out, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

fn comma<W: ?Sized + Write>(out: &mut W, first: bool) -> io::Result<()> {
    out.write_all(if first { b"" } else { b", " })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_spelled_as_python_spells_it() {
        let value = json!({"name": "Zoë", "list": [1, 2.0, null], "mood": "😀\n\"ok\""});
        assert_eq!(
            dumps(&value),
            r#"{"name": "Zo\u00eb", "list": [1, 2.0, null], "mood": "\ud83d\ude00\n\"ok\""}"#
        );
    }
}
