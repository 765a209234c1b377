//! Keeps secrets that stand in the file out of what is shown of it.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::words;

/// The text with secrets replaced by stars, each byte in its place.
pub(super) fn mask(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut spans = Vec::new();
    collect(table.get_ref(), &mut Vec::new(), &mut spans);
    if !errors.is_empty() {
        spans.extend(by_line(text));
    }
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut masked = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        match hidden(at) && !['\n', '"', '\''].contains(&char) {
            true => masked.extend(std::iter::repeat_n('*', char.len_utf8())),
            false => masked.push(char),
        }
    }
    masked
}

fn collect<'a>(table: &'a DeTable<'_>, keys: &mut Vec<&'a str>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        keys.push(key.get_ref());
        if is_secret(keys) {
            hide(value, spans);
        } else {
            match value.get_ref() {
                DeValue::Table(table) => collect(table, keys, spans),
                DeValue::Array(items) => {
                    for item in items {
                        match item.get_ref() {
                            DeValue::Table(table) => collect(table, keys, spans),
                            DeValue::String(text) if has_password(text) => {
                                spans.push(item.span());
                            }
                            _ => {}
                        }
                    }
                }
                DeValue::String(text) if has_password(text) => spans.push(value.span()),
                _ => {}
            }
        }
        keys.pop();
    }
}

/// A secret itself, and the header that the app's event stream wants to see.
/// Names of variables and files are none, and help to find a problem.
fn is_secret(keys: &[&str]) -> bool {
    let value = keys.last().is_some_and(|key| sounds_secret(key));
    value
        || keys
            .iter()
            .rev()
            .nth(1)
            .is_some_and(|key| *key == "headers")
            && keys.contains(&"sse")
}

fn hide(value: &Spanned<DeValue<'_>>, spans: &mut Vec<Range<usize>>) {
    let names_variable = |table: &DeTable<'_>| table.len() == 1 && table.contains_key("env");
    match value.get_ref() {
        DeValue::Table(table) if names_variable(table) => {}
        _ => spans.push(value.span()),
    }
}

/// `https://user:password@host`
fn has_password(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

/// What might be a secret in text that is no TOML: all values of the sections
/// that hold secrets, of keys with such a name anywhere, and what has lost its key.
fn by_line(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut start, mut guarded) = (0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if line.trim_start().starts_with('[') {
            guarded = ["jwt", "webhook", "sse", "channel_layer", "redis"]
                .iter()
                .any(|part| line.contains(part));
        }
        let mut values = line.match_indices('=').map(|(at, _)| at);
        let secret = |at: &usize| guarded || ends_in_secret(line.get(..*at));
        let from = match line.contains('=') {
            true => values.find(secret).map(|at| at + 1),
            false => line.contains(['"', '\'']).then_some(0),
        };
        spans.extend(from.map(|at| start + at..end));
        start = end;
    }
    spans
}

fn ends_in_secret(before: Option<&str>) -> bool {
    let before = before
        .unwrap_or_default()
        .trim_end_matches([' ', '\t', '"', '\'']);
    let separator = |c: char| !c.is_alphanumeric() && c != '_' && c != '-';
    let key = before.rsplit(separator).next().unwrap_or_default();
    let key = key.to_ascii_lowercase();
    key.contains("authorization") || key.contains("password") || sounds_secret(&key)
}

/// `secret`, also where it is mistyped.
fn sounds_secret(key: &str) -> bool {
    words::nearest(key, ["secret", "secrets"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_moves() {
        for text in [
            "[auth.jwt]\nsecret = \"hunter2\"\n",
            "auth.jwt.secret = 'hunter2'",
            "[auth.jwt]\nsecret = \"hunter2\n",
            "[source.sse]\nheaders = { x-api-key = \"hunter2\" }",
            "[source.sse.headers]\nx-api-key = \"hunter2\"",
            "[auth.jwt]\njwks_url = \"https://me:hunter2@example.com\"",
            "[auth.jwt]\nsecrte = \"hunter2\"",
            "[auth.jwt]\nsec]ret = \"hunter2\"",
            "a = = b\nauthorization = \"hunter2\"",
            "[auth.jwt]\nsecret\n \"hunter2\"",
        ] {
            let masked = mask(text);
            assert!(!masked.contains("hunter2"), "{masked}");
            assert_eq!(masked.len(), text.len());
        }
        let open =
            "[auth.jwt]\nsecret_env = \"NAME\"\n[source.sse.headers]\nx = { env = \"NAME\" }\n";
        assert_eq!(mask(open), open);
    }
}
