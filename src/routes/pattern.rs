//! Path patterns: `/ws/messages/{chat_id}`, `{chat_id:int}`, with the trailing
//! slash or without.

use std::{fmt, sync::Arc};

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Fixed(Box<str>),
    Any(Arc<str>),
    Int(Arc<str>),
}

/// A path with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Box<[Segment]>,
    source: Box<str>,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and how a pattern looks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text
            .strip_prefix('/')
            .ok_or("a path begins with a slash: /ws/messages/{chat_id}")?;
        if path.contains(['?', '#', '%', ' ']) {
            return Err("a path has no query, no spaces and no percent-encoding".into());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments = path
            .split('/')
            .map(segment)
            .collect::<Result<Box<[_]>, _>>()?;
        let pattern = Self {
            segments,
            source: text.into(),
        };
        match pattern.repeated() {
            Some(name) => Err(format!("the parameter {{{name}}} stands there twice")),
            None => Ok(pattern),
        }
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its parameters' names, in order.
    pub fn params(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Any(name) | Segment::Int(name) => Some(name),
            Segment::Fixed(_) => None,
        })
    }

    /// The values of the parameters, if the path fits. A value is decoded from
    /// its percent-encoding; one with a slash or control bytes in it does not fit.
    pub fn matches(&self, path: &str) -> Option<Vec<(Arc<str>, Value)>> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut values = Vec::new();
        let mut parts = path.split('/');
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Fixed(text) => (part == &**text).then_some(())?,
                Segment::Any(name) => values.push((name.clone(), Value::String(decode(part)?))),
                Segment::Int(name) => values.push((name.clone(), integer(part)?)),
            }
        }
        parts.next().is_none().then_some(values)
    }

    /// Whether some path fits both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let fits = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Fixed(a), Segment::Fixed(b)) => a == b,
            (Segment::Int(_), Segment::Fixed(text)) | (Segment::Fixed(text), Segment::Int(_)) => {
                integer(text).is_some()
            }
            _ => true,
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(fits)
    }

    /// Whether every path that fits the other fits this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let fits = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Any(_), _) | (Segment::Int(_), Segment::Int(_)) => true,
            (Segment::Fixed(a), Segment::Fixed(b)) => a == b,
            (Segment::Int(_), Segment::Fixed(text)) => integer(text).is_some(),
            _ => false,
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(fits)
    }

    fn repeated(&self) -> Option<Arc<str>> {
        let names: Vec<_> = self.params().collect();
        let twice = |(at, name): &(usize, &&Arc<str>)| names.iter().take(*at).any(|n| n == *name);
        names
            .iter()
            .enumerate()
            .find(twice)
            .map(|(_, name)| Arc::clone(name))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let Some(inside) = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    else {
        return match text {
            "" => Err("two slashes with nothing between them never match".into()),
            _ if text.contains(['{', '}']) => {
                Err(format!("`{text}`: a parameter fills a whole segment"))
            }
            _ if text.starts_with(':') || text.contains(['<', '>', '*']) => Err(format!(
                "`{text}`: a parameter is written {{id}} or {{id:int}}"
            )),
            _ => Ok(Segment::Fixed(text.into())),
        };
    };
    let (name, kind) = inside.split_once(':').unwrap_or((inside, "any"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!(
            "`{{{inside}}}`: a parameter's name is letters, digits and _"
        ));
    }
    match kind {
        "any" => Ok(Segment::Any(name.into())),
        "int" => Ok(Segment::Int(name.into())),
        _ => Err(format!("`{{{inside}}}`: the only type is int")),
    }
}

fn integer(part: &str) -> Option<Value> {
    let digits = !part.is_empty() && part.len() <= 18 && part.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| part.parse::<u64>().ok())
        .flatten()
        .map(Value::from)
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            hex(rest.next()?)? << 4 | hex(rest.next()?)?
        } else {
            byte
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    let fits = !text.is_empty() && !text.chars().any(|c| c == '/' || c.is_control());
    fits.then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(pattern: &str, path: &str) -> Option<Vec<Value>> {
        let values = PathPattern::parse(pattern).unwrap().matches(path)?;
        Some(values.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn the_trailing_slash_does_not_matter() {
        for pattern in ["/ws/feed", "/ws/feed/"] {
            assert_eq!(values(pattern, "/ws/feed"), Some(vec![]));
            assert_eq!(values(pattern, "/ws/feed/"), Some(vec![]));
            assert_eq!(values(pattern, "/ws/feed//"), None);
            assert_eq!(values(pattern, "/ws/feeds"), None);
        }
    }

    #[test]
    fn parameters_are_decoded_and_typed() {
        assert_eq!(values("/m/{id:int}", "/m/007"), Some(vec![json!(7)]));
        assert_eq!(values("/m/{id:int}", "/m/7x"), None);
        assert_eq!(values("/m/{id:int}", "/m/-7"), None);
        assert_eq!(values("/m/{id}/x", "/m/a%20b/x/"), Some(vec![json!("a b")]));
        for path in ["/m/a%2Fb/x", "/m/%zz/x", "/m/%00/x", "/m/%ff/x", "/m//x"] {
            assert_eq!(values("/m/{id}/x", path), None, "{path}");
        }
    }

    #[test]
    fn overlaps_are_seen() {
        let overlap = |a, b| {
            PathPattern::parse(a)
                .unwrap()
                .overlaps(&PathPattern::parse(b).unwrap())
        };
        assert!(overlap("/ws/{a}", "/ws/feed/"));
        assert!(!overlap("/ws/{a:int}", "/ws/feed"));
        assert!(!overlap("/ws/{a}", "/ws/a/b"));
    }

    #[test]
    fn a_pattern_covers_what_is_narrower() {
        let covers = |a, b| {
            PathPattern::parse(a)
                .unwrap()
                .covers(&PathPattern::parse(b).unwrap())
        };
        assert!(covers("/ws/{a}", "/ws/feed/"));
        assert!(covers("/ws/{a}", "/ws/{b:int}"));
        assert!(covers("/ws/feed", "/ws/feed/"));
        assert!(!covers("/ws/{a:int}", "/ws/{b}"));
        assert!(!covers("/ws/feed", "/ws/{a}"));
        assert!(!covers("/ws/{a}", "/ws/a/b"));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for text in [
            "ws",
            "/a//b",
            "/a/{b",
            "/a/{b:str}",
            "/a/{}",
            "/x{y}",
            "/a/{b}/{b}",
            "/a?b",
            "/a/<int:id>",
            "/a/:id",
            "/a/*",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
