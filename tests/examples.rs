//! The configs under `examples/` load without a word. What comes of them is seen in
//! `parity` and `checklists`.

use std::path::Path;

use outrigger::config::{self, Overrides};

#[test]
fn every_config_of_an_example_loads() {
    let mut count = 0;
    for app in ["django-channels", "fastapi"] {
        let folder = Path::new("examples").join(app).read_dir().unwrap();
        let files = folder.map(|file| file.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "toml")) {
            loads(&file);
            count += 1;
        }
    }
    assert!(count >= 5, "only {count}");
}

fn loads(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let environment = |_: &str| Some("a-secret-of-the-tests-0123456789abcdef".to_owned());
    match config::parse(&text, file, &Overrides::default(), &environment) {
        Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
        Err(report) => panic!("{report}"),
    }
}
