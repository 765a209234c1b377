//! JSON text in the dialect of the app that used to write it.
//!
//! Frames must equal the app's own to the byte, and the same value has several
//! spellings: Django's `json.dumps(x)` puts a space after `,` and `:` and escapes
//! all but ASCII; Starlette's `send_json` writes compact UTF-8. The text is
//! rewritten as it streams past; numbers stay as they came.

use serde_json::Value;

/// How JSON is spelled on an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JsonStyle {
    /// No spaces, UTF-8: Starlette's `send_json`, JavaScript's `JSON.stringify`.
    #[default]
    Compact,
    /// `json.dumps(x)`: `", "`, `": "`, ASCII only with `\uXXXX` in lower case.
    Python,
}

impl JsonStyle {
    /// What stands between two members.
    pub fn comma(self) -> &'static str {
        match self {
            Self::Compact => ",",
            Self::Python => ", ",
        }
    }

    /// What stands between a key and its value.
    pub fn colon(self) -> &'static str {
        match self {
            Self::Compact => ":",
            Self::Python => ": ",
        }
    }

    /// Appends a value in this style.
    pub fn write_value(self, value: &Value, out: &mut String) {
        self.write_raw(&value.to_string(), out);
    }

    /// Appends a JSON text, which must be valid, in this style.
    pub fn write_raw(self, json: &str, out: &mut String) {
        out.reserve(json.len());
        let mut rest = json.chars();
        while let Some(c) = rest.next() {
            match c {
                ' ' | '\t' | '\n' | '\r' => {}
                ',' => out.push_str(self.comma()),
                ':' => out.push_str(self.colon()),
                '"' => self.rewrite_string(&mut rest, out),
                _ => out.push(c),
            }
        }
    }

    /// Appends a text as a JSON string, without the quotes around it.
    pub fn write_escaped(self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.write_char(c, out);
        }
    }

    /// Copies a string up to and with its closing quote.
    fn rewrite_string(self, rest: &mut std::str::Chars<'_>, out: &mut String) {
        out.push('"');
        while let Some(c) = rest.next() {
            match c {
                '"' => break,
                '\\' => self.rewrite_escape(rest, out),
                _ => self.write_char(c, out),
            }
        }
        out.push('"');
    }

    fn rewrite_escape(self, rest: &mut std::str::Chars<'_>, out: &mut String) {
        let c = match rest.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => return self.rewrite_unit(rest, out),
            Some(other) => other,
            None => return,
        };
        self.write_char(c, out);
    }

    /// `\uXXXX`: a surrogate pair is two of them, a lone surrogate stays as it is.
    fn rewrite_unit(self, rest: &mut std::str::Chars<'_>, out: &mut String) {
        let unit = four_hex_digits(rest);
        if let Some(c) = char::from_u32(unit) {
            return self.write_char(c, out);
        }
        let mut ahead = rest.clone();
        if (0xD800..0xDC00).contains(&unit)
            && ahead.next() == Some('\\')
            && ahead.next() == Some('u')
        {
            let low = four_hex_digits(&mut ahead);
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                if let Some(c) = char::from_u32(code) {
                    *rest = ahead;
                    return self.write_char(c, out);
                }
            }
        }
        write_unit(unit, out);
    }

    fn write_char(self, c: char, out: &mut String) {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => write_unit(u32::from(c), out),
            // DEL too: `json.dumps` leaves only what is printed as it is.
            c if self == Self::Python && !matches!(c, ' '..='~') => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write_unit(u32::from(*unit), out);
                }
            }
            c => out.push(c),
        }
    }
}

fn four_hex_digits(rest: &mut std::str::Chars<'_>) -> u32 {
    rest.by_ref()
        .take(4)
        .fold(0, |unit, c| unit * 16 + c.to_digit(16).unwrap_or(0))
}

fn write_unit(unit: u32, out: &mut String) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit(unit >> shift & 0xF, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn styled(style: JsonStyle, json: &str) -> String {
        let mut out = String::new();
        style.write_raw(json, &mut out);
        out
    }

    #[test]
    fn python_spells_as_json_dumps_does() {
        let text = r#" {"a":[1,2.0,1e5,-0],"é":"x:y,z","s":"😀\/\u00E9\u0007\ud83d\ude00\u007f", "b" : true} "#;
        assert_eq!(
            styled(JsonStyle::Python, text),
            r#"{"a": [1, 2.0, 1e5, -0], "\u00e9": "x:y,z", "s": "\ud83d\ude00/\u00e9\u0007\ud83d\ude00\u007f", "b": true}"#
        );
    }

    #[test]
    fn compact_spells_as_starlette_does() {
        let text = r#"{"a": [1, 2.0], "\u00e9": "x\ud83d\ude00\/", "n": 12345678901234567890123}"#;
        assert_eq!(
            styled(JsonStyle::Compact, text),
            r#"{"a":[1,2.0],"é":"x😀/","n":12345678901234567890123}"#
        );
    }

    #[test]
    fn a_lone_surrogate_stays_an_escape() {
        assert_eq!(styled(JsonStyle::Compact, r#""\ud83dx""#), r#""\ud83dx""#);
        assert_eq!(
            styled(JsonStyle::Python, r#""\uDE00\u0041""#),
            r#""\ude00A""#
        );
    }

    proptest! {
        #[test]
        fn any_text_means_the_same_in_every_style(text in any::<String>(), number in any::<f64>()) {
            let value = serde_json::json!({ text.clone(): [text, number, null, true] });
            for style in [JsonStyle::Compact, JsonStyle::Python] {
                let written = styled(style, &value.to_string());
                prop_assert_eq!(&serde_json::from_str::<Value>(&written).unwrap(), &value);
                prop_assert_eq!(&styled(style, &written), &written);
            }
        }
    }
}
