//! What is done for clients: after their messages, when they come, while they are
//! there, and once they have gone.

mod actions;
mod coming;
mod going;
mod keys;

use crate::harness::{App, Stage, answer, ok, until};

/// An endpoint with more lines of its own.
fn endpoint(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"chat\"\npath = \"/ws/chat/\"\ntopics = [\"chat\"]\n\
         frames = {{ \"*\" = \"{{data}}\" }}\n{more}\n"
    )
}

/// An app that says no under `/no/<status>` and else echoes the path as `{"path": ...}`.
async fn app() -> App {
    App::answering(|request| {
        let target = request.target();
        match target.strip_prefix("/no/").and_then(|no| no.parse().ok()) {
            Some(status) => answer(status, r#"{"detail": "no"}"#),
            None => ok(&serde_json::json!({ "path": target, "id": 7 }).to_string()),
        }
    })
    .await
}

/// The app's own paths that were called, in order.
fn called(stage: &Stage) -> Vec<String> {
    let seen = stage.app.seen();
    seen.iter().map(|one| one.target().to_owned()).collect()
}

/// Waits until these calls have come, and no others.
async fn calls(stage: &Stage, expected: &[&str]) {
    let all = || async { called(stage).len() >= expected.len() };
    until(&format!("{expected:?}"), all).await;
    assert_eq!(called(stage), expected);
}
