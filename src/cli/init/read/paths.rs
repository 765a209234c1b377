//! Paths as Django and FastAPI write them, as Outrigger writes them.

use super::super::found::Path;

/// `ws/chat/<int:room>/`.
pub(super) fn converters(prefix: &Path, text: &str) -> Result<Path, String> {
    let mut path = prefix.clone();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (inside, after) = after.split_once('>').ok_or("a `<` is not closed")?;
        path.push(fixed(before)?);
        let (kind, name) = inside.split_once(':').unwrap_or(("str", inside));
        if kind == "path" {
            return Err(format!(
                "`<{inside}>` takes several segments, a parameter of Outrigger one"
            ));
        }
        parameter(&mut path, name, kind == "int", after)?;
        rest = after;
    }
    finish(path, rest)
}

/// `/ws/chat/{room}`, with the names of whole numbers.
pub(super) fn braces(prefix: &Path, text: &str, ints: &[String]) -> Result<Path, String> {
    let mut path = prefix.clone();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or("a brace is not closed")?;
        path.push(fixed(before)?);
        let (name, kind) = inside.split_once(':').unwrap_or((inside, ""));
        if kind == "path" {
            return Err(format!(
                "`{{{inside}}}` takes several segments, a parameter of Outrigger one"
            ));
        }
        let int = kind == "int" || ints.iter().any(|known| known == name);
        parameter(&mut path, name, int, after)?;
        rest = after;
    }
    finish(path, rest)
}

/// `^ws/chat/(?P<room>\w+)/$`.
pub(super) fn regex(prefix: &Path, text: &str) -> Result<Path, String> {
    let mut path = prefix.clone();
    let text = text.strip_prefix('^').unwrap_or(text);
    let text = text
        .strip_suffix('$')
        .or(text.strip_suffix(r"\Z"))
        .unwrap_or(text);
    let text = text
        .replace("/?", "/")
        .replace(r"\-", "-")
        .replace(r"\.", ".")
        .replace(r"\/", "/");
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("(?P<") {
        path.push(fixed(before)?);
        let (name, after) = after.split_once('>').ok_or("a group is not closed")?;
        let end = group_end(after).ok_or("a group is not closed")?;
        let inside = after.get(..end).unwrap_or_default();
        let after = after.get(end + 1..).unwrap_or_default();
        let int = match inside {
            r"\d+" | "[0-9]+" => true,
            inside if one_segment(inside) => false,
            _ => {
                return Err(format!(
                    "`{inside}` says more than a parameter of Outrigger can"
                ));
            }
        };
        parameter(&mut path, name, int, after)?;
        rest = after;
    }
    finish(path, rest)
}

/// Where the bracket of a group closes.
fn group_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Patterns that take one segment of a path, or a part of what it can be.
fn one_segment(pattern: &str) -> bool {
    let Some(class) = pattern.strip_suffix('+').or(pattern.strip_suffix("+?")) else {
        return false;
    };
    let set = class
        .strip_prefix('[')
        .and_then(|class| class.strip_suffix(']'));
    class == r"\w" || set.is_some_and(|set| set == "^/" || !set.contains(['/', '^', '[', '(']))
}

/// A parameter is a whole segment.
fn parameter(path: &mut Path, name: &str, int: bool, after: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) {
        return Err(format!("`{name}` is no name for a parameter"));
    }
    let begins = path.written.is_empty() || path.written.ends_with('/');
    if !begins || !(after.is_empty() || after.starts_with('/') || after == "$") {
        return Err(format!(
            "`{name}` is a part of a segment, a parameter of Outrigger a whole one"
        ));
    }
    if path.params.iter().any(|(known, _)| known == name) {
        return Err(format!("`{name}` stands there twice"));
    }
    path.param(name, int);
    Ok(())
}

fn fixed(text: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~!,;=:@".contains(c);
    match text.chars().find(|c| !plain(*c)) {
        None => Ok(text),
        Some(strange) => Err(format!("`{strange}` cannot stand in a path of Outrigger")),
    }
}

fn finish(mut path: Path, rest: &str) -> Result<Path, String> {
    path.push(fixed(rest)?);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: Result<Path, String>) -> String {
        path.map_or_else(|error| error, |path| path.written)
    }

    #[test]
    fn paths_of_django_and_fastapi_are_written_anew() {
        let none = Path::default();
        let regexes = [
            (r"^ws/chat/(?P<room>\w+)/$", "/ws/chat/{room}/"),
            (r"ws/chat/(?P<room_id>\d+)/?$", "/ws/chat/{room_id:int}/"),
            (r"ws/(?P<user>[\w-]+)$", "/ws/{user_in_path}"),
            (r"ws/(?P<id>[0-9a-f\-]+)/$", "/ws/{id}/"),
            (r"^ws/friend-requests/$", "/ws/friend-requests/"),
        ];
        for (from, to) in regexes {
            assert_eq!(written(regex(&none, from)), to);
        }
        assert_eq!(
            written(converters(&none, "ws/chat/<int:id>/<slug:x>/")),
            "/ws/chat/{id:int}/{x}/"
        );
        assert_eq!(
            written(braces(&none, "/ws/{id}/{b}", &["id".into()])),
            "/ws/{id:int}/{b}"
        );
    }

    #[test]
    fn what_a_path_cannot_say_is_named() {
        let none = Path::default();
        for from in [
            r"ws/(?P<a>(x|y))/$",
            r"ws/(?P<a>\w+",
            r"ws/x(?P<a>\w+)/",
            r"ws/(chat|room)/$",
            "ws/(?P<a>.*)",
        ] {
            assert!(regex(&none, from).is_err(), "{from}");
        }
        assert!(converters(&none, "ws/<path:x>/").is_err());
        assert!(converters(&none, "ws/<int:x").is_err());
        assert!(braces(&none, "/ws/{x:path}", &[]).is_err());
    }
}
