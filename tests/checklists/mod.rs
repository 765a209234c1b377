//! What four teams wrote down to try before they trust a new WebSocket, item by
//! item, at the example apps with Outrigger in front. `docs/checklists.md` says
//! which test plays which item; that both name the same tests is checked here.

mod fastapi;
mod inbox;
mod play;
mod realtime;
mod social;

use std::{collections::BTreeSet, fs, path::Path};

const FOLDER: &str = "tests/checklists";

#[test]
fn every_item_names_its_tests_and_every_test_has_an_item() {
    let table = fs::read_to_string("docs/checklists.md").unwrap();
    let named: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| is_test(word))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, tests());
}

/// Whether a word is written as a test is: `module::name`.
fn is_test(word: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':';
    word.contains("::") && word.chars().all(letters)
}

/// The tests of the modules, as the table names them.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in Path::new(FOLDER).read_dir().unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        if module == "mod" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        found.extend(names(&source).map(|name| format!("{module}::{name}")));
    }
    found
}

/// The functions that follow `#[test]` or `#[tokio::test]`, or stand in a `checklist!`.
fn names(source: &str) -> impl Iterator<Item = &str> {
    let is_test = |line: &str| line == "#[test]" || line.starts_with("#[tokio::test");
    let lines = || source.lines().map(str::trim);
    let pairs = lines().zip(lines().skip(1));
    let marked = pairs.filter(move |(mark, _)| is_test(mark));
    let marked = marked.filter_map(|(_, line)| line.split_once("fn ")?.1.split('(').next());
    let listed = lines().skip_while(|line| !line.starts_with("checklist!"));
    let listed = listed.skip(1).take_while(|line| *line != "}");
    marked.chain(listed.map(|line| line.trim_end_matches(',')))
}
