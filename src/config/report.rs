//! What is wrong with a file, all at once, each with its place and the way out.

use std::{fmt, ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and somebody should look.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the text; `None` if it is nowhere in the file.
    pub span: Option<Range<usize>>,
    /// A second place that has to do with it, and what it is.
    pub other: Option<(Range<usize>, String)>,
    /// The way out.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that keeps the file from being used.
    pub(super) fn error(span: impl Into<Option<Range<usize>>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            other: None,
            help: None,
        }
    }

    /// A problem that somebody should know about.
    pub(super) fn warning(
        span: impl Into<Option<Range<usize>>>,
        message: impl Into<String>,
    ) -> Self {
        let severity = Severity::Warning;
        Self {
            severity,
            ..Self::error(span, message)
        }
    }

    /// The same, with the way out.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with a second place.
    pub(super) fn other(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some((span, label.into()));
        self
    }
}

/// All that is wrong with one file. Its `Display` is plain text with carets.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    origin: String,
    /// With its secrets masked: parts of it are printed.
    text: String,
    problems: Vec<Problem>,
}

impl Report {
    /// Puts problems in the order of the file.
    pub(super) fn new(origin: &Path, text: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        let origin = origin.display().to_string();
        Self {
            origin,
            text,
            problems,
        }
    }

    /// The problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        let error = |problem: &Problem| problem.severity == Severity::Error;
        self.problems.iter().any(error)
    }

    /// Line and column of a problem, both from 1, columns in characters.
    pub fn place(&self, problem: &Problem) -> Option<(usize, usize)> {
        let start = problem.span.as_ref()?.start;
        let before = self.text.get(..start)?;
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Some((line, column))
    }

    /// The whole report as text, with colours for a terminal if asked.
    pub fn render(&self, colour: bool) -> String {
        let renderer = match colour {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let one = |problem| renderer.render(&self.groups(problem));
        let all: Vec<_> = self.problems.iter().map(one).collect();
        all.join("\n\n")
    }

    fn groups<'a>(&'a self, problem: &'a Problem) -> [Group<'a>; 1] {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.message.as_str());
        let mut group = match self.snippet(problem) {
            Some(snippet) => title.element(snippet),
            None => Group::with_title(title),
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        [group]
    }

    fn snippet<'a>(
        &'a self,
        problem: &'a Problem,
    ) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let span = self.within(problem.span.as_ref()?);
        let mut snippet = Snippet::source(self.text.as_str())
            .path(self.origin.as_str())
            .annotation(AnnotationKind::Primary.span(span));
        if let Some((span, label)) = &problem.other {
            let other = AnnotationKind::Context.span(self.within(span));
            snippet = snippet.annotation(other.label(label.as_str()));
        }
        Some(snippet)
    }

    /// A span on one line of the text and on the borders of its characters.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        let rest = self.text.get(start..floor(span.end).max(start));
        let line = rest
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        start..start + line.len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
