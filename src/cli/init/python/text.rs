//! Literals: what a string in the source says, what a number is.

use serde_json::Value as Json;
use tree_sitter::Node;

use super::{ExprKind, Piece, Source, expr::other};

impl Source<'_> {
    /// A string, or several side by side.
    pub(super) fn string(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let mut pieces = Vec::new();
        if node.kind() == "concatenated_string" {
            for part in Self::named(node) {
                self.pieces(part, depth, &mut pieces);
            }
        } else {
            self.pieces(node, depth, &mut pieces);
        }
        let plain = |piece: &Piece| match piece {
            Piece::Plain(text) => Some(text.clone()),
            Piece::Hole(_) => None,
        };
        match pieces.iter().map(plain).collect::<Option<Vec<_>>>() {
            Some(texts) => ExprKind::Constant(Json::String(texts.concat())),
            None => ExprKind::Text(pieces),
        }
    }

    fn pieces(&self, node: Node<'_>, depth: usize, pieces: &mut Vec<Piece>) {
        let mut cursor = node.walk();
        let mut prefix = String::new();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "string_start" => prefix = self.of(child).to_ascii_lowercase(),
                "string_content" => {
                    pieces.push(Piece::Plain(unescaped(self.of(child), &prefix)));
                }
                "interpolation" => {
                    let inner = child.child_by_field_name("expression");
                    let plain = child.child_by_field_name("format_specifier").is_none()
                        && child.child_by_field_name("type_conversion").is_none();
                    let mut hole =
                        inner.map_or_else(|| other(child), |inner| self.expr(inner, depth + 1));
                    if !plain {
                        hole = other(child);
                    }
                    pieces.push(Piece::Hole(hole));
                }
                _ => {}
            }
        }
    }

    pub(super) fn number(&self, node: Node<'_>) -> ExprKind {
        let digits = self.of(node).replace('_', "");
        match serde_json::from_str::<serde_json::Number>(&digits) {
            Ok(number) => ExprKind::Constant(Json::Number(number)),
            Err(_) => ExprKind::Other,
        }
    }
}

/// What the content of a string means, by the letters before its quotes.
fn unescaped(content: &str, prefix: &str) -> String {
    let mut text = content.to_owned();
    if prefix.contains('f') {
        text = text.replace("{{", "{").replace("}}", "}");
    }
    if prefix.contains('r') || !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\n') => {}
            Some('x') => out.push(coded(&mut chars, 2)),
            Some('u') => out.push(coded(&mut chars, 4)),
            Some('U') => out.push(coded(&mut chars, 8)),
            Some(quote @ ('\\' | '\'' | '"')) => out.push(quote),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

fn coded(chars: &mut std::str::Chars<'_>, digits: usize) -> char {
    let digits: String = chars.by_ref().take(digits).collect();
    let code = u32::from_str_radix(&digits, 16).ok();
    code.and_then(char::from_u32).unwrap_or('\u{fffd}')
}
