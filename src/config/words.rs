//! What the TOML reader says, in the words of all other problems; and the name
//! that was probably meant.

use super::report::Problem;

/// Keys and words that are understood by their neighbours, but not yet.
const LATER: [(&str, &str); 1] = [("shadow", "write `off`, `on` or { percent = 25 }")];

/// A syntax error or a value of the wrong shape.
pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Problem {
    let (message, help) = explain(error.message());
    let problem = Problem::error(error.span(), message);
    let around = error
        .span()
        .and_then(|span| text.split_at_checked(span.start));
    match help.or_else(|| other_shape(error.message(), around?)) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn explain(said: &str) -> (String, Option<String>) {
    if let Some((message, help)) = said.split_once('\n') {
        return (message.into(), Some(help.into()));
    }
    let unknown = [("unknown field `", "key"), ("unknown variant `", "word")];
    for (start, what) in unknown {
        let name = said
            .strip_prefix(start)
            .and_then(|rest| rest.split_once('`'));
        if let Some((name, rest)) = name {
            return explain_name(what, name, rest);
        }
    }
    let types = said.strip_prefix("invalid type: ");
    if let Some((found, expected)) = types.and_then(|rest| rest.split_once(", expected ")) {
        // A text in the wrong place may be a secret.
        let found = match found {
            text if text.starts_with("string ") => "a text",
            "map" => "a table",
            found => found,
        };
        let message = format!("expected {}, found {found}", in_words(expected));
        return (message, None);
    }
    match said {
        "wanted string or table" => ("expected a word".into(), None),
        said => (said.to_owned(), None),
    }
}

/// How a value of the wrong shape is written here; `around` is the text before
/// the value and from it on.
fn other_shape(said: &str, (before, from): (&str, &str)) -> Option<String> {
    let (found, expected) = said
        .strip_prefix("invalid type: ")?
        .split_once(", expected ")?;
    let table = from.strip_prefix('[').and_then(|from| from.split_once(']'));
    if let ("map", "a sequence", Some((name, _))) = (found, expected, table) {
        return Some(format!("write [[{name}]]"));
    }
    let key = before.trim_end().strip_suffix('=')?.trim_end();
    let number = found.strip_prefix("integer `")?.strip_suffix('`')?;
    key.ends_with("rollout")
        .then(|| format!("write {{ percent = {number} }}"))
}

/// Serde's names of types, as people call them.
fn in_words(expected: &str) -> String {
    match expected {
        "a string" => "a text in quotes".into(),
        "a sequence" => "a list: [...]".into(),
        "a map" | "a table" => "a table".into(),
        "a boolean" => "true or false".into(),
        "i64" | "u64" | "u32" => "a whole number".into(),
        "f64" => "a number".into(),
        "path string" => "a path in quotes".into(),
        _ => match expected.strip_prefix("struct ") {
            Some(_) => "a table".into(),
            None => expected.to_owned(),
        },
    }
}

fn explain_name(what: &str, name: &str, rest: &str) -> (String, Option<String>) {
    if let Some((_, instead)) = LATER.iter().find(|(later, _)| *later == name) {
        let message = format!("`{name}` is not in this version");
        return (message, Some((*instead).to_owned()));
    }
    let known: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing can be written here".into(),
        None => format!("known are: {}", known.join(", ")),
    };
    (format!("unknown {what} `{name}`"), Some(help))
}

/// The name that is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = name.chars().count().max(3) / 3;
    let near = known
        .into_iter()
        .map(|known| (distance(name, known), known));
    let best = near.min_by_key(|(distance, _)| *distance)?;
    (best.0 <= far).then_some(best.1)
}

/// How many letters are to be added, dropped, changed or swapped with their
/// neighbour to turn one word into another (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["address", "percent", "topics"];
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("topcis", known), Some("topics"));
        assert_eq!(nearest("precnt", known), Some("percent"));
        assert_eq!(nearest("frames", known), None);
        assert_eq!(nearest("", known), None);
    }
}
