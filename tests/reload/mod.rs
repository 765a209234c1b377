//! The routing changes while it is in use.

mod load;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{App, Outrigger, Stage, ok, until};

const NEWS: &str = r#"
[[endpoint]]
name = "news"
path = "/ws/news"
topics = ["news"]
frames = { news = { n = "{data.n}" } }
"#;
const CHAT: &str = r#"
[[endpoint]]
name = "chat"
path = "/ws/chat/{room}"
topics = ["chat_{room}"]
frames = { said = { n = "{data.n}" } }
"#;
const QUICK_STOP: &str = "[stop]\nnotice = \"0s\"\nspread = \"300ms\"\ndeadline = \"5s\"\n[log]\nlevel = \"info,outrigger::session=debug\"\n";

async fn stage(endpoints: &str) -> Stage {
    Stage::with(App::answering(|_| ok("{}")).await, QUICK_STOP, endpoints).await
}

async fn routes(outrigger: &Outrigger) -> Value {
    let (status, text) = outrigger.admin("/routes").await;
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

/// Waits until a table of this number is in force.
async fn generation(outrigger: &Outrigger, wanted: u64) {
    until(&format!("generation {wanted}"), || async {
        routes(outrigger).await["generation"] == wanted
    })
    .await;
}

/// The file was refused for this reason, and the table of before is in force.
async fn keeps_its_table(outrigger: &Outrigger, reason: &str) {
    outrigger
        .metric_becomes("outrigger_config_stale", 1.0)
        .await;
    let said = routes(outrigger).await;
    let refused = said["refused"].as_str().unwrap();
    assert!(refused.contains(reason), "{said}");
    assert_eq!(said["endpoints"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_removed_endpoint_sends_its_sessions_home_spread_over_time() {
    let stage = stage(&format!("{NEWS}{CHAT}")).await;
    let mut stays = stage.open("/ws/news", 1).await;
    let mut leave = Vec::new();
    for user in 0..20 {
        leave.push(stage.open("/ws/chat/1", user).await);
    }
    let changed = Instant::now();
    stage.outrigger.rewrite(&stage.config(NEWS));
    let mut moments = Vec::new();
    for socket in &mut leave {
        assert_eq!(socket.closed().await.code, 1012);
        moments.push(changed.elapsed());
    }
    // The clients are asked one after the other, so the last one read is the last
    // that left so far: the moments climb, and in more than one step.
    moments.dedup_by_key(|moment| moment.as_millis() / 20);
    assert!(moments.len() > 1, "all at once: {moments:?}");
    let closed = "outrigger_sessions_closed_total{endpoint=\"chat\",reason=\"moved\"}";
    stage.outrigger.metric_becomes(closed, 20.0).await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(stays.json().await["n"], 1);
    assert_eq!(
        stage
            .connect("/ws/chat/1", &[])
            .await
            .err()
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_so_until_it_is_mended() {
    let stage = stage(NEWS).await;
    let mut socket = stage.open("/ws/news", 1).await;
    stage
        .outrigger
        .rewrite(&stage.config("[[endpoint]]\nname = \"news\"\npath = 7\n"));
    stage
        .outrigger
        .metric_becomes("outrigger_config_stale", 1.0)
        .await;
    let said = routes(&stage.outrigger).await;
    assert_eq!(said["generation"], 1);
    assert_eq!(said["file_is_in_force"], false);
    let report = said["refused"].as_str().unwrap().to_owned();
    assert!(
        report.contains("path = 7") && report.contains('^'),
        "{report}"
    );
    let logged = stage.outrigger.logs().find("the report", |entry| {
        entry["fields"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("path = 7"))
    });
    assert!(logged.await.is_some());
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(socket.json().await["n"], 1);
    stage.outrigger.rewrite(&stage.config(NEWS));
    stage
        .outrigger
        .metric_becomes("outrigger_config_stale", 0.0)
        .await;
    let said = routes(&stage.outrigger).await;
    assert_eq!(
        (&said["refused"], &said["file_is_in_force"]),
        (&Value::Null, &json!(true))
    );
    stage.tell("news", "news", &json!({"n": 2})).await;
    assert_eq!(socket.json().await["n"], 2);
    let refused = "outrigger_reloads_total{result=\"refused\"}";
    assert_eq!(stage.outrigger.metric(refused).await, 1.0);
}

#[tokio::test]
async fn sighup_reads_the_file_again_and_survives_its_absence() {
    let stage = stage(NEWS).await;
    stage.outrigger.signal("HUP").await;
    generation(&stage.outrigger, 2).await;
    let path = stage.outrigger.config_path();
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    stage.outrigger.signal("HUP").await;
    keeps_its_table(&stage.outrigger, "cannot be read").await;
    std::fs::rename(&aside, &path).unwrap();
    stage
        .outrigger
        .metric_becomes("outrigger_config_stale", 0.0)
        .await;
}

#[tokio::test]
async fn an_emptied_file_is_a_mishap_and_not_a_plain_proxy() {
    let stage = stage(NEWS).await;
    let mut socket = stage.open("/ws/news", 1).await;
    std::fs::write(stage.outrigger.config_path(), "").unwrap();
    keeps_its_table(&stage.outrigger, "empty").await;
    stage.tell("news", "news", &json!({"n": 1})).await;
    assert_eq!(socket.json().await["n"], 1);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_all_else_is_in_force() {
    let stage = stage(NEWS).await;
    let changed = format!("[feed.memory]\nmax_events = 7\n{CHAT}");
    stage.outrigger.rewrite(&stage.config(&changed));
    generation(&stage.outrigger, 2).await;
    let said = routes(&stage.outrigger).await;
    assert_eq!(said["needs_restart"], json!(["feed.memory.max_events"]));
    assert_eq!(said["file_is_in_force"], false);
    assert_eq!(said["endpoints"][0]["name"], "chat");
    let line = stage.outrigger.logs();
    let line = line
        .message("This change needs a restart; all others are in force")
        .await;
    assert_eq!(line["fields"]["key"], "feed.memory.max_events");
}

/// Each round puts events around the swap: before the file is written, while it is
/// taken up, and once it is in force.
#[tokio::test]
async fn a_session_follows_its_endpoint_without_a_gap() {
    let endpoint = |n: u64| {
        let topic = if n.is_multiple_of(2) { "even" } else { "odd" };
        format!(
            "[[endpoint]]\nname = \"news\"\npath = \"/ws/news\"\ntopics = [\"{topic}\"]\n\
             frames = {{ news = {{ n = \"{{data.n}}\", v = {n} }} }}\n"
        )
    };
    let stage = stage(&endpoint(0)).await;
    let mut socket = stage.open("/ws/news", 1).await;
    let mut n = 0;
    let mut tell = async || {
        let event = json!({"type": "news", "topics": ["odd", "even"], "data": {"n": n}});
        stage.publish(&event).await;
        n += 1;
    };
    for round in 1..=20_u64 {
        tell().await;
        stage.outrigger.rewrite(&stage.config(&endpoint(round)));
        while routes(&stage.outrigger).await["generation"] != round + 1 {
            tell().await;
        }
        let event = json!({"type": "news", "topics": [if round.is_multiple_of(2) { "even" } else { "odd" }], "data": {"n": "only"}});
        stage.publish(&event).await;
    }
    let (mut next, mut only, mut version) = (0, 0, 0);
    while only < 20 {
        let frame = socket.json().await;
        assert!(
            frame["v"].as_u64() >= Some(version),
            "{frame} after {version}"
        );
        version = frame["v"].as_u64().unwrap();
        match frame["n"].as_u64() {
            Some(n) => {
                assert_eq!(n, next, "{frame}");
                next += 1;
            }
            None => only += 1,
        }
    }
    assert_eq!(next, n);
}

#[tokio::test]
async fn who_may_come_in_is_asked_anew_when_the_door_has_changed() {
    let stage = stage(CHAT).await;
    let mut socket = stage.open("/ws/chat/1", 1).await;
    let own = CHAT.replace("topics", "permit = { own = \"room\" }\ntopics");
    stage.outrigger.rewrite(&stage.config(&own));
    assert_eq!(socket.closed().await.code, 1012);
    assert_eq!(
        stage
            .refused(&crate::harness::as_user("/ws/chat/1", 2), &[])
            .await,
        403
    );
    stage.open("/ws/chat/1", 1).await;
}
