//! A project's Python files, read within limits: which there are, and which could
//! not be looked at. Nothing of them is run.

use std::{
    cell::Cell,
    collections::VecDeque,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::{super::output::Failure, python::Module};

/// Far more than a project with sockets has: a wrong folder was named.
const MOST_ENTRIES: usize = 50_000;
const MOST_FILES: usize = 3_000;
/// Larger files are made by programs.
const LARGEST: u64 = 1 << 20;
/// Deeper folders hold no sources.
const DEEPEST: usize = 16;
/// Not the project's own sources.
const NOT_OURS: [&str; 9] = [
    "node_modules",
    "venv",
    "env",
    "site-packages",
    "__pycache__",
    "migrations",
    "tests",
    "test",
    "build",
];
/// A file without any of these words says nothing about sockets or tokens.
const WORDS: [&str; 9] = [
    "ebsocket",
    "ebSocket",
    "channels",
    "CHANNEL_LAYERS",
    "SIMPLE_JWT",
    "onsumer",
    "ONNECTION",
    "jwt",
    "JWT",
];

/// The files that were read.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) modules: Vec<Module>,
    /// What was left out, with the reason.
    pub(super) skipped: Vec<String>,
    /// How many names were looked up: imports can be written so that following them
    /// never ends.
    pub(super) lookups: Cell<usize>,
}

impl Project {
    /// Reads a folder, or one file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let meta = fs::metadata(path).map_err(|error| {
            let what = format!("{} cannot be read: {error}", path.display());
            Failure::new(
                what,
                "name the folder of your project: --from path/to/project",
            )
        })?;
        let mut project = Self::default();
        if meta.is_file() {
            let root = path.parent().unwrap_or(Path::new(""));
            project.add(root, path, true);
        } else {
            for file in project.find(path) {
                project.add(path, &file, false);
            }
        }
        Ok(project)
    }

    /// The Python files below a folder, in the order of their names.
    fn find(&mut self, root: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = VecDeque::from([(root.to_owned(), 0)]);
        let mut entries = 0;
        while let Some((folder, depth)) = folders.pop_front() {
            let Ok(inside) = fs::read_dir(&folder) else {
                self.skip(root, &folder, "the folder cannot be read");
                continue;
            };
            // Not all names of a huge folder are held.
            let inside = inside.flatten().take(MOST_ENTRIES.saturating_sub(entries));
            let mut inside: Vec<_> = inside.collect();
            entries += inside.len();
            inside.sort_by_key(fs::DirEntry::file_name);
            for entry in inside {
                let name = entry.file_name().to_string_lossy().into_owned();
                // Links are not followed: they may lead in circles.
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let ours = !name.starts_with('.') && !NOT_OURS.contains(&name.as_str());
                if kind.is_dir() && ours && depth < DEEPEST {
                    folders.push_back((entry.path(), depth + 1));
                } else if kind.is_file() && is_source(&name) {
                    files.push(entry.path());
                }
            }
        }
        if entries >= MOST_ENTRIES || files.len() > MOST_FILES {
            self.skip(
                root,
                root,
                "too many files: name the folder of the app itself",
            );
            files.truncate(MOST_FILES);
        }
        files
    }

    fn add(&mut self, root: &Path, file: &Path, asked: bool) {
        match text(file) {
            Ok(text) if asked || WORDS.iter().any(|word| text.contains(word)) || is_root(file) => {
                self.modules.push(Module::read(shown(root, file), text));
            }
            Ok(_) => {}
            Err(why) => self.skip(root, file, &why),
        }
    }

    fn skip(&mut self, root: &Path, path: &Path, why: &str) {
        self.skipped.push(format!("{}: {why}", shown(root, path)));
    }
}

/// Places where small pieces of routing stand that name nothing telling.
fn is_root(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    ["routing", "asgi", "settings", "main"].contains(&&*stem)
}

fn is_source(name: &str) -> bool {
    let test = name.starts_with("test_") || name.ends_with("_test.py") || name == "tests.py";
    name.ends_with(".py") && !test
}

/// A file's text. Bytes that are no UTF-8 become replacement characters: names and
/// literals that matter are ASCII in all encodings that Python files have.
fn text(file: &Path) -> Result<String, String> {
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = opened.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!(
            "it has more than {LARGEST} bytes, and was not read"
        ));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn shown(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    let shown = match inner.as_os_str().is_empty() {
        true => path.display().to_string(),
        false => inner.display().to_string(),
    };
    // A name is shown in comments and on terminals.
    shown.replace(char::is_control, "?")
}
