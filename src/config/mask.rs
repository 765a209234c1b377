//! Keeps secrets that stand in the file out of what is shown of it.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The text with secrets replaced by stars, each byte in its place.
pub(super) fn mask(text: &str) -> String {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut spans = Vec::new();
    collect(table.get_ref(), false, &mut spans);
    spans.extend(by_line(text));
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut masked = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        match hidden(at) && char != '\n' && char != '"' && char != '\'' {
            true => masked.extend(std::iter::repeat_n('*', char.len_utf8())),
            false => masked.push(char),
        }
    }
    masked
}

fn collect(table: &DeTable<'_>, secret: bool, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        // Names of variables and files are no secrets and help to find the problem.
        let is_secret = secret || key == "secret";
        let holds_secrets = is_secret || key == "headers";
        value_spans(value, is_secret, holds_secrets, spans);
    }
}

fn value_spans(
    value: &Spanned<DeValue<'_>>,
    is_secret: bool,
    below: bool,
    spans: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            // `{ env = "NAME" }` names a variable.
            let named = table.len() == 1 && table.contains_key("env");
            collect(table, below && !named, spans);
        }
        DeValue::Array(items) => {
            for item in items {
                value_spans(item, is_secret, below, spans);
            }
        }
        DeValue::String(text) if is_secret || has_password(text) => spans.push(value.span()),
        _ if is_secret => spans.push(value.span()),
        _ => {}
    }
}

/// `https://user:password@host`
fn has_password(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

/// What follows a key with `secret` in its name, for text that is no TOML.
fn by_line(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        for word in ["secret", "authorization", "password"] {
            let rest = lower.split_once(word).map(|(_, rest)| rest);
            let value = rest.filter(|rest| {
                rest.trim_start_matches(['"', '\'', ' ', '\t'])
                    .starts_with('=')
            });
            if let Some(value) = value {
                spans.push(start + line.len() - value.len() + 1..start + line.len());
            }
        }
        start += line.len();
    }
    spans
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
            "a = = b\nauthorization = \"hunter2\"",
        ] {
            let masked = mask(text);
            assert!(!masked.contains("hunter2"), "{masked}");
            assert_eq!(masked.len(), text.len());
        }
        let open = "[auth.jwt]\nsecret_env = \"NAME\"\nheaders = { x = { env = \"NAME\" } }\n";
        assert_eq!(mask(open), open);
    }
}
