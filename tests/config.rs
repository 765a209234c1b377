//! The config file, as whoever writes one meets it.

use std::path::Path;

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
        insta::assert_snapshot!(format!("config_{stem}"), report.to_string());
        reports += 1;
    }
    assert!(reports >= 20, "only {reports} bad files");
}
