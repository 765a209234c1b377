//! Expressions of the parser's tree as [`Expr`].

use serde_json::Value as Json;
use tree_sitter::Node;

use super::{Call, DEEPEST, Expr, ExprKind, Piece, Source, line};

impl Source<'_> {
    pub(super) fn expr(&self, node: Node<'_>, depth: usize) -> Expr {
        if depth > DEEPEST || node.is_error() || node.is_missing() {
            return other(node);
        }
        let kind = match node.kind() {
            "identifier" => ExprKind::Name(self.of(node).to_owned()),
            "string" | "concatenated_string" => self.string(node, depth),
            "integer" | "float" => self.number(node),
            "true" => ExprKind::Constant(Json::Bool(true)),
            "false" => ExprKind::Constant(Json::Bool(false)),
            "none" => ExprKind::Constant(Json::Null),
            "await" | "parenthesized_expression" | "expression" => {
                match Self::named(node).first() {
                    Some(inner) => return self.expr(*inner, depth + 1),
                    None => ExprKind::Other,
                }
            }
            "list" | "tuple" | "set" | "expression_list" | "pattern_list" | "tuple_pattern" => {
                ExprKind::List(self.each(&Self::named(node), depth))
            }
            "list_comprehension" | "generator_expression" => self.comprehension(node, depth),
            "dictionary" => self.dict(node, depth),
            "call" => self.call(node, depth),
            "attribute" => match self.field(node, "object", depth) {
                Some(object) => ExprKind::Attribute(object.into(), self.text_of(node, "attribute")),
                None => ExprKind::Other,
            },
            "subscript" => self.index(node, depth),
            "yield" => {
                let inner = Self::named(node)
                    .first()
                    .map(|node| self.expr(*node, depth + 1));
                ExprKind::Yield(inner.map(Box::new))
            }
            _ => self.logic(node, depth),
        };
        made(node, kind)
    }

    fn logic(&self, node: Node<'_>, depth: usize) -> ExprKind {
        match node.kind() {
            "comparison_operator" => self.compare(node, depth),
            "binary_operator" => match self.text_of(node, "operator").as_str() {
                "+" => ExprKind::Sum(self.each(&Self::named(node), depth)),
                "%" => self.percent(node, depth),
                _ => ExprKind::Other,
            },
            "named_expression" => match self.field(node, "value", depth) {
                Some(value) => ExprKind::Named(self.text_of(node, "name"), value.into()),
                None => ExprKind::Other,
            },
            "list_splat" => match Self::named(node).first() {
                Some(inner) => ExprKind::Spread(self.expr(*inner, depth + 1).into()),
                None => ExprKind::Other,
            },
            "not_operator" => match self.field(node, "argument", depth) {
                Some(inner) => ExprKind::Not(inner.into()),
                None => ExprKind::Other,
            },
            "boolean_operator" => {
                let sides = ["left", "right"].map(|side| self.field(node, side, depth));
                let sides = sides.into_iter().flatten().collect();
                match self.text_of(node, "operator").as_str() {
                    "and" => ExprKind::And(sides),
                    _ => ExprKind::Or(sides),
                }
            }
            _ => ExprKind::Other,
        }
    }

    /// `"chat_%s" % room`
    fn percent(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let sides = ["left", "right"].map(|side| self.field(node, side, depth));
        let [Some(left), Some(right)] = sides else {
            return ExprKind::Other;
        };
        let values = match right.kind {
            ExprKind::List(values) => values,
            _ => vec![right],
        };
        let text = left.plain().map(|text| text.replace("%d", "%s"));
        text.and_then(|text| filled(&text, "%s", '%', values))
            .unwrap_or(ExprKind::Other)
    }

    fn each(&self, nodes: &[Node<'_>], depth: usize) -> Vec<Expr> {
        let each = nodes.iter().map(|node| self.expr(*node, depth + 1));
        each.collect()
    }

    pub(super) fn field(&self, node: Node<'_>, name: &str, depth: usize) -> Option<Expr> {
        let child = node.child_by_field_name(name)?;
        Some(self.expr(child, depth + 1))
    }

    pub(super) fn text_of(&self, node: Node<'_>, name: &str) -> String {
        let child = node.child_by_field_name(name);
        child.map_or_else(String::new, |child| self.of(child).to_owned())
    }

    fn index(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let object = self.field(node, "value", depth);
        let key = self.field(node, "subscript", depth);
        match object.zip(key) {
            Some((object, key)) => ExprKind::Index(object.into(), key.into()),
            None => ExprKind::Other,
        }
    }

    fn compare(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let mut sides = self.each(&Self::named(node), depth);
        let (Some(right), Some(left), true) = (sides.pop(), sides.pop(), sides.is_empty()) else {
            return ExprKind::Other;
        };
        let between = self.text.get(left.span.end..right.span.start);
        let operator = between.unwrap_or_default().trim_matches(['(', ')', ' ']);
        let operator = operator.split_whitespace().collect::<Vec<_>>().join(" ");
        ExprKind::Compare(left.into(), operator, right.into())
    }

    fn dict(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let mut entries = Vec::new();
        for child in Self::named(node) {
            let value = self.field(child, "value", depth);
            match (child.kind(), value) {
                ("pair", Some(value)) => entries.push((self.field(child, "key", depth), value)),
                ("dictionary_splat", _) => {
                    let inner = Self::named(child);
                    let inner = inner.first().map(|node| self.expr(*node, depth + 1));
                    entries.push((None, inner.unwrap_or_else(|| other(child))));
                }
                _ => entries.push((None, other(child))),
            }
        }
        ExprKind::Dict(entries)
    }

    fn comprehension(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let parts = Self::named(node);
        let [body, clause] = parts.as_slice() else {
            return ExprKind::Other;
        };
        let name = self.field(*clause, "left", depth);
        let all = self.field(*clause, "right", depth);
        match name.zip(all) {
            Some((name, all)) => {
                ExprKind::Comprehension([self.expr(*body, depth + 1), name, all].into())
            }
            None => ExprKind::Other,
        }
    }

    fn call(&self, node: Node<'_>, depth: usize) -> ExprKind {
        let Some(callee) = self.field(node, "function", depth) else {
            return ExprKind::Other;
        };
        let mut call = Call {
            callee,
            arguments: Vec::new(),
            named: Vec::new(),
        };
        let list = node.child_by_field_name("arguments");
        for argument in list.map(Self::named).unwrap_or_default() {
            match argument.kind() {
                "keyword_argument" => {
                    let value = self.field(argument, "value", depth);
                    let name = self.text_of(argument, "name");
                    call.named.extend(value.map(|value| (name, value)));
                }
                _ => call.arguments.push(self.expr(argument, depth + 1)),
            }
        }
        match formatted(&call) {
            Some(text) => text,
            None => ExprKind::Call(call.into()),
        }
    }
}

/// `"chat_{}".format(room)`
fn formatted(call: &Call) -> Option<ExprKind> {
    let ExprKind::Attribute(object, name) = &call.callee.kind else {
        return None;
    };
    if name != "format" || !call.named.is_empty() {
        return None;
    }
    filled(object.plain()?, "{}", '{', call.arguments.clone())
}

/// A text with a value in each of its holes; none if it has holes of another kind.
fn filled(text: &str, hole: &str, sign: char, values: Vec<Expr>) -> Option<ExprKind> {
    let plain: Vec<_> = text.split(hole).collect();
    let known = plain
        .iter()
        .all(|part| !part.contains([sign, '}']) || (sign == '%' && !part.contains('%')));
    if !known || plain.len() != values.len() + 1 {
        return None;
    }
    let mut values = values.into_iter();
    let mut pieces = Vec::new();
    for part in plain {
        pieces.push(Piece::Plain(part.to_owned()));
        pieces.extend(values.next().map(Piece::Hole));
    }
    pieces.retain(|piece| !matches!(piece, Piece::Plain(text) if text.is_empty()));
    Some(ExprKind::Text(pieces))
}

pub(super) fn other(node: Node<'_>) -> Expr {
    made(node, ExprKind::Other)
}

fn made(node: Node<'_>, kind: ExprKind) -> Expr {
    Expr {
        line: line(node),
        span: node.byte_range(),
        kind,
    }
}
