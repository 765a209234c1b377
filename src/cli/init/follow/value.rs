//! What is known of a value without running anything: a constant, a place it comes
//! from, a text with holes, or nothing.

use serde_json::Value as Json;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value {
    Json(Json),
    /// Where it comes from: `data.x` of an event, `message.x` of a client, `user.id`,
    /// `path.room`; or a thing of the framework, such as `self`, `scope`, `layer`.
    Path(String),
    /// The same, and what stands in for it where it is missing.
    Default(String, Json),
    Text(Vec<Part>),
    List(Vec<Value>),
    /// Without a key: the entries of another dict.
    Dict(Vec<(Option<String>, Value)>),
    /// `json.dumps` of it.
    Dumps(Box<Value>),
    /// Whether what is at a path equals (or not) another value.
    Equal(String, Box<Value>, bool),
    /// Only Python can tell; as it is written.
    Unknown(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Part {
    Plain(String),
    Path(String),
    /// The same, and what stands in for it where it is missing.
    Default(String, Json),
    /// Only Python can tell; as it is written.
    Unknown(String),
}

impl Value {
    pub(super) fn path(text: &str) -> Self {
        Self::Path(text.to_owned())
    }

    pub(super) fn is(&self, path: &str) -> bool {
        matches!(self, Self::Path(own) if own == path)
    }

    /// `value[key]`, `value.get(key)`.
    pub(super) fn item(&self, key: &str) -> Option<Self> {
        let path = match self {
            Self::Path(path) => path.as_str(),
            Self::Dict(entries) => {
                let mut entries = entries.iter().rev();
                let found = entries.find(|(name, _)| name.as_deref() == Some(key));
                return found.map(|(_, value)| value.clone());
            }
            _ => return None,
        };
        Some(match (path, key) {
            ("event", "type") => Self::path("event.type"),
            ("event", key) => Self::Path(format!("data.{key}")),
            ("scope", "user") => Self::path("user"),
            ("scope.url_route", "kwargs") => Self::path("path"),
            ("scope", key) => Self::Path(format!("scope.{key}")),
            (path, key) if is_data(path) => Self::Path(format!("{path}.{key}")),
            _ => return None,
        })
    }

    /// `value.name`.
    pub(super) fn attribute(&self, name: &str) -> Option<Self> {
        let Self::Path(path) = self else { return None };
        Some(match (path.as_str(), name) {
            ("self", "scope") => Self::path("scope"),
            ("self", "channel_layer") => Self::path("layer"),
            ("self", "channel_name") => Self::path("channel"),
            ("user", "id" | "pk" | "user_id") => Self::path("user.id"),
            ("user", name) => Self::Path(format!("user.{name}")),
            ("socket", "scope") => Self::path("scope"),
            ("socket", "path_params") => Self::path("path"),
            _ => return None,
        })
    }

    /// A text of it, as in an f-string; absent where it is not known.
    pub(super) fn parts(&self) -> Option<Vec<Part>> {
        Some(match self {
            Self::Json(Json::String(text)) => vec![Part::Plain(text.clone())],
            Self::Json(number @ Json::Number(_)) => vec![Part::Plain(number.to_string())],
            Self::Path(path) => vec![Part::Path(path.clone())],
            Self::Text(parts) => parts.clone(),
            _ => return None,
        })
    }

    /// About how much it holds, so that code which doubles values has an end.
    pub(super) fn weight(&self) -> usize {
        // A step stands for 64 bytes.
        let text = |text: &str| 1 + text.len() / 64;
        match self {
            Self::Json(Json::String(inner)) | Self::Path(inner) | Self::Unknown(inner) => {
                text(inner)
            }
            Self::Json(_) | Self::Default(..) => 1,
            Self::Text(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Plain(inner)
                    | Part::Path(inner)
                    | Part::Default(inner, _)
                    | Part::Unknown(inner) => text(inner),
                });
                parts.sum()
            }
            Self::List(values) => 1 + values.iter().map(Self::weight).sum::<usize>(),
            Self::Dict(entries) => {
                1 + entries
                    .iter()
                    .map(|(_, value)| 1 + value.weight())
                    .sum::<usize>()
            }
            Self::Dumps(inner) | Self::Equal(_, inner, _) => 1 + inner.weight(),
        }
    }

    /// It, or something in it, is not known.
    pub(in super::super) fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(text) => Some(text),
            Self::List(values) => values.iter().find_map(Self::unknown),
            Self::Text(parts) => parts.iter().find_map(|part| match part {
                Part::Unknown(text) => Some(text.as_str()),
                _ => None,
            }),
            Self::Dict(entries) => entries.iter().find_map(|(_, value)| value.unknown()),
            Self::Dumps(inner) | Self::Equal(_, inner, _) => inner.unknown(),
            _ => None,
        }
    }
}

/// Paths into which one may go on: what an event, a message or a URL holds.
fn is_data(path: &str) -> bool {
    let root = path.split('.').next().unwrap_or_default();
    ["data", "message", "path", "claims"].contains(&root)
}
