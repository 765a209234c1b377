//! Who is online, as clients and the app are told of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::harness::{App, Socket, Stage, answer, ok, until};

const STOP: &str = "[stop]\nnotice = \"0s\"\nspread = \"500ms\"\ndeadline = \"10s\"\n";

/// An endpoint that tells all who came and who went.
fn told(rules: &str, except: &str) -> String {
    endpoint("online", &format!("{rules}\n{}", published(except)))
}

fn endpoint(name: &str, presence: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"{name}\"\npath = \"/ws/{name}\"\ntopics = [\"online\"]\n\
         frames = {{ user_online = \"{{data}}\", user_offline = \"{{data}}\", probe = \"{{data}}\" }}\n\
         [endpoint.presence]\n{presence}\n"
    )
}

fn published(except: &str) -> String {
    let step = |kind: &str| {
        format!(
            "publish = {{ type = \"user_{kind}\", topics = [\"online\"], {except} \
             data = {{ type = \"user_{kind}\", user_id = \"{{user.id}}\" }} }}"
        )
    };
    format!(
        "[endpoint.presence.online]\n{}\n[endpoint.presence.offline]\n{}\n",
        step("online"),
        step("offline")
    )
}

/// The app is told of both, and nobody else.
const CALLS: &str = r#"
[endpoint.presence.online]
call = { path = "/api/online/{user.id}/" }
[endpoint.presence.offline]
call = { path = "/api/offline/{user.id}/" }
"#;
const OTHERS: &str = "except = \"user\",";

async fn counted(stage: &Stage, what: &str, times: u32) {
    let name = format!("outrigger_presence_total{{reason=\"{what}\"}}");
    stage
        .outrigger
        .metric_becomes(&name, f64::from(times))
        .await;
}

async fn online(stage: &Stage, count: u32) {
    let gauge = "outrigger_presence_online";
    stage
        .outrigger
        .metric_becomes(gauge, f64::from(count))
        .await;
}

/// Waits until all has been told: who comes in later does not hear of it.
async fn done(stage: &Stage, moment: &str, times: u32) {
    let name = format!("outrigger_moments_total{{moment=\"{moment}\",result=\"ok\"}}");
    let times = f64::from(times);
    stage.outrigger.metric_becomes(&name, times).await;
}

async fn open_sessions(stage: &Stage, count: u32) {
    let gauge = "outrigger_sessions";
    stage
        .outrigger
        .metric_becomes(gauge, f64::from(count))
        .await;
}

/// Leaves, whatever has not been read.
async fn leave(mut socket: Socket) {
    socket.send_frame(Frame::Close(None)).await;
    while socket.frame().await.is_some() {}
}

/// Nothing came before this.
async fn nothing_else(stage: &Stage, socket: &mut Socket) {
    stage.tell("online", "probe", &json!("probe")).await;
    assert_eq!(socket.text().await, "\"probe\"");
}

async fn hears(socket: &mut Socket, kind: &str, user: u64) {
    let expected = json!({ "type": format!("user_{kind}"), "user_id": user });
    assert_eq!(socket.json().await, expected);
}

async fn calls(stage: &Stage, count: usize) -> Vec<String> {
    let is = || async { stage.app.seen().len() >= count };
    until(&format!("{count} calls"), is).await;
    let seen = stage.app.seen();
    seen.iter().map(|call| call.target().to_owned()).collect()
}

#[tokio::test]
async fn two_tabs_are_one_online_and_one_offline_after_the_grace() {
    let stage = Stage::new(&told("grace = \"100ms\"", OTHERS)).await;
    let mut other = stage.open("/ws/online", 2).await;
    done(&stage, "online", 1).await;
    let first = stage.open("/ws/online", 1).await;
    hears(&mut other, "online", 1).await;
    let mut second = stage.open("/ws/online", 1).await;
    nothing_else(&stage, &mut other).await;
    leave(first).await;
    open_sessions(&stage, 2).await;
    nothing_else(&stage, &mut other).await;
    // Who comes is not told of itself, nor of who was here before.
    assert_eq!(second.text().await, "\"probe\"");
    assert_eq!(second.text().await, "\"probe\"");
    leave(second).await;
    hears(&mut other, "offline", 1).await;
    nothing_else(&stage, &mut other).await;
    for what in ["online", "offline"] {
        let users = if what == "online" { 2 } else { 1 };
        counted(&stage, what, users).await;
    }
    online(&stage, 1).await;
}

#[tokio::test]
async fn a_page_that_reloads_was_never_away() {
    let stage = Stage::new(&told("grace = \"1h\"", OTHERS)).await;
    let mut other = stage.open("/ws/online", 2).await;
    done(&stage, "online", 1).await;
    let page = stage.open("/ws/online", 1).await;
    hears(&mut other, "online", 1).await;
    leave(page).await;
    open_sessions(&stage, 1).await;
    let _page = stage.open("/ws/online", 1).await;
    counted(&stage, "back", 1).await;
    nothing_else(&stage, &mut other).await;
    online(&stage, 2).await;
}

#[tokio::test]
async fn each_socket_counts_by_itself_where_that_is_asked() {
    let stage = Stage::new(&told(
        "grace = \"0s\"\nper = \"socket\"",
        "except = \"self\",",
    ))
    .await;
    let mut first = stage.open("/ws/online", 1).await;
    done(&stage, "online", 1).await;
    let second = stage.open("/ws/online", 1).await;
    hears(&mut first, "online", 1).await;
    online(&stage, 2).await;
    leave(second).await;
    hears(&mut first, "offline", 1).await;
}

#[tokio::test]
async fn who_comes_hears_of_itself_unless_it_is_left_out() {
    let stage = Stage::new(&told("", "")).await;
    let mut socket = stage.open("/ws/online", 1).await;
    hears(&mut socket, "online", 1).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_leaving() {
    let stage = Stage::new(&told("grace = \"0s\"", OTHERS)).await;
    let mut other = stage.open("/ws/online", 2).await;
    done(&stage, "online", 1).await;
    let breaks = stage.open("/ws/online", 1).await;
    hears(&mut other, "online", 1).await;
    let stream = breaks.into_stream();
    let options = socket2::SockRef::from(&stream);
    options.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    hears(&mut other, "offline", 1).await;
}

#[tokio::test]
async fn the_app_is_told_in_order_however_slow_it_is() {
    let app = App::answering(|_| {
        std::thread::sleep(Duration::from_millis(30));
        ok("{}")
    });
    let presence = format!("grace = \"0s\"\n{CALLS}");
    let stage = Stage::with(app.await, "", &endpoint("online", &presence)).await;
    for _ in 0..10 {
        leave(stage.open("/ws/online", 7).await).await;
    }
    online(&stage, 0).await;
    let last = || async {
        let seen = stage.app.seen();
        seen.last()
            .is_some_and(|call| call.target() == "/api/offline/7/")
    };
    until("the last call to be an offline", last).await;
    let calls = calls(&stage, 2).await;
    let expected = ["/api/online/7/", "/api/offline/7/"].iter().cycle();
    assert!(calls.iter().eq(expected.take(calls.len())), "{calls:?}");
}

#[tokio::test]
async fn the_app_knows_who_came_by_the_clients_own_token() {
    let stage = Stage::new(&endpoint("online", &format!("grace = \"0s\"\n{CALLS}"))).await;
    let socket = stage.open("/ws/online", 7).await;
    calls(&stage, 1).await;
    leave(socket).await;
    calls(&stage, 2).await;
    let bearer = format!("Bearer {}", crate::harness::token(7));
    for call in stage.app.seen() {
        assert_eq!(
            call.header("authorization"),
            Some(bearer.clone()),
            "{}",
            call.line
        );
    }
}

#[tokio::test]
async fn a_call_that_fails_ends_its_list_and_is_counted() {
    let app = App::answering(|_| answer(500, "{}")).await;
    let presence = "[endpoint.presence.online]\ncall = { path = \"/api/online/\" }\n\
                    publish = { type = \"user_online\", topics = [\"online\"], data = 1 }\n";
    let stage = Stage::with(app, "", &endpoint("online", presence)).await;
    let mut socket = stage.open("/ws/online", 7).await;
    let name = "outrigger_moments_total{moment=\"online\",result=\"refused\"}";
    stage.outrigger.metric_becomes(name, 1.0).await;
    nothing_else(&stage, &mut socket).await;
    online(&stage, 1).await;
}

const LISTED: &str = r#"
[[endpoint]]
name = "lobby"
path = "/ws/lobby"
topics = ["lobby"]
frames = { "*" = "{data}" }
welcome = { type = "welcome", users = "{online}", count = "{online.count}" }
presence = { grace = "0s" }
[[endpoint.actions]]
when = { action = "get_online" }
reply = { type = "online_users", users = "{online}" }
"#;

#[tokio::test]
async fn the_welcome_lists_who_is_online_and_an_action_asks_again() {
    let stage = Stage::new(LISTED).await;
    let mut first = stage.open("/ws/lobby", 9).await;
    let welcome = r#"{"type":"welcome","users":[9],"count":1}"#;
    assert_eq!(first.text().await, welcome);
    let mut second = stage.open("/ws/lobby", 4).await;
    let welcome = r#"{"type":"welcome","users":[9,4],"count":2}"#;
    assert_eq!(second.text().await, welcome);
    leave(second).await;
    online(&stage, 1).await;
    first.send(r#"{"action": "get_online"}"#).await;
    assert_eq!(first.text().await, r#"{"type":"online_users","users":[9]}"#);
}

#[tokio::test]
async fn endpoints_with_one_key_count_together_and_a_unified_one_counts_as_its_parts() {
    let calls_online =
        "key = \"all\"\n[endpoint.presence.online]\ncall = { path = \"/api/online/\" }\n";
    let both = [
        endpoint("chat", calls_online),
        endpoint("news", calls_online),
    ]
    .concat();
    let unified =
        "[[endpoint]]\nname = \"unified\"\npath = \"/ws/unified\"\ninclude = [\"chat\"]\n";
    let stage = Stage::new(&format!("{both}{unified}")).await;
    let _chat = stage.open("/ws/chat", 1).await;
    calls(&stage, 1).await;
    let _news = stage.open("/ws/news", 1).await;
    let _unified = stage.open("/ws/unified", 1).await;
    let _other = stage.open("/ws/unified", 2).await;
    online(&stage, 2).await;
    assert_eq!(calls(&stage, 2).await.len(), 2);
}

#[tokio::test]
async fn a_key_of_the_path_counts_each_room_by_itself() {
    let rooms = "[[endpoint]]\nname = \"room\"\npath = \"/ws/room/{id}\"\nframes = { \"*\" = \"{data}\" }\n\
                 topics = [\"room_{id}\"]\nwelcome = { users = \"{online}\" }\npresence = { key = \"room_{id}\" }\n";
    let stage = Stage::new(rooms).await;
    let mut one = stage.open("/ws/room/a", 1).await;
    assert_eq!(one.json().await, json!({ "users": [1] }));
    let mut other = stage.open("/ws/room/b", 2).await;
    assert_eq!(other.json().await, json!({ "users": [2] }));
    let (status, text) = stage.outrigger.admin("/presence").await;
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    let expected = json!({ "keys": 2, "shown": [
        { "key": "room_a", "online": 1, "leaving": 0, "users": [1] },
        { "key": "room_b", "online": 1, "leaving": 0, "users": [2] },
    ]});
    assert_eq!(page, expected);
}

#[tokio::test]
async fn a_stop_tells_the_app_and_leaves_the_others_in_peace() {
    let presence = format!(
        "grace = \"1h\"\n{}\n",
        published("").replace(
            "publish",
            "call = { path = \"/api/told/{user.id}/\" }\npublish"
        )
    );
    let app = App::answering(|_| ok("{}")).await;
    let mut stage = Stage::with(app, STOP, &endpoint("online", &presence)).await;
    let mut sockets = Vec::new();
    for user in 0..5 {
        sockets.push(stage.open("/ws/online", user).await);
    }
    done(&stage, "online", 5).await;
    // One has left, and its grace ends with the process.
    drop(sockets.remove(0));
    calls(&stage, 5).await;
    stage.app.take_seen();
    stage.outrigger.signal("TERM").await;
    for socket in &mut sockets {
        loop {
            match socket.frame().await {
                Some(frame) if frame.is_text() => {
                    let text = frame.into_text().unwrap();
                    assert!(text.contains("user_online"), "{text}");
                }
                Some(frame) if frame.is_close() => {}
                Some(_) => {}
                None => break,
            }
        }
    }
    assert!(stage.outrigger.exit().await.success());
    let mut told = calls(&stage, 5).await;
    told.sort_unstable();
    let expected: Vec<_> = (0..5).map(|user| format!("/api/told/{user}/")).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn sessions_on_the_app_leg_are_the_apps_to_count() {
    let rules = format!("grace = \"0s\"\n{CALLS}");
    let relayed = endpoint("online", &rules).replace(
        "[endpoint.presence]",
        "rollout = \"off\"\n[endpoint.presence]",
    );
    let app = App::start().await;
    let stage = Stage::with(app, "", &relayed).await;
    let target = crate::harness::as_user("/ws/online", 1);
    let (_, mut handshake) = tokio::join!(stage.connect(&target, &[]), async {
        let mut connection = stage.app.accept().await;
        connection.request().await;
        connection.send(answer(403, "{}")).await;
        connection
    });
    assert!(stage.app.accept_soon().await.is_none());
    online(&stage, 0).await;
    handshake.end().await;
}

#[tokio::test]
async fn a_reload_counts_and_stops_counting_those_who_are_here() {
    let plain = "[[endpoint]]\nname = \"online\"\npath = \"/ws/online\"\ntopics = [\"online\"]\n\
                 frames = { \"*\" = \"{data}\" }\n";
    let stage = Stage::new(plain).await;
    let _other = stage.open("/ws/online", 2).await;
    let _one = stage.open("/ws/online", 1).await;
    let counts = told("grace = \"0s\"", "");
    stage.outrigger.rewrite(&stage.config(&counts));
    online(&stage, 2).await;
    stage.outrigger.rewrite(&stage.config(plain));
    online(&stage, 0).await;
    counted(&stage, "offline", 2).await;
}
