//! Values of Python as templates in TOML. What a template cannot say is an error that
//! says why.

use serde_json::Value as Json;

use super::super::{
    follow::{Part, Value},
    found::Path,
};

/// Where a template stands: what it may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Connect,
    Event,
    Message,
}

/// Writes templates for one endpoint.
pub(super) struct Templates<'a> {
    pub(super) path: &'a Path,
    /// There is a channel layer to send to.
    pub(super) layer: bool,
}

impl Templates<'_> {
    /// A value as TOML, on one line.
    pub(super) fn toml(&self, value: &Value, moment: Moment) -> Result<String, String> {
        Ok(match value {
            Value::Json(json) => constant(json)?,
            Value::Path(path) if path == "event" => {
                r#"{ type = "{event.type}", "..." = "{data}" }"#.into()
            }
            Value::Path(_) | Value::Default(..) | Value::Text(_) | Value::Equal(..) => {
                quoted(&self.text(value, moment)?)
            }
            Value::List(values) => {
                let values = values.iter().map(|value| self.toml(value, moment));
                format!("[{}]", values.collect::<Result<Vec<_>, _>>()?.join(", "))
            }
            Value::Dict(entries) => {
                let mut written: Vec<String> = Vec::new();
                for (key, value) in self.entries(entries, moment)? {
                    written.push(format!("{key} = {value}"));
                }
                match written.is_empty() {
                    true => "{}".into(),
                    false => format!("{{ {} }}", written.join(", ")),
                }
            }
            Value::Dumps(_) => return Err("JSON inside of JSON has no template".into()),
            Value::Unknown(text) => return Err(only_python(text)),
        })
    }

    /// The keys and values of a table, as TOML. A key that comes again keeps its first
    /// place and takes its last value, as in Python.
    pub(super) fn entries(
        &self,
        entries: &[(Option<String>, Value)],
        moment: Moment,
    ) -> Result<Vec<(String, String)>, String> {
        let mut written: Vec<(String, String)> = Vec::new();
        for (name, value) in entries {
            let (key, value) = match name {
                Some(name) if name.ends_with('?') || name == "..." => {
                    return Err(format!(
                        "the key `{name}` means something else in templates"
                    ));
                }
                Some(name) => (key(name), self.toml(value, moment)?),
                None if *value == Value::Path("event".into()) => {
                    written.push(("type".into(), "\"{event.type}\"".into()));
                    ("\"...\"".into(), "\"{data}\"".into())
                }
                None => ("\"...\"".into(), quoted(&self.text(value, moment)?)),
            };
            match written.iter_mut().find(|(known, _)| *known == key) {
                Some(_) if name.is_none() => return Err("two dicts are spread into one".into()),
                Some((_, known)) => *known = value,
                None => written.push((key, value)),
            }
        }
        Ok(written)
    }

    /// A value as a text with references.
    pub(super) fn text(&self, value: &Value, moment: Moment) -> Result<String, String> {
        Ok(match value {
            Value::Json(Json::String(text)) => braced(text),
            Value::Json(Json::Number(number)) => number.to_string(),
            Value::Path(path) => format!("{{{}}}", self.reference(path, moment)?),
            // The router has filled it, or there is no such parameter.
            Value::Default(path, default) if path.starts_with("path.") => {
                match (self.reference(path, moment), default) {
                    (Ok(known), _) => format!("{{{known}}}"),
                    (Err(_), Json::String(text)) => braced(text),
                    (Err(_), other) => other.to_string(),
                }
            }
            Value::Default(path, default) => {
                let json = default.to_string();
                if json.contains(['{', '}', '|']) {
                    return Err(format!("the default `{json}` cannot stand in braces"));
                }
                format!("{{{} | default {json}}}", self.reference(path, moment)?)
            }
            Value::Text(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Plain(text) => Ok(braced(text)),
                    Part::Path(path) => Ok(format!("{{{}}}", self.reference(path, moment)?)),
                    Part::Default(path, json) => {
                        self.text(&Value::Default(path.clone(), json.clone()), moment)
                    }
                    Part::Unknown(text) => Err(only_python(text)),
                });
                let texts = parts.collect::<Result<Vec<_>, String>>()?;
                match (texts.as_slice(), value) {
                    // Alone it would be the value itself; `str()` makes a text of it.
                    ([one], Value::Text(parts))
                        if parts.iter().any(|part| part.hole().is_some())
                            && moment != Moment::Connect =>
                    {
                        one.replace('}', " | text}")
                    }
                    (texts, _) => texts.concat(),
                }
            }
            Value::Equal(left, right, yes) => {
                let right = match &**right {
                    Value::Path(path) => self.reference(path, moment)?,
                    Value::Json(json) if !json.is_object() => json.to_string(),
                    _ => return Err("it compares with what only Python knows".into()),
                };
                let operator = if *yes { "==" } else { "!=" };
                format!("{{{} {operator} {right}}}", self.reference(left, moment)?)
            }
            Value::Unknown(text) => return Err(only_python(text)),
            _ => return Err("this cannot stand in a text".into()),
        })
    }

    /// What Outrigger calls it.
    pub(super) fn reference(&self, path: &str, moment: Moment) -> Result<String, String> {
        let (root, rest) = path.split_once('.').unwrap_or((path, ""));
        let known = match (root, rest) {
            ("user", "id") | ("event", "type") => return at(path, moment),
            ("channel", "") => return Ok("session.id".into()),
            ("path", name) => {
                let own = self.path.params.iter().find(|(known, _)| known == name);
                return own
                    .map(|(_, own)| own.clone())
                    .ok_or_else(|| format!("`{name}` is not in the path"));
            }
            ("user", field) => {
                return Err(format!(
                    "only the app knows the user's `{field}`: a look-up can ask it"
                ));
            }
            ("data" | "message", _) => at(path, moment)?,
            _ => return Err(format!("`{path}` is known in the app only")),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
        match known.chars().all(letters) {
            true => Ok(known),
            false => Err(format!("the field `{known}` cannot be named in a template")),
        }
    }
}

/// Whether it can be spoken of at this moment.
fn at(path: &str, moment: Moment) -> Result<String, String> {
    let root = path.split('.').next().unwrap_or_default();
    match (root, moment) {
        ("user", _) | ("data" | "event", Moment::Event) | ("message", Moment::Message) => {
            Ok(path.to_owned())
        }
        _ => Err(format!("`{path}` is not known at this moment")),
    }
}

fn only_python(text: &str) -> String {
    match text.is_empty() {
        true => "only Python can tell what this is".into(),
        false => format!("only Python can tell what `{text}` is"),
    }
}

fn constant(json: &Json) -> Result<String, String> {
    match json {
        Json::String(text) => Ok(quoted(&braced(text))),
        // TOML has no null, and what is not there is one.
        Json::Null => Err("a constant None: TOML has no null".into()),
        Json::Number(number) if number.as_i64().is_none() && number.as_f64().is_none() => {
            Err(format!("{number} is no number of TOML"))
        }
        Json::Number(number) => {
            let text = number.to_string();
            let whole = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
            match number.as_i64() {
                None if whole => Err(format!("{number} is no number of TOML")),
                _ => Ok(text),
            }
        }
        Json::Bool(yes) => Ok(yes.to_string()),
        Json::Array(_) | Json::Object(_) => Err("this constant is not understood".into()),
    }
}

/// Braces of the text itself are doubled.
fn braced(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A text as TOML writes it.
pub(in super::super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key as TOML writes it.
pub(in super::super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}
