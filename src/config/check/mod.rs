//! The raw file becomes settings, and what its values mean together is judged.
//! Every function here returns something usable even after it reported a problem,
//! so that one mistake never hides another; with an error reported, nothing of it
//! is used.

mod actions;
mod app;
mod auth;
mod channel_layer;
mod door;
mod endpoint;
mod except;
mod exchange;
mod feed;
mod flags;
mod frames;
mod include;
mod listen;
mod moments;
mod presence;
mod process;
mod redis;
mod source;
mod steps;
mod subscribe;
mod topics_from;

use std::{collections::HashSet, ops::Range, path::Path, path::PathBuf};

use toml::Spanned;

use super::{
    Overrides, Settings, raw,
    report::{Problem, Severity},
    tree::{self, Tree},
    words,
};
use crate::frame::{JsonStyle, Template, Text, Vocabulary};

/// What the checks share: the world around the file, and what they found.
pub(super) struct Check<'a> {
    /// The file as it is written.
    pub text: &'a str,
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The environment's variables.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What was found.
    pub problems: Vec<Problem>,
    /// Tables from which the reader took something: what is missing there was
    /// not forgotten.
    hurt: Vec<Range<usize>>,
    /// Where errors were found already.
    seen: HashSet<(usize, usize)>,
    /// The `include` on whose behalf the parts of another endpoint are read.
    behalf: Option<Range<usize>>,
    /// Whether there is a Redis for keys, and a channel layer.
    has: Has,
}

/// What other tables of the file have to do with steps.
#[derive(Clone, Copy, Default)]
struct Has {
    redis: bool,
    layer: bool,
}

/// Translates a file.
pub(super) fn settings(check: &mut Check<'_>, file: &raw::File, over: &Overrides) -> Settings {
    let layer = file.source.channel_layer.is_some();
    check.has = Has {
        redis: layer || file.redis.is_some(),
        layer,
    };
    let (auth, jwks) = auth::auth(check, &file.auth);
    let settings = Settings {
        listen: listen::listen(check, &file.listen, over),
        admin: listen::admin(check, file, over),
        app: app::app(check, file, over),
        trusted: listen::trusted(check, &file.trust),
        endpoints: endpoint::endpoints(check, file),
        auth,
        jwks,
        webhook: source::webhook(check, &file.source),
        exchanges: exchange::exchanges(check, file),
        flags: flags::flags(check, file),
        feed: feed::feed(check, &file.feed),
        sse: source::sse(check, &file.source),
        channel_layer: channel_layer::channel_layer(check, &file.source),
        redis: redis::redis(check, file.redis.as_ref()),
        stop: process::stop(check, &file.stop),
        log: process::log(check, &file.log),
    };
    // A file with errors has not said yet where its events come from.
    let error = |problem: &Problem| problem.severity == Severity::Error;
    if !check.problems.iter().any(error) && check.hurt.is_empty() {
        source::unfed(check, file, &settings);
    }
    settings
}

impl<'a> Check<'a> {
    /// Nothing found yet.
    pub(super) fn new(
        (text, folder): (&'a str, &'a Path),
        env: &'a dyn Fn(&str) -> Option<String>,
        hurt: Vec<Range<usize>>,
    ) -> Self {
        Self {
            text,
            folder,
            env,
            problems: Vec::new(),
            hurt,
            seen: HashSet::new(),
            behalf: None,
            has: Has::default(),
        }
    }

    /// Notes an error. One in an included part is the including endpoint's only
    /// if the part is right where it is written.
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        if self.hurt.contains(&span) {
            return;
        }
        let known = !self.seen.insert((span.start, span.end));
        let problem = match &self.behalf {
            Some(_) if known => return,
            Some(include) => {
                Problem::error(include.clone(), message).other(span, "comes in with it")
            }
            None => Problem::error(span, message),
        };
        self.problems.push(problem.help(help));
    }

    /// Notes a warning.
    fn warn(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        if self.behalf.is_none() && !self.hurt.contains(&span) {
            self.problems
                .push(Problem::warning(span, message).help(help));
        }
    }

    /// Compiles a string with references.
    fn text(&mut self, text: &Spanned<String>, known: &Vocabulary) -> Option<Text> {
        match Text::compile(text.get_ref(), known) {
            Ok(text) => Some(text),
            Err(fault) => {
                let span = self.inside(text.span(), fault.at);
                self.reference(span, &fault.message);
                None
            }
        }
    }

    /// The same for a path on the app.
    fn path(&mut self, text: &Spanned<String>, known: &Vocabulary) -> Option<Text> {
        if !text.get_ref().starts_with('/') || text.get_ref().contains([' ', '#']) {
            let message = format!("`{}` is not a path on the app", text.get_ref());
            self.error(
                text.span(),
                message,
                "write it from the slash on: /api/chats/{chat_id}/",
            );
            return None;
        }
        self.text(text, known)
    }

    /// Compiles a tree with references.
    fn template(&mut self, tree: &Tree, style: JsonStyle, known: &Vocabulary) -> Option<Template> {
        match Template::compile(&tree.get_ref().json(), style, known) {
            Ok(template) => Some(template),
            Err(faults) => {
                for fault in faults {
                    let span = self.inside(tree::span_at(tree, &fault.path), fault.at);
                    self.reference(span, &fault.message);
                }
                None
            }
        }
    }

    /// The place of a part of a string, if the string is written on one line.
    fn inside(&self, string: Range<usize>, part: Option<Range<usize>>) -> Range<usize> {
        let written = self.text.get(string.clone()).unwrap_or_default();
        let part = part.and_then(|part| tree::part_of_string(written, part));
        part.map_or(string.clone(), |part| {
            string.start + part.start..string.start + part.end
        })
    }

    fn reference(&mut self, span: Range<usize>, said: &str) {
        if let Some((message, help)) = said.split_once(": write ") {
            return self.error(span, message, format!("write {help}"));
        }
        let (message, names) = said.split_once("; known are: ").unwrap_or((said, ""));
        let written = message.trim_start_matches('{').split('}').next();
        let near = nearest_reference(written.unwrap_or_default(), names);
        let help = match (near, names) {
            (_, "") if message.contains("written twice") => "write }} for a brace".to_owned(),
            (_, "") => "a reference is a name in braces, such as {data.id}".to_owned(),
            (Some(near), names) => format!("did you mean {{{near}}}? Known here are: {names}"),
            (None, names) => format!("known here are: {names}"),
        };
        self.error(span, message, help);
    }

    /// A variable of the environment.
    fn variable(&mut self, name: &Spanned<String>) -> Option<String> {
        let value = (self.env)(name.get_ref()).filter(|value| !value.is_empty());
        if value.is_none() {
            self.error(
                name.span(),
                format!("the environment has no variable `{}`", name.get_ref()),
                "set it where Outrigger is started, or name another",
            );
        }
        value
    }

    /// A path of the file system, relative ones from the folder of the config.
    fn absolute(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The bytes of a file.
    fn file(&mut self, path: &Spanned<PathBuf>) -> Option<Vec<u8>> {
        let full = self.absolute(path.get_ref());
        match std::fs::read(&full) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let why = match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    kind => kind.to_string(),
                };
                let message = format!("`{}` cannot be read: {why}", path.get_ref().display());
                let help = "a relative path starts from the folder of this file";
                self.error(path.span(), message, help);
                None
            }
        }
    }
}

/// The name that was probably meant: one whose letters are near, whatever is
/// between them, or else the first word, if that is what is wrong.
fn nearest_reference<'a>(written: &str, names: &'a str) -> Option<&'a str> {
    let known = || names.split(", ");
    let (first, rest) = written.split_once('.').unwrap_or((written, ""));
    let root = |name: &str| name.split('.').next() == Some(first);
    match (known().find(|name| root(name)), rest) {
        (Some(name), "") => return Some(name).filter(|name| *name != written),
        (Some(_), _) => return None,
        (None, _) => {}
    }
    let letters = |name: &str| name.replace(['.', '_'], "");
    let all: Vec<String> = known().map(letters).collect();
    let near = words::nearest(&letters(written), all.iter().map(String::as_str));
    let near = near.and_then(|near| known().find(|name| letters(name) == near));
    near.or_else(|| words::nearest(first, known()))
}
