//! What operators see and do: the second port, the log, stopping, TLS.

mod stopping;
mod tls;

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::{App, HOOK_SECRET, Stage, TOKEN_SECRET, jwt, ok, post_event, token, token_of};

const ENDPOINTS: &str = r#"
[[endpoint]]
name = "news"
path = "/ws/news"
topics = ["news"]
frames = { news = "{data}" }
[[endpoint.actions]]
when = { do = "call" }
call = { path = "/api/call/", reply_text = "called" }
"#;

#[tokio::test]
async fn the_second_port_shows_how_things_are() {
    let stage = Stage::new(ENDPOINTS).await;
    let outrigger = &stage.outrigger;
    let _socket = stage.open("/ws/news", 42).await;
    assert_eq!(outrigger.admin("/live").await, (200, "live\n".into()));
    assert_eq!(outrigger.admin("/ready").await, (200, "running\n".into()));
    assert_eq!(outrigger.admin("/nowhere").await.0, 404);
    let (_, routes) = outrigger.admin("/routes").await;
    let routes: Value = serde_json::from_str(&routes).unwrap();
    assert_eq!(routes["generation"], 1);
    assert_eq!(routes["file_is_in_force"], true);
    let endpoint = json!({
        "name": "news", "path": "/ws/news", "topics": ["news"], "topics_from": [], "frames": ["news"],
        "actions": 1, "on_connect": 0, "on_disconnect": 0, "every": 0, "presence": null,
        "rollout": {"percent": 100.0, "always": [], "never": []},
    });
    assert_eq!(routes["endpoints"], json!([endpoint]));
    let (_, sessions) = outrigger.admin("/sessions").await;
    let sessions: Value = serde_json::from_str(&sessions).unwrap();
    assert_eq!(
        (&sessions["open"], &sessions["shown"][0]["user"]),
        (&json!(1), &json!("42"))
    );
    let shown = &sessions["shown"][0];
    assert_eq!(
        (&shown["endpoint"], &shown["leg"], &shown["form"]),
        (&json!("news"), &json!("feed"), &json!("frames"))
    );
    assert!(!routes.to_string().contains(TOKEN_SECRET));
}

/// OpenMetrics, section by section.
#[tokio::test]
async fn every_metric_is_explained_and_can_be_read() {
    let stage = Stage::new(ENDPOINTS).await;
    let mut socket = stage.open("/ws/news", 1).await;
    stage.tell("news", "news", &json!(1)).await;
    socket.text().await;
    stage.outrigger.connect().await.get("/").await;
    // A frame is counted when it has been written, which its reader may outrun.
    stage
        .outrigger
        .metric_becomes("outrigger_frames_sent_total", 1.0)
        .await;
    let (status, text) = stage.outrigger.admin("/metrics").await;
    assert_eq!(status, 200);
    let (mut helped, mut typed, mut sampled) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut lines = text.lines();
    assert_eq!(lines.next_back(), Some("# EOF"));
    for line in lines {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(help.len() > 8 && helped.insert(name), "{line}");
            }
            ["#", "TYPE", name, kind] => {
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                typed.insert(name);
            }
            _ => {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let name = series.split('{').next().unwrap();
                let ends = ["_total", "_bucket", "_sum", "_count"];
                let family = ends.iter().find_map(|end| name.strip_suffix(end));
                let family = family
                    .filter(|family| typed.contains(family))
                    .unwrap_or(name);
                sampled.insert(family);
            }
        }
    }
    assert_eq!(helped, typed);
    assert!(sampled.is_subset(&helped), "{sampled:?} {helped:?}");
    assert!(helped.iter().all(|name| name.starts_with("outrigger_")));
    for name in [
        "sessions",
        "frames_sent",
        "events",
        "requests",
        "response_seconds",
    ] {
        assert!(sampled.contains(&*format!("outrigger_{name}")), "{name}");
    }
}

#[tokio::test]
async fn request_ids_are_kept_or_made_and_logged_without_the_query() {
    let stage = Stage::new("").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = format!(
        "GET /a?secret=1 HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine-7\r\ntraceparent: {trace}\r\n\r\n"
    );
    let mut client = stage.outrigger.connect().await;
    client.exchange(request).await;
    client.get("/b?secret=2").await;
    let seen = stage.app.seen();
    assert_eq!(seen[0].header("x-request-id").as_deref(), Some("mine-7"));
    assert_eq!(seen[0].header("traceparent").as_deref(), Some(trace));
    let made = seen[1].header("x-request-id").unwrap();
    assert!(made.len() >= 16 && seen[1].header("traceparent").is_none());
    for (path, id) in [("/a", "mine-7"), ("/b", &*made)] {
        let line = stage.outrigger.logs().find(path, |entry| {
            entry["fields"]["message"] == "Request" && entry["fields"]["path"] == path
        });
        let line = line.await.unwrap();
        assert!(
            line["fields"]["request_id"].as_str().unwrap().contains(id),
            "{line}"
        );
        assert_eq!(
            (&line["fields"]["method"], &line["fields"]["status"]),
            (&json!("GET"), &json!(200))
        );
        assert!(!line.to_string().contains("secret"), "{line}");
    }
}

/// Shows tokens in every place, and gives all that is secret about them.
async fn show_credentials(stage: &Stage) -> Vec<String> {
    let bad = jwt("another-secret", &json!({"user_id": 9}));
    let expired = token_of(&json!({"user_id": 8, "exp": 1}));
    let mut secrets = vec![
        TOKEN_SECRET.to_owned(),
        HOOK_SECRET.to_owned(),
        "opaque-cookie".into(),
    ];
    for token in [token(7), bad, expired, "not-even-a-token".into()] {
        let cookie = format!("sessionid=opaque-cookie; session={token}");
        let (bearer, protocol) = (format!("Bearer {token}"), format!("bearer, {token}"));
        for (target, headers) in [
            (format!("/ws/news?token={token}"), ("X-None", "")),
            ("/ws/news".into(), ("Cookie", &*cookie)),
            ("/ws/news".into(), ("Authorization", &*bearer)),
            ("/ws/news".into(), ("Sec-WebSocket-Protocol", &*protocol)),
        ] {
            if let Ok(mut socket) = stage.connect(&target, &[headers]).await {
                socket.send(r#"{"do": "call"}"#).await;
                assert_eq!(socket.text().await, "called");
                socket.close().await;
            }
            let (name, value) = headers;
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n\r\n");
            stage.outrigger.connect().await.exchange(request).await;
            let request = format!("GET /outrigger/flags?token={token} HTTP/1.1\r\nHost: x\r\n\r\n");
            stage.outrigger.connect().await.exchange(request).await;
        }
        secrets.extend(
            token
                .split('.')
                .filter(|part| part.len() > 10)
                .skip(1)
                .map(Into::into),
        );
        secrets.push(token);
    }
    secrets
}

/// A run that uses every kind of credential, well and badly, at the most talkative
/// level there is.
#[tokio::test]
async fn no_secret_is_ever_logged() {
    let app = App::answering(|_| ok("{}")).await;
    let tables =
        "[stop]\nnotice = \"0s\"\nspread = \"0s\"\ndeadline = \"5s\"\n[log]\nlevel = \"trace\"\n";
    let mut stage = Stage::with(app, tables, ENDPOINTS).await;
    let mut secrets = show_credentials(&stage).await;
    let addr = stage.outrigger.addr();
    let event = json!({"type": "news", "topics": ["news"], "data": "the-payload-itself"});
    assert_eq!(
        post_event(addr, HOOK_SECRET, "m1", &event).await.status(),
        202
    );
    assert_eq!(
        post_event(addr, "a-wrong-secret-of-a-good-length-too", "m2", &event)
            .await
            .status(),
        401
    );
    secrets.push("the-payload-itself".into());
    let broken = format!("auth.jwt.secret = 7\n{}", stage.config(ENDPOINTS));
    stage.outrigger.rewrite(&broken);
    stage
        .outrigger
        .metric_becomes("outrigger_config_stale", 1.0)
        .await;
    stage.outrigger.signal("TERM").await;
    assert!(stage.outrigger.exit().await.success());
    let lines = stage.outrigger.logs().lines();
    assert!(lines.len() > 100, "{} lines", lines.len());
    for line in &lines {
        let found = secrets.iter().find(|secret| line.contains(&***secret));
        assert!(found.is_none(), "{found:?} in {line}");
    }
    assert!(lines.iter().any(|line| line.contains("Session refused")));
    let entries = stage.outrigger.logs().entries();
    let said = |what: &str| {
        let fields = entries.iter().map(|entry| entry["fields"].clone());
        let fits = fields.filter(|fields| fields["message"] == what);
        fits.collect::<Vec<_>>()
    };
    for refused in said("Session refused") {
        assert_ne!(refused["detail"], "", "{refused}");
    }
    let ready = &said("Ready")[0];
    assert_eq!(ready["endpoints"], 1);
    assert!(ready["app"].as_str().unwrap().starts_with("http://"));
    let config = ready["config"].as_str().unwrap();
    assert!(config.ends_with("outrigger.toml"), "{config}");
}
