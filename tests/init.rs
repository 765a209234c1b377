//! `outrigger init`: the real binary on real projects, and what it wrote through
//! `outrigger check`.

use std::{fs, path::Path, process::Stdio};

use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, within};

async fn outrigger(folder: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in [
        "DJANGO_SECRET_KEY",
        "JWT_SECRET",
        "OUTRIGGER_WEBHOOK_SECRET",
    ] {
        command.env(name, "a secret of the tests that is long enough");
    }
    let output = within("the end of a command", command.output()).await;
    output.unwrap().into()
}

fn absolute(path: &str) -> String {
    fs::canonicalize(path).unwrap().to_str().unwrap().to_owned()
}

/// The report and the config for a project, after `check` has seen it.
async fn written(project: &str) -> String {
    let folder = TempDir::new().unwrap();
    let done = outrigger(folder.path(), &["init", "--from", &absolute(project)]).await;
    assert_eq!(
        (done.code, done.err.as_str()),
        (0, ""),
        "{project}: {}",
        done.out
    );
    let checked = outrigger(folder.path(), &["check"]).await;
    assert_eq!(checked.code, 0, "{project}: {}", checked.err);
    let text = fs::read_to_string(folder.path().join("outrigger.toml")).unwrap();
    format!("{}\n=== outrigger.toml ===\n{text}", done.out)
}

#[tokio::test]
async fn the_django_example_is_read() {
    insta::assert_snapshot!("init_django", written("examples/django-channels").await);
}

#[tokio::test]
async fn the_fastapi_example_is_read() {
    insta::assert_snapshot!("init_fastapi", written("examples/fastapi").await);
}

#[tokio::test]
async fn a_project_with_all_kinds_of_code_is_read_and_no_secret_is_copied() {
    let text = written("tests/fixtures/init/chat").await;
    assert!(!text.contains("never-to-be-copied"), "{text}");
    insta::assert_snapshot!("init_chat", text);
}

#[tokio::test]
async fn routers_of_fastapi_are_followed() {
    insta::assert_snapshot!("init_feed", written("tests/fixtures/init/feed").await);
}

#[tokio::test]
async fn a_file_that_is_there_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("outrigger.toml");
    fs::write(&file, "mine").unwrap();
    let args = ["init", "--kind", "django", "--yes"];
    let done = outrigger(folder.path(), &args).await;
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(
        done.err
            .starts_with("error: outrigger.toml is there already\nhelp: "),
        "{}",
        done.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let done = outrigger(folder.path(), &[&args[..], &["--stdout"]].concat()).await;
    assert_eq!(done.code, 0);
    assert!(
        done.out.contains("[[endpoint]]") && done.err.contains("Next:"),
        "{}",
        done.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let done = outrigger(folder.path(), &[&args[..], &["--force"]].concat()).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(fs::read_to_string(&file).unwrap().contains("[[endpoint]]"));
}

#[tokio::test]
async fn a_config_of_each_kind_comes_without_a_project() {
    for kind in ["django", "fastapi"] {
        for rest in [
            &["--yes"][..],
            &["--auth", "app", "--events", "none"],
            &["--secret-env", "JWT_SECRET"],
        ] {
            let folder = TempDir::new().unwrap();
            let args = [&["init", "--kind", kind], rest].concat();
            let done = outrigger(folder.path(), &args).await;
            assert_eq!(done.code, 0, "{args:?}: {}", done.err);
            let checked = outrigger(folder.path(), &["check"]).await;
            assert_eq!(checked.code, 0, "{args:?}: {}", checked.err);
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["init"],
            1,
            "nobody can be asked which kind of app this is",
        ),
        (&["init", "--from", "none"], 1, "none cannot be read"),
        (
            &["init", "--from", "."],
            1,
            "no WebSocket path was found in .",
        ),
        (&["init", "--kind", "flask"], 2, "invalid value 'flask'"),
        (
            &["init", "--kind", "django", "--secret-env", "a secret"],
            2,
            "never the secret",
        ),
    ];
    for (args, code, text) in cases {
        let done = outrigger(path, args).await;
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{args:?}");
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

#[tokio::test]
async fn files_that_are_no_python_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("project");
    fs::create_dir(&project).unwrap();
    let routing = "from django.urls import path\nfrom consumers import C\n\
        websocket_urlpatterns = [path('ws/a/', C.as_asgi())]\n";
    fs::write(project.join("routing.py"), routing).unwrap();
    let latin =
        b"# -*- coding: latin-1 -*-\nclass C(AsyncWebsocketConsumer):\n    name = '\xfc\xff'\n";
    fs::write(project.join("consumers.py"), latin).unwrap();
    fs::write(project.join("zeros.py"), b"websocket\0\0\x1b[31m").unwrap();
    fs::write(project.join("huge.py"), "websocket = 1\n".repeat(100_000)).unwrap();
    std::os::unix::fs::symlink(&project, project.join("circle")).unwrap();
    let done = outrigger(folder.path(), &["init", "--from", "project"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.contains("huge.py: it has more than 1048576 bytes"),
        "{}",
        done.out
    );
    assert!(!done.out.contains('\x1b'), "{}", done.out);
}
