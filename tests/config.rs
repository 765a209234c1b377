//! The config file, as whoever writes one meets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use outrigger::{
    config::{self, Loaded, Overrides, Report, Settings},
    event::{Event, Except},
    frame::Scope,
    routes::{Endpoint, Reply, Step},
};

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
        "stands beside `sentinel`",
        "kept in one place only",
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

/// The structs of `config/raw` with their fields' names and types, as they are written.
fn raw_structs() -> BTreeMap<String, Vec<(String, String)>> {
    let mut structs = BTreeMap::new();
    for file in std::fs::read_dir("src/config/raw").unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for start in ["\ntables! {", "\nmoments! {"] {
            let block = source.split_once(start).map_or("", |(_, block)| block);
            let block = block.split("\n}\n").next().unwrap_or(block);
            note_structs(block, &mut structs);
        }
    }
    structs
}

fn note_structs(block: &str, structs: &mut BTreeMap<String, Vec<(String, String)>>) {
    let mut fields: &mut Vec<_> = &mut Vec::new();
    for line in block.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            fields = structs.entry(name.to_owned()).or_default();
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(": ") {
            fields.push((name.trim_start_matches("r#").to_owned(), kind.to_owned()));
        }
    }
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
            if MOMENTS.contains(&inner) {
                raw_paths(structs, "Steps", &path, paths);
            }
        }
    }
}

/// Tables that have the keys of `Steps` besides their own.
const MOMENTS: [&str; 4] = ["Action", "OnConnect", "OnDisconnect", "Every"];

/// Tables whose keys are the writer's own.
const FREE: [&str; 7] = [
    ".endpoint.actions.call.on_status",
    ".flags",
    ".endpoint.lookup",
    ".endpoint.frames",
    ".endpoint.except",
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
        if let Err(report) = parse("x", &text) {
            proptest::prop_assert!(!report.render(true).is_empty());
        }
    }

    #[test]
    fn no_mutation_of_the_example_panics(
        cut in 0..EXAMPLE.len(),
        length in 0..40usize,
        put in "[\\[\\]{}=\"'#,.a-z0-9 \n\u{e9}-]{0,6}",
    ) {
        let before: String = EXAMPLE.chars().take(cut).collect();
        let after: String = EXAMPLE.chars().skip(cut + length).collect();
        let text = format!("{before}{put}{after}");
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

const OPEN: &str = "[auth.jwt]\nalgorithms = [\"HS256\"]\nsecret_env = \"S\"\n";

fn settings(text: &str) -> Settings {
    parse("x", text).expect("a good file").settings
}

fn messages(text: &str) -> Vec<String> {
    let report = parse("x", text).expect_err("a bad file");
    let problems = report.problems().iter();
    problems.map(|problem| problem.message.clone()).collect()
}

fn frame(endpoint: &Endpoint, kind: &str) -> String {
    let event = Event {
        id: "e1".into(),
        kind: kind.into(),
        topics: [].into_iter().collect(),
        users: [].into_iter().collect(),
        except: Except::default(),
        data: serde_json::value::RawValue::from_string(r#"{"b":1,"a":[2]}"#.into()).expect("JSON"),
        ephemeral: false,
    };
    let scope = Scope {
        event: Some(&event),
        ..Scope::default()
    };
    endpoint
        .frames
        .get(&event.kind)
        .expect("a frame")
        .render(&scope)
}

#[test]
fn no_file_is_a_plain_proxy_and_flags_are_louder() {
    let usual = config::without_file(&Overrides::default())
        .unwrap()
        .settings;
    assert_eq!(usual.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(usual.app.address.to_string(), "http://127.0.0.1:8000");
    assert_eq!(usual.admin.unwrap().address.to_string(), "127.0.0.1:9464");
    assert!(usual.endpoints.is_empty());
    let over = Overrides {
        app: Some("unix:/run/app.sock".parse().unwrap()),
        listen: Some("0.0.0.0:1".parse().unwrap()),
        admin: Some("127.0.0.1:2".parse().unwrap()),
    };
    let text =
        "listen.address = \"127.0.0.1:7\"\napp.address = \"http://x\"\nadmin.enabled = false";
    let loaded = config::parse(text, Path::new("x"), &over, &|_| None).unwrap();
    assert_eq!(loaded.settings.listen.address.port(), 1);
    assert_eq!(
        loaded.settings.app.address.to_string(),
        "unix:/run/app.sock"
    );
    assert_eq!(loaded.settings.admin.unwrap().address.port(), 2);
}

#[test]
fn a_file_that_is_not_there_is_a_report() {
    let report = config::load(Path::new("no/such.toml"), &Overrides::default()).unwrap_err();
    assert!(
        report
            .to_string()
            .starts_with("error: no/such.toml cannot be read"),
        "{report}"
    );
}

#[test]
fn include_is_the_union_own_first_in_its_own_spelling() {
    let text = format!(
        r#"{OPEN}
        [[endpoint]]
        name = "all"
        path = "/ws/all"
        json = "python"
        include = ["both"]
        topics = ["all"]
        frames = {{ "b.x" = {{ own = "{{data}}" }} }}
        [[endpoint.actions]]
        when = {{ type = "ping" }}
        reply = {{ type = "pong" }}

        [[endpoint]]
        name = "a"
        path = "/ws/a"
        topics = ["all", "a_{{user.id}}"]
        lookup = {{ me = "/api/me/" }}
        frames = {{ a = {{ z = "{{data}}", b = 1 }} }}
        actions = [{{ when = {{ type = "ping" }}, reply = {{ type = "other" }} }}]

        [[endpoint]]
        name = "both"
        path = "/ws/both"
        include = ["a"]
        frames = {{ b_x = "{{data}}", c = {{ name = "{{me.name}}" }} }}
        "#
    );
    let endpoints = settings(&text).endpoints;
    let all = &endpoints[0];
    let topics: Vec<_> = all.topics.iter().map(|topic| topic.source()).collect();
    assert_eq!(topics, ["all", "a_{user.id}"]);
    assert_eq!(all.frames.kinds(), ["a", "b_x", "c"]);
    assert_eq!(frame(all, "b_x"), r#"{"own": {"b": 1, "a": [2]}}"#);
    assert_eq!(frame(all, "a"), r#"{"z": {"b": 1, "a": [2]}, "b": 1}"#);
    assert_eq!(frame(&endpoints[1], "a"), r#"{"z":{"b":1,"a":[2]},"b":1}"#);
    assert_eq!(all.lookups.len(), 1);
    let ping = all
        .actions
        .iter()
        .find(|one| one.fits(&serde_json::json!({"type": "ping"})));
    let [Step::Reply(Reply::Json(reply))] = &ping.unwrap().steps[..] else {
        panic!("{ping:?}");
    };
    assert_eq!(reply.render(&Scope::default()), r#"{"type": "pong"}"#);
}

#[test]
fn an_own_frame_settles_what_two_includes_disagree_about() {
    let endpoint = |name: &str, more: &str| {
        format!("[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\n{more}\n")
    };
    let a = endpoint("a", "frames = { x = { a = 1 } }");
    let b = endpoint("b", "frames = { x = { b = 1 } }");
    let c = endpoint("c", "include = [\"a\", \"b\"]");
    let found = messages(&format!("{OPEN}{a}{b}{c}"));
    assert_eq!(found, ["`a` and `b` have different frames for `x`"]);
    let c = endpoint("c", "include = [\"a\", \"b\"]\nframes = { x = \"{data}\" }");
    let endpoints = settings(&format!("{OPEN}{a}{b}{c}")).endpoints;
    assert_eq!(frame(&endpoints[2], "x"), r#"{"b":1,"a":[2]}"#);
}

#[test]
fn the_same_text_gives_equal_endpoints() {
    let (a, b) = (settings(EXAMPLE), settings(EXAMPLE));
    assert_eq!(a.endpoints, b.endpoints);
    let changed = settings(&EXAMPLE.replace("percent = 25", "percent = 26"));
    let differs = a
        .endpoints
        .iter()
        .zip(&changed.endpoints)
        .filter(|(a, b)| a != b);
    let names: Vec<_> = differs.map(|(a, _)| &*a.name).collect();
    assert_eq!(names, ["notifications"]);
}

#[test]
fn only_listeners_feed_and_log_need_a_restart() {
    let old = settings(EXAMPLE);
    assert!(config::needs_restart(&old, &settings(EXAMPLE)).is_empty());
    let live = "[[endpoint]]\nname = \"x\"\npath = \"/x\"\nanonymous = true\n[app]\nkeep_alive = \"1s\"\n\
                [stop]\nspread = \"1s\"\n[listen.limits]\nmax_headers = 9";
    assert!(config::needs_restart(&settings(""), &settings(live)).is_empty());
    let text = "listen.address = \"127.0.0.1:81\"\nadmin.enabled = false\nlog.format = \"json\"\n\
                log.level = \"debug\"\nlog.access = false\nfeed.memory.keep = \"1s\"\n\
                feed.memory.max_events = 1\nfeed.memory.max_bytes = 1";
    let keys = config::needs_restart(&settings(""), &settings(text));
    let expected = [
        "listen.address",
        "admin.address",
        "log.format",
        "log.level",
        "log.access",
        "feed.memory.keep",
        "feed.memory.max_events",
        "feed.memory.max_bytes",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn files_are_found_from_the_folder_of_the_config() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "a long enough secret\n").unwrap();
    let text = "[source.webhook]\nsecret_file = \"key\"";
    let path = folder.path().join("outrigger.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&path, &Overrides::default()).unwrap();
    let secrets = loaded.settings.webhook.unwrap().secrets;
    assert_eq!(secrets[0].expose(), "a long enough secret");
}

#[test]
fn a_problem_has_a_line_and_a_column() {
    let report = parse("x", "# é\n[listen]\nadress = \"x\"").unwrap_err();
    let problem = &report.problems()[0];
    assert_eq!(report.place(problem), Some((3, 1)));
    assert_eq!(report.problems().len(), 1);
}

#[test]
fn the_examples_of_the_docs_have_no_unknown_keys() {
    let docs = include_str!("../docs/configuration.md");
    let blocks: Vec<_> = docs.split("```toml\n").skip(1).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let Err(report) = parse("docs", text) else {
            continue;
        };
        for problem in report.problems() {
            let mut wrong = ["unknown", "expected"].iter();
            let wrong = wrong.any(|start| problem.message.starts_with(start));
            assert!(!wrong, "{report}");
        }
    }
}

#[test]
fn an_app_at_our_own_address_is_an_error() {
    let with = |listen: &str, app: &str| {
        let text = format!("listen.address = \"{listen}\"\napp.address = \"{app}\"");
        parse("x", &text).map_err(|report| report.to_string())
    };
    for (listen, app) in [
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("127.0.0.1:80", "http://localhost"),
        ("0.0.0.0:81", "http://127.0.0.1:81"),
        ("[::1]:81", "http://[::1]:81"),
    ] {
        let said = with(listen, app).unwrap_err();
        assert!(said.contains("cannot share an address"), "{said}");
    }
    for (listen, app) in [
        ("127.0.0.1:80", "http://127.0.0.1:81"),
        ("127.0.0.1:80", "http://127.0.0.2"),
        ("0.0.0.0:81", "http://app:81"),
        ("0.0.0.0:81", "unix:/run/app.sock"),
    ] {
        with(listen, app).unwrap();
    }
}

#[test]
fn an_endpoint_that_no_event_reaches_is_warned_of() {
    let endpoint = "[[endpoint]]\nname = \"a\"\npath = \"/a\"\ntopics = [\"a\"]\nframes = { x = \"{data}\" }\n";
    let warnings = |more: &str| {
        let loaded = parse("x", &format!("{OPEN}{endpoint}{more}")).unwrap();
        let problems = loaded.warnings.problems().iter();
        problems
            .map(|problem| problem.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(warnings(""), ["no events reach `a`"]);
    for fed in [
        "rollout = \"off\"",
        "actions = [{ publish = { type = \"x\", topics = [\"a\"] } }]",
        "[source.webhook]\nsecret_env = \"S\"",
    ] {
        assert!(warnings(fed).is_empty(), "{fed}");
    }
}
