//! Python source as a small tree of what matters here: classes, functions, conditions,
//! calls and literals. Nothing is run. What has no place in it is `Other`, and a file
//! with mistakes is read as far as it goes.

mod expr;
mod stmt;
mod text;

use std::{ops::ControlFlow, ops::Range, rc::Rc};

use serde_json::Value as Json;
use tree_sitter::{Node, ParseOptions, Parser};

/// Deeper trees are cut off: nobody writes them by hand, and each level costs stack.
const DEEPEST: usize = 80;
/// How often the parser may ask whether to go on: some seconds of work.
const MOST_STEPS: usize = 200_000;

/// Shorter literals are words.
const LEAST_SECRET: usize = 16;

/// A file of Python.
#[derive(Debug)]
pub(super) struct Module {
    /// As it is shown to people, from the project's folder.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) body: Vec<Stmt>,
    /// The first line that is no Python.
    pub(super) broken: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Stmt {
    Assign(Expr, Expr),
    /// `a += b`.
    Extend(Expr, Expr),
    Expr(Expr),
    /// Branches in order; the last may have no condition.
    If(Vec<(Option<Expr>, Vec<Stmt>)>),
    Match(Expr, Vec<Case>),
    /// The body is shared: a generator's loop runs it from elsewhere.
    For(Expr, Expr, Rc<[Stmt]>),
    /// `while` and `with`: what stands in it happens.
    Block(Vec<Stmt>),
    Try(Box<Try>),
    Return(Option<Expr>),
    /// `break`, `continue`: nothing after it in this block.
    Leave,
    Raise(Option<Expr>),
    /// `del a[b]`
    Delete(Vec<Expr>),
    Class(Rc<Class>),
    Function(Rc<Function>),
    Import(Vec<Import>),
    Other,
}

#[derive(Debug)]
pub(super) struct Try {
    pub(super) body: Vec<Stmt>,
    /// What is caught, as written, and what is done then.
    pub(super) handlers: Vec<(String, Vec<Stmt>)>,
    /// `else` and `finally`.
    pub(super) rest: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct Case {
    /// The literals that it takes; none: everything.
    pub(super) values: Vec<Json>,
    /// It takes what literals cannot say.
    pub(super) unclear: bool,
    pub(super) guard: Option<Expr>,
    pub(super) body: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) bases: Vec<Expr>,
    pub(super) body: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) params: Vec<Param>,
    pub(super) decorators: Vec<Expr>,
    pub(super) body: Vec<Stmt>,
}

#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) name: String,
    /// The type, as written.
    pub(super) kind: String,
    /// The default, as written.
    pub(super) default: String,
}

/// `from module import original as name`; a star is the name `*`.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) original: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) line: usize,
    pub(super) span: Range<usize>,
    pub(super) kind: ExprKind,
}

#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Name(String),
    /// A number, a text without holes, True, False, None.
    Constant(Json),
    /// An f-string, or texts side by side.
    Text(Vec<Piece>),
    Attribute(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Call(Box<Call>),
    /// A key is absent where `**` spreads.
    Dict(Vec<(Option<Expr>, Expr)>),
    /// Lists, tuples and sets.
    List(Vec<Expr>),
    /// `[each for name in all]`
    Comprehension(Box<[Expr; 3]>),
    Compare(Box<Expr>, String, Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Yield(Option<Box<Expr>>),
    /// `name := value`
    Named(String, Box<Expr>),
    /// `a + b`.
    Sum(Vec<Expr>),
    /// `*a` in a list.
    Spread(Box<Expr>),
    Other,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Plain(String),
    Hole(Expr),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) callee: Expr,
    pub(super) arguments: Vec<Expr>,
    pub(super) named: Vec<(String, Expr)>,
}

impl Call {
    /// An argument by its name, or by its place.
    pub(super) fn argument(&self, name: &str, place: usize) -> Option<&Expr> {
        let named = self.named.iter().find(|(known, _)| known == name);
        let named = named.map(|(_, value)| value);
        named.or_else(|| self.arguments.get(place))
    }
}

impl Expr {
    /// `a.b.c`, where it is nothing but names.
    pub(super) fn dotted(&self) -> Option<String> {
        match &self.kind {
            ExprKind::Name(name) => Some(name.clone()),
            ExprKind::Attribute(object, name) => Some(format!("{}.{name}", object.dotted()?)),
            _ => None,
        }
    }

    pub(super) fn call(&self) -> Option<&Call> {
        match &self.kind {
            ExprKind::Call(call) => Some(call),
            _ => None,
        }
    }

    /// A text without holes.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Constant(Json::String(text)) => Some(text),
            _ => None,
        }
    }
}

impl Module {
    /// Reads a file. Whatever is in it, there is an answer, and in bounded time.
    pub(super) fn read(path: String, text: String) -> Self {
        let (body, broken) = parsed(&text);
        Self {
            path,
            text,
            body,
            broken,
        }
    }

    /// What is written there, in one line and not too long. Long literals are left out:
    /// one may be a secret.
    pub(super) fn quote(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let masked = masked(text);
        let mut line = masked.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() > 70 {
            line = line.chars().take(67).collect::<String>() + "...";
        }
        // It ends up in comments and on terminals.
        line.retain(|c| !c.is_control());
        line
    }
}

/// Without the literals that are long enough for a key or a password.
fn masked(text: &str) -> String {
    let mut parts = Vec::new();
    let mut quote = None;
    for part in text.split_inclusive(['"', '\'']) {
        let (inner, end) = match part.chars().last() {
            Some(end @ ('"' | '\'')) => (part.trim_end_matches(end), Some(end)),
            _ => (part, None),
        };
        let inside = quote.is_some();
        let secret = inside && inner.len() >= LEAST_SECRET && !inner.contains(char::is_whitespace);
        parts.push(if secret { "..." } else { inner }.to_owned());
        parts.extend(end.map(String::from));
        quote = match (quote, end) {
            (None, end) => end,
            (Some(open), Some(end)) if open == end => None,
            (open, _) => open,
        };
    }
    parts.concat()
}

/// The statements of a text, and the first line that is none.
fn parsed(text: &str) -> (Vec<Stmt>, Option<usize>) {
    let mut parser = Parser::new();
    let language = tree_sitter_python::LANGUAGE.into();
    if parser.set_language(&language).is_err() {
        return (Vec::new(), Some(1));
    }
    let mut steps = 0;
    let mut go_on = |_: &_| {
        steps += 1;
        match steps < MOST_STEPS {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let options = ParseOptions::new().progress_callback(&mut go_on);
    let bytes = text.as_bytes();
    let mut input = |at: usize, _| bytes.get(at..).unwrap_or_default();
    match parser.parse_with_options(&mut input, None, Some(options)) {
        Some(tree) => {
            let root = tree.root_node();
            (Source { text }.block(root, 0), first_error(root))
        }
        None => (Vec::new(), Some(1)),
    }
}

fn first_error(root: Node<'_>) -> Option<usize> {
    let mut node = root;
    if !node.has_error() {
        return None;
    }
    // Down to the first child that has one, without recursion.
    loop {
        let mut cursor = node.walk();
        let inner = node.children(&mut cursor).find(|child| child.has_error());
        match inner {
            Some(child) if !node.is_error() => node = child,
            _ => return Some(node.start_position().row + 1),
        }
    }
}

/// What the readers of statements and expressions share.
struct Source<'a> {
    text: &'a str,
}

impl Source<'_> {
    fn of(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn named<'t>(node: Node<'t>) -> Vec<Node<'t>> {
        let mut cursor = node.walk();
        let children = node.named_children(&mut cursor);
        children.filter(|child| child.kind() != "comment").collect()
    }
}

fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}
