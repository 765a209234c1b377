//! The configs under `examples/` load without a word, and each of the wire
//! formats under `examples/formats/` comes out to the byte.

use std::path::{Path, PathBuf};

use outrigger::config::{self, Overrides};
use serde_json::{Value, json};

use crate::harness::{App, Outrigger, Socket, jwt, post_event};

const SECRET: &str = "a-secret-of-the-tests-0123456789abcdef";

/// An event, and the frame that it becomes on an endpoint.
struct Format {
    file: &'static str,
    endpoint: &'static str,
    event: Value,
    frame: &'static str,
}

#[test]
fn every_example_config_loads() {
    let mut files = vec![];
    for folder in [
        "examples/formats",
        "examples/django-channels",
        "examples/fastapi",
    ] {
        files.extend(toml_files(folder));
    }
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let environment = |_: &str| Some(SECRET.to_owned());
        match config::parse(&text, &file, &Overrides::default(), &environment) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(report) => panic!("{report}"),
        }
    }
}

#[test]
fn every_example_is_listed_here() {
    let tried: Vec<_> = formats().into_iter().map(|format| format.file).collect();
    for file in toml_files("examples/formats") {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(tried.contains(&name.as_str()), "{name} is not tried");
    }
}

#[tokio::test]
async fn every_format_comes_out_to_the_byte() {
    let app = App::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()).await;
    for file in toml_files("examples/formats") {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let outrigger = start(&file, &app).await;
        let formats = formats().into_iter().filter(|format| format.file == name);
        for (index, format) in formats.enumerate() {
            let token = jwt(
                SECRET,
                &json!({
                    "user_id": 42, "type": "access", "token_type": "access", "jti": "j",
                }),
            );
            let target = format!("{}?token={token}", format.endpoint);
            let mut socket = Socket::open(outrigger.addr(), &target).await;
            let id = format!("{name}-{index}");
            let answer = post_event(outrigger.addr(), SECRET, &id, &format.event).await;
            assert_eq!(answer.status(), 202, "{name}: {}", answer.text());
            assert_eq!(
                socket.text().await,
                format.frame,
                "{name} {}",
                format.endpoint
            );
            socket.close().await;
        }
    }
}

async fn start(file: &Path, app: &App) -> Outrigger {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("http://127.0.0.1:8000"), "{}", file.display());
    let text = text.replace("http://127.0.0.1:8000", &app.address());
    let names = [
        "DJANGO_SECRET_KEY",
        "JWT_SECRET",
        "OUTRIGGER_WEBHOOK_SECRET",
    ];
    Outrigger::start_with(&text, &names.map(|name| (name, SECRET)), &[]).await
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .read_dir()
        .unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "toml"))
        .collect()
}

/// The formats of the legacy endpoints, one or more for each.
#[allow(clippy::too_many_lines, reason = "a table")]
fn formats() -> Vec<Format> {
    let from = json!({ "id": 7, "username": "zoë" });
    vec![
        format(
            ("notifications", "/ws/notifications/"),
            "notification_message",
            "notifications_42",
            json!({ "notification": { "id": 7, "title": "Grüße 🚣", "score": 1.0 } }),
            r#"{"type": "notification", "notification": {"id": 7, "title": "Gr\u00fc\u00dfe \ud83d\udea3", "score": 1.0}}"#,
        ),
        format(
            ("friend-requests", "/ws/friend-requests/"),
            "friend_request_update",
            "friend_requests_42",
            json!({ "action": "created", "friend_request": { "id": 1 }, "count": { "received": 1 } }),
            r#"{"type": "friend_request_update", "action": "created", "friend_request": {"id": 1}, "count": {"received": 1}}"#,
        ),
        format(
            ("realtime", "/ws/realtime/"),
            "notification.message",
            "notifications_42",
            json!({ "notification": null }),
            r#"{"type": "notification", "notification": null}"#,
        ),
        format(
            ("realtime", "/ws/realtime/"),
            "friend_request_update",
            "friend_requests_42",
            json!({ "action": "accepted", "friend_request": {}, "count": {} }),
            r#"{"type": "friend_request_update", "action": "accepted", "friend_request": {}, "count": {}}"#,
        ),
        format(
            ("realtime", "/ws/realtime/"),
            "presence_update",
            "presence_42",
            json!({ "user_id": 7, "online": true }),
            r#"{"type": "presence", "user_id": 7, "online": true}"#,
        ),
        format(
            ("social-notifications", "/ws/notifications/"),
            "friend_request",
            "user_42",
            json!({ "from_user": from }),
            r#"{"type": "friend_request", "from_user": {"id": 7, "username": "zo\u00eb"}}"#,
        ),
        format(
            ("social-notifications", "/ws/notifications/"),
            "friend_accepted",
            "user_42",
            json!({ "from_user": from }),
            r#"{"type": "friend_accepted", "from_user": {"id": 7, "username": "zo\u00eb"}}"#,
        ),
        format(
            ("social-notifications", "/ws/notifications/"),
            "new_message",
            "user_42",
            json!({ "from_user": from, "message": { "id": 1, "content": "hi" } }),
            r#"{"type": "new_message", "from_user": {"id": 7, "username": "zo\u00eb"}, "message": {"id": 1, "content": "hi"}}"#,
        ),
        format(
            ("inbox", "/ws/inbox/"),
            "inbox_message",
            "inbox_42",
            json!({
                "type": "TEXT", "message": "Hello", "conversation_id": 123, "sender_id": 456,
                "sender_name": "John Doe", "sender_avatar": "https://example.org/a.png",
                "created_at": "2025-01-15T10:30:00Z", "message_id": 789,
            }),
            r#"{"type": "TEXT", "message": "Hello", "conversation_id": 123, "sender_id": 456, "sender_name": "John Doe", "sender_avatar": "https://example.org/a.png", "created_at": "2025-01-15T10:30:00Z", "message_id": 789}"#,
        ),
    ]
}

#[allow(clippy::needless_pass_by_value, reason = "a row of a table")]
fn format(
    (file, endpoint): (&'static str, &'static str),
    kind: &str,
    topic: &str,
    data: Value,
    frame: &'static str,
) -> Format {
    let event = json!({ "type": kind, "topics": [topic], "data": data });
    Format {
        file,
        endpoint,
        event,
        frame,
    }
}
