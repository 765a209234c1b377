//! As much of Markdown as the docs use: fenced blocks, links, headings, tables.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file that people read.
pub(super) struct Doc {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// What stands behind the fence.
    language: String,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) text: String,
}

impl Block {
    pub(super) fn is(&self, language: &str) -> bool {
        self.language == language
    }
}

/// All Markdown files of a folder and those within.
pub(super) fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "md") {
            found.push(path);
        }
    }
}

impl Doc {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.to_owned();
        Self { path, text }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        blocks(&self.text).into_iter()
    }

    /// The blocks under a heading of the second level.
    pub(super) fn section(&self, heading: &str) -> impl Iterator<Item = Block> {
        let text = self.text.split_once(&format!("\n## {heading}\n"));
        let text = text.unwrap_or_else(|| panic!("no heading {heading}")).1;
        blocks(text.split("\n## ").next().unwrap()).into_iter()
    }

    /// The lines that are neither in a fenced block nor indented as code.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence && !line.starts_with("    ")
        })
    }

    /// Where the links of the prose lead.
    pub(super) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.prose() {
            // What stands in backticks is code.
            let text: Vec<_> = line.split('`').step_by(2).collect();
            let text = text.join("");
            let targets = text
                .split("](")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once(')')?.0));
            links.extend(targets.map(str::to_owned));
        }
        links
    }

    /// Whether a link leads somewhere; those out of the project are not followed.
    pub(super) fn follow(&self, link: &str) -> Result<(), String> {
        if link.starts_with("https://") {
            return Ok(());
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let folder = self.path.parent().unwrap();
        let target = if path.is_empty() {
            self.path.clone()
        } else {
            folder.join(path)
        };
        if !target.exists() {
            return Err("there is no such file".into());
        }
        if anchor.is_empty() || Self::read(&target).anchors().any(|known| known == anchor) {
            return Ok(());
        }
        Err("there is no such heading".into())
    }

    fn anchors(&self) -> impl Iterator<Item = String> {
        let headings = self.prose().filter(|line| line.starts_with('#'));
        headings.map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
    }

    /// The command lines of Outrigger in blocks and in backticks.
    pub(super) fn commands(&self) -> Vec<String> {
        let mut found = Vec::new();
        let indented = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("    "));
        let blocks: Vec<_> = self
            .blocks()
            .filter(|block| block.is("sh") || block.is(""))
            .collect();
        for line in blocks
            .iter()
            .flat_map(|block| block.text.lines())
            .chain(indented)
        {
            let line = line.split(" # ").next().unwrap().trim();
            let inner = line.split("$(").skip(1);
            let parts = inner.chain(line.split("| ").skip(1)).chain([line]);
            let of_ours = parts.filter(|part| part.starts_with("outrigger "));
            found.extend(of_ours.map(str::to_owned));
        }
        for line in self.prose() {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(
                spans
                    .filter(|span| span.starts_with("outrigger "))
                    .map(str::to_owned),
            );
        }
        found
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                let language = language.to_owned();
                found.push(Block {
                    language,
                    line: number + 1,
                    text: String::new(),
                });
                open = true;
            }
            None if open => {
                let block = found.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    found
}

/// The cells of a table's row; `\|` is a bar.
pub(super) fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').replace("\\|", "\0");
    let row = row.strip_suffix('|').unwrap_or(&row);
    row.split('|')
        .map(|cell| cell.trim().replace('\0', "|"))
        .collect()
}

/// The words of a command line as a shell makes them, up to its end or to what the
/// line goes on with. What a shell would fill in, `$(...)`, stays as it is.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut depth) = (None, 0);
    for c in line.chars() {
        match c {
            '"' | '\'' if quote.is_none() && depth == 0 => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            '(' if quote.is_none() => depth += 1,
            ')' if quote.is_none() && depth > 0 => depth -= 1,
            ' ' if quote.is_none() && depth == 0 => words.push(String::new()),
            ')' | '|' | '&' | ';' | '>' if quote.is_none() && depth == 0 => break,
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
