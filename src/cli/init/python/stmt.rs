//! Statements of the parser's tree as [`Stmt`].

use std::rc::Rc;

use serde_json::Value as Json;
use tree_sitter::Node;

use super::{
    Case, Class, DEEPEST, Expr, ExprKind, Function, Import, Param, Source, Stmt, Try, line,
};

impl Source<'_> {
    /// The statements in a node. What stands inside a mistake is read too.
    pub(super) fn block(&self, node: Node<'_>, depth: usize) -> Vec<Stmt> {
        let mut body = Vec::new();
        if depth > DEEPEST {
            return body;
        }
        for child in Self::named(node) {
            match child.kind() {
                "ERROR" => body.extend(self.block(child, depth + 1)),
                _ => body.push(self.stmt(child, depth + 1)),
            }
        }
        body
    }

    fn stmt(&self, node: Node<'_>, depth: usize) -> Stmt {
        match node.kind() {
            "expression_statement" => self.simple(node, depth),
            "if_statement" => self.branches(node, depth),
            "match_statement" => self.cases(node, depth),
            "for_statement" => {
                let (each, all) = (
                    self.field(node, "left", depth),
                    self.field(node, "right", depth),
                );
                match each.zip(all) {
                    Some((each, all)) => Stmt::For(each, all, self.body(node, depth).into()),
                    None => Stmt::Other,
                }
            }
            "while_statement" | "with_statement" => Stmt::Block(self.body(node, depth)),
            "try_statement" => Stmt::Try(Box::new(self.attempt(node, depth))),
            "return_statement" => {
                let value = Self::named(node)
                    .first()
                    .map(|node| self.expr(*node, depth));
                Stmt::Return(value)
            }
            "raise_statement" => {
                let what = Self::named(node)
                    .first()
                    .map(|node| self.expr(*node, depth));
                Stmt::Raise(what)
            }
            "break_statement" | "continue_statement" => Stmt::Leave,
            "delete_statement" => {
                let gone = Self::named(node).into_iter();
                Stmt::Delete(gone.map(|node| self.expr(node, depth)).collect())
            }
            "function_definition" => self.function(node, Vec::new(), depth),
            "class_definition" => self.class(node, depth),
            "decorated_definition" => self.decorated(node, depth),
            "import_from_statement" | "import_statement" => Stmt::Import(self.imports(node)),
            _ => Stmt::Other,
        }
    }

    fn body(&self, node: Node<'_>, depth: usize) -> Vec<Stmt> {
        let body = node.child_by_field_name("body");
        body.map_or_else(Vec::new, |body| self.block(body, depth))
    }

    fn simple(&self, node: Node<'_>, depth: usize) -> Stmt {
        let children = Self::named(node);
        let Some(child) = children.first() else {
            return Stmt::Other;
        };
        let sides = || {
            let left = self.field(*child, "left", depth);
            left.zip(self.field(*child, "right", depth))
        };
        match child.kind() {
            "assignment" => sides().map_or(Stmt::Other, |(to, what)| Stmt::Assign(to, what)),
            "augmented_assignment" => {
                sides().map_or(Stmt::Other, |(to, what)| Stmt::Extend(to, what))
            }
            _ => Stmt::Expr(self.expr(*child, depth)),
        }
    }

    fn branches(&self, node: Node<'_>, depth: usize) -> Stmt {
        let mut branches = Vec::new();
        let mut cursor = node.walk();
        let first = node.child_by_field_name("consequence");
        let block =
            |block: Option<Node<'_>>| block.map_or_else(Vec::new, |block| self.block(block, depth));
        branches.push((self.field(node, "condition", depth), block(first)));
        for child in node.children(&mut cursor) {
            match child.kind() {
                "elif_clause" => {
                    let inner = child.child_by_field_name("consequence");
                    branches.push((self.field(child, "condition", depth), block(inner)));
                }
                "else_clause" => branches.push((None, self.body(child, depth))),
                _ => {}
            }
        }
        Stmt::If(branches)
    }

    fn attempt(&self, node: Node<'_>, depth: usize) -> Try {
        let mut attempt = Try {
            body: self.body(node, depth),
            handlers: Vec::new(),
            rest: Vec::new(),
        };
        for child in Self::named(node) {
            let inner = Self::named(child);
            let block = inner.iter().rev().find(|inner| inner.kind() == "block");
            let done = block.map_or_else(Vec::new, |block| self.block(*block, depth));
            match child.kind() {
                "except_clause" | "except_group_clause" => {
                    let until = block.map_or(child.end_byte(), Node::start_byte);
                    let caught = self.text.get(child.start_byte()..until);
                    attempt
                        .handlers
                        .push((caught.unwrap_or_default().to_owned(), done));
                }
                "else_clause" | "finally_clause" => attempt.rest.extend(done),
                _ => {}
            }
        }
        attempt
    }

    fn cases(&self, node: Node<'_>, depth: usize) -> Stmt {
        let Some(subject) = self.field(node, "subject", depth) else {
            return Stmt::Other;
        };
        let body = node.child_by_field_name("body").unwrap_or(node);
        let clauses = Self::named(body).into_iter();
        let clauses = clauses.filter(|clause| clause.kind() == "case_clause");
        Stmt::Match(
            subject,
            clauses.map(|clause| self.case(clause, depth)).collect(),
        )
    }

    fn case(&self, clause: Node<'_>, depth: usize) -> Case {
        let mut case = Case {
            values: Vec::new(),
            unclear: false,
            guard: None,
            body: clause
                .child_by_field_name("consequence")
                .map_or_else(Vec::new, |block| self.block(block, depth)),
        };
        if let Some(guard) = clause.child_by_field_name("guard") {
            let inner = Self::named(guard);
            case.guard = inner.first().map(|inner| self.expr(*inner, depth));
        }
        for pattern in Self::named(clause) {
            if pattern.kind() == "case_pattern" {
                let taken = self.literals(pattern, depth, &mut case.values);
                case.unclear |= !taken && self.of(pattern) != "_";
            }
        }
        case
    }

    /// The literals of a pattern, if it is nothing else.
    fn literals(&self, pattern: Node<'_>, depth: usize, values: &mut Vec<Json>) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match pattern.kind() {
            "case_pattern" | "union_pattern" => {
                let parts = Self::named(pattern);
                let all = parts
                    .iter()
                    .map(|part| self.literals(*part, depth + 1, values));
                all.fold(!parts.is_empty(), |all, one| all && one)
            }
            _ => match self.expr(pattern, depth).kind {
                ExprKind::Constant(value) => {
                    values.push(value);
                    true
                }
                _ => false,
            },
        }
    }

    fn decorated(&self, node: Node<'_>, depth: usize) -> Stmt {
        let children = Self::named(node);
        let decorators = children.iter().filter(|child| child.kind() == "decorator");
        let decorators = decorators.filter_map(|child| {
            let inner = Self::named(*child);
            inner.first().map(|inner| self.expr(*inner, depth))
        });
        let decorators: Vec<Expr> = decorators.collect();
        match node.child_by_field_name("definition") {
            Some(inner) if inner.kind() == "function_definition" => {
                self.function(inner, decorators, depth)
            }
            Some(inner) => self.class(inner, depth),
            None => Stmt::Other,
        }
    }

    fn function(&self, node: Node<'_>, decorators: Vec<Expr>, depth: usize) -> Stmt {
        let params = node.child_by_field_name("parameters");
        let params = params.map(Self::named).unwrap_or_default().into_iter();
        Stmt::Function(Rc::new(Function {
            name: self.text_of(node, "name"),
            line: line(node),
            params: params.map(|param| self.param(param)).collect(),
            decorators,
            body: self.body(node, depth),
        }))
    }

    fn param(&self, node: Node<'_>) -> Param {
        let name = match node.kind() {
            "identifier" => self.of(node).to_owned(),
            _ => match node.child_by_field_name("name") {
                Some(name) => self.of(name).to_owned(),
                None => Self::named(node)
                    .first()
                    .map_or("", |name| self.of(*name))
                    .to_owned(),
            },
        };
        Param {
            name,
            kind: self.text_of(node, "type"),
            default: self.text_of(node, "value"),
        }
    }

    fn class(&self, node: Node<'_>, depth: usize) -> Stmt {
        let bases = node.child_by_field_name("superclasses");
        let bases = bases.map(Self::named).unwrap_or_default();
        Stmt::Class(Rc::new(Class {
            name: self.text_of(node, "name"),
            line: line(node),
            bases: bases.iter().map(|base| self.expr(*base, depth)).collect(),
            body: self.body(node, depth),
        }))
    }

    fn imports(&self, node: Node<'_>) -> Vec<Import> {
        let from = node.child_by_field_name("module_name");
        let module = from.map(|module| self.of(module).to_owned());
        let mut found = Vec::new();
        for child in Self::named(node) {
            if Some(child.id()) == from.map(|from| from.id()) {
                continue;
            }
            let (original, name) = match child.kind() {
                "aliased_import" => (self.text_of(child, "name"), self.text_of(child, "alias")),
                "wildcard_import" => ("*".into(), "*".into()),
                _ => (self.of(child).to_owned(), self.of(child).to_owned()),
            };
            found.push(match &module {
                Some(module) => Import {
                    name,
                    module: module.clone(),
                    original: Some(original),
                },
                None => Import {
                    name,
                    module: original,
                    original: None,
                },
            });
        }
        found
    }
}
