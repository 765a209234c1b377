//! The config file, as whoever writes one meets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use outrigger::config::{self, Loaded, Overrides, Report};

fn parse(name: &str, text: &str) -> Result<Loaded, Report> {
    let environment = |name: &str| match name {
        "UNSET" => None,
        "SHORT" => Some("short".to_owned()),
        _ => Some(format!("{name}, which is a long secret")),
    };
    config::parse(text, Path::new(name), &Overrides::default(), &environment)
}

#[test]
fn good_files_load() {
    for file in std::fs::read_dir("tests/fixtures/config/good").unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = parse(&path.to_string_lossy(), &text).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}

#[test]
fn bad_files_are_reported() {
    let mut reports = 0;
    for file in std::fs::read_dir("tests/fixtures/config/bad").unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let report = parse(&name, &text).unwrap_err();
        let stem = path.file_stem().unwrap().to_string_lossy();
        insta::assert_snapshot!(stem.as_ref(), report.to_string());
        reports += 1;
    }
    assert!(reports >= 20, "only {reports} bad files");
}

const EXAMPLE: &str = include_str!("../config.example.toml");

/// The example with the lines that are not in force.
fn whole_example() -> String {
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_alphabetic()) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_without_any_environment() {
    let path = Path::new("config.example.toml");
    let loaded = config::parse(EXAMPLE, path, &Overrides::default(), &|_| None).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.settings.endpoints.len(), 6);
}

#[test]
fn what_the_example_shows_besides_is_right_too() {
    // Choices that exclude each other, and files that are not there.
    let expected = [
        "cannot be read",
        "more than one key",
        "cannot both say",
        "is public",
        "written twice",
    ];
    let report = parse("config.example.toml", &whole_example()).unwrap_err();
    for problem in report.problems() {
        let known = expected.iter().any(|text| problem.message.contains(text));
        assert!(known, "{report}");
    }
}

#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let example = whole_example();
    let sections = [
        "[listen.limits]",
        "[app]",
        "[feed.memory]",
        "[stop]",
        "[log]",
    ];
    let mut text = String::new();
    for section in sections {
        let rest = example.split_once(section).unwrap().1;
        text.push_str(section);
        text.push_str(rest.split("\n[").next().unwrap());
        text.push('\n');
    }
    let limits = example.split_once("[endpoint.limits]").unwrap().1;
    let limits = limits.split("\n[").next().unwrap();
    let endpoint = "[[endpoint]]\nname = \"a\"\npath = \"/a\"\nanonymous = true\n";
    let written = parse(
        "x",
        &format!("{text}{endpoint}heartbeat = \"20s\"\n[endpoint.limits]{limits}"),
    );
    let (written, usual) = (
        written.unwrap().settings,
        parse("x", endpoint).unwrap().settings,
    );
    assert_eq!(written.listen, usual.listen);
    assert_eq!(written.app, usual.app);
    assert_eq!(written.feed, usual.feed);
    assert_eq!(written.stop, usual.stop);
    assert_eq!(written.log, usual.log);
    assert_eq!(written.endpoints, usual.endpoints);
}

#[test]
fn no_key_is_missing_from_the_example() {
    let structs = raw_structs();
    let mut known = BTreeMap::new();
    raw_paths(&structs, "File", "", &mut known);
    assert!(known.len() > 100, "the keys were not found: {known:?}");
    let mut shown = BTreeSet::new();
    let example: toml::Table = whole_example().parse().unwrap();
    example_paths(&toml::Value::Table(example), "", &mut shown);
    // A table that can stand in several places is shown in one of them.
    let missing = |(_, paths): &(_, &Vec<String>)| !paths.iter().any(|path| shown.contains(path));
    let missing: Vec<_> = known.iter().filter(missing).collect();
    assert!(missing.is_empty(), "config.example.toml lacks {missing:#?}");
}

/// The structs of `raw.rs` with their fields' names and types, as they are written.
fn raw_structs() -> BTreeMap<String, Vec<(String, String)>> {
    let source = include_str!("../src/config/raw.rs");
    let tables = source.split_once("\ntables! {").unwrap().1;
    let tables = tables.split("\n}\n").next().unwrap();
    let mut structs = BTreeMap::new();
    let mut fields: &mut Vec<_> = &mut Vec::new();
    for line in tables.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            fields = structs.entry(name.to_owned()).or_default();
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(": ") {
            fields.push((name.trim_start_matches("r#").to_owned(), kind.to_owned()));
        }
    }
    structs
}

fn raw_paths(
    structs: &BTreeMap<String, Vec<(String, String)>>,
    name: &str,
    above: &str,
    paths: &mut BTreeMap<String, Vec<String>>,
) {
    for (field, kind) in &structs[name] {
        let mut path = format!("{above}.{field}");
        let key = format!("{name}.{field}");
        paths.entry(key).or_default().push(path.clone());
        if kind.contains("Pairs<") {
            path.push_str(".*");
        }
        let inner = kind
            .split(['<', '>', ','])
            .find(|word| structs.contains_key(*word));
        if let Some(inner) = inner {
            raw_paths(structs, inner, &path, paths);
        }
    }
}

/// Tables whose keys are the writer's own.
const FREE: [&str; 5] = [
    ".flags",
    ".endpoint.lookup",
    ".endpoint.frames",
    ".auth.jwt.require",
    ".source.sse.headers",
];

fn example_paths(value: &toml::Value, above: &str, paths: &mut BTreeSet<String>) {
    match value {
        toml::Value::Array(items) => {
            for item in items {
                example_paths(item, above, paths);
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if FREE.contains(&above) { "*" } else { key };
                let path = format!("{above}.{key}");
                example_paths(value, &path, paths);
                paths.insert(path);
            }
        }
        _ => {}
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let _ = parse("x", &text).map_err(|report| report.render(true));
    }

    #[test]
    fn no_mutation_of_the_example_panics(
        cut in 0..EXAMPLE.len(),
        length in 0..40usize,
        put in "[\\[\\]{}=\"'#,.a-z0-9 \n\u{e9}-]{0,6}",
    ) {
        let floor = |at: usize| (0..=at).rev().find(|at| EXAMPLE.is_char_boundary(*at)).unwrap();
        let (start, end) = (floor(cut), floor((cut + length).min(EXAMPLE.len())));
        let text = format!("{}{put}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        match parse("x", &text) {
            Ok(_) => {}
            Err(report) => {
                proptest::prop_assert!(!report.problems().is_empty());
                let shown = report.to_string();
                proptest::prop_assert!(!shown.contains("only-for-development"), "{}", shown);
            }
        }
    }
}
