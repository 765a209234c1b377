//! Who a client is: where its token may stand, what the app says, and how it is
//! turned away.

use serde_json::json;

use super::{closed, endpoint};
use crate::harness::{App, Stage, TOKEN_SECRET, answer, as_user, jwt, now, ok, token, token_of};

const WHO: &str = r#"
[[endpoint]]
name = "who"
path = "/ws/who"
topics = ["t"]
welcome = { user = "{user.id}" }
"#;

#[tokio::test]
async fn a_token_is_found_in_query_cookie_header_and_subprotocol() {
    let stage = Stage::new(WHO).await;
    let token = token(42);
    let (cookie, bearer) = (format!("a=b; session={token}"), format!("Bearer {token}"));
    let protocol = format!("bearer, {token}, json");
    let none: &[(&str, &str)] = &[];
    for (target, headers) in [
        (format!("/ws/who?x=1&token={token}"), none),
        ("/ws/who".into(), &[("Cookie", &*cookie)]),
        ("/ws/who".into(), &[("Authorization", &*bearer)]),
        ("/ws/who".into(), &[("Sec-WebSocket-Protocol", &*protocol)]),
    ] {
        let mut socket = stage.connect(&target, headers).await.ok().unwrap();
        assert_eq!(socket.text().await, r#"{"user":42}"#, "{headers:?}");
        let selected = socket.response.header("sec-websocket-protocol");
        let by_protocol = headers.iter().any(|(name, _)| name.starts_with("Sec"));
        assert_eq!(selected.as_deref(), by_protocol.then_some("bearer"));
    }
    assert_eq!(stage.refused("/ws/who", &[]).await, 403);
    assert_eq!(stage.refused("/ws/who?token=x.y.z", &[]).await, 403);
    for (reason, count) in [("no_token", 1.0), ("bad_token", 1.0)] {
        let name = format!("outrigger_sessions_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(stage.outrigger.metric(&name).await, count);
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_words_of_the_app() {
    let refuse = r#"
[endpoint.refuse]
no_token = { close = 4000, reason = "Who are you?" }
bad_token = { close = 4001, reason = "Unauthorized - invalid token" }
not_permitted = { http = 404 }
"#;
    let stage = Stage::new(&format!(
        "{}{refuse}",
        endpoint("permit = { claim = \"admin\", value = \"yes\" }")
    ))
    .await;
    assert_eq!(
        stage.turned_away("/ws/news", &[]).await,
        closed(4000, "Who are you?")
    );
    let expired = token_of(&json!({"user_id": 1, "exp": now() - 10}));
    let target = format!("/ws/news?token={expired}");
    assert_eq!(
        stage.turned_away(&target, &[]).await,
        closed(4001, "Unauthorized - invalid token")
    );
    assert_eq!(stage.refused(&as_user("/ws/news", 1), &[]).await, 404);
    let protocol = format!("bearer, {expired}");
    let headers = [("Sec-WebSocket-Protocol", &*protocol)];
    let mut socket = stage.connect("/ws/news", &headers).await.ok().unwrap();
    assert_eq!(
        socket.response.header("sec-websocket-protocol").as_deref(),
        Some("bearer")
    );
    assert_eq!(socket.closed().await.code, 4001);
    stage
        .outrigger
        .metric_becomes("outrigger_sessions", 0.0)
        .await;
}

#[tokio::test]
async fn a_foreign_page_cannot_use_the_cookie() {
    let stage = Stage::new(&endpoint("")).await;
    let cookie = format!("session={}", token(1));
    let from = |origin| [("Cookie", &*cookie), ("Origin", origin)];
    assert_eq!(
        stage.refused("/ws/news", &from("https://evil.test")).await,
        403
    );
    assert!(
        stage
            .connect("/ws/news", &from("http://outrigger.test"))
            .await
            .is_ok()
    );
    let target = as_user("/ws/news", 1);
    assert!(
        stage
            .connect(&target, &[("Origin", "https://evil.test")])
            .await
            .is_ok()
    );
    let name = "outrigger_sessions_refused_total{reason=\"origin\"}";
    assert_eq!(stage.outrigger.metric(name).await, 1.0);
}

/// Tokens that end soon: tests wait for the close, which comes at a known second.
#[tokio::test]
async fn a_session_ends_with_its_token_where_the_endpoint_says_so() {
    let path = |name: &str, expiry: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\npath = \"/ws/{name}\"\ntopics = [\"t\"]\n{expiry}\nframes = {{ news = \"{{data}}\" }}\n"
        )
    };
    let endpoints = [
        path("at", ""),
        path("grace", "expiry = { close = 4008, grace = \"1s\" }"),
        path("keep", "expiry = \"keep\""),
    ];
    let stage = Stage::new(&endpoints.concat()).await;
    let exp = now() + 2;
    let token = jwt(TOKEN_SECRET, &json!({"user_id": 1, "exp": exp}));
    let open = async |name: &str| {
        stage
            .connect(&format!("/ws/{name}?token={token}"), &[])
            .await
            .ok()
            .unwrap()
    };
    let (mut at, mut grace, mut keep) = (open("at").await, open("grace").await, open("keep").await);
    assert_eq!(at.closed().await, closed(4001, "token expired"));
    assert!(now() >= exp);
    assert_eq!(grace.closed().await, closed(4008, "token expired"));
    assert!(now() > exp);
    stage.tell("t", "news", &json!({"n": 1})).await;
    assert_eq!(keep.json().await["n"], 1);
    let name = "outrigger_sessions_closed_total{reason=\"token_expired\"}";
    stage.outrigger.metric_becomes(name, 2.0).await;
}

#[tokio::test]
async fn a_token_must_hold_what_is_required_of_it() {
    let app = App::answering(|_| ok("{}")).await;
    let base = crate::harness::preamble(&app);
    let strict =
        "user_claim = \"user_id\"\nrequire = { token_type = \"access\" }\nissuers = [\"me\"]";
    let config = format!(
        "{}\n{WHO}",
        base.replace("user_claim = \"user_id\"", strict)
    );
    let outrigger = crate::harness::Outrigger::start(&config).await;
    let open = async |claims| {
        let target = format!("/ws/who?token={}", token_of(&claims));
        crate::harness::Socket::connect(outrigger.addr(), &target, &[])
            .await
            .is_ok()
    };
    assert!(open(json!({"user_id": 1, "token_type": "access", "iss": "me"})).await);
    assert!(!open(json!({"user_id": 1, "token_type": "refresh", "iss": "me"})).await);
    assert!(!open(json!({"user_id": 1, "token_type": "access", "iss": "you"})).await);
    assert!(
        !open(json!({"user_id": 1, "token_type": "access", "iss": "me", "exp": now() - 1})).await
    );
    assert!(!open(json!({"token_type": "access", "iss": "me"})).await);
}

/// `[auth.app]`: the app knows the client by a session cookie.
#[tokio::test]
async fn the_app_is_asked_who_a_cookie_belongs_to() {
    let app = App::answering(|request| {
        if request.target() != "/api/me/" {
            return ok("{}");
        }
        match request.header("cookie").as_deref() {
            Some("sessionid=anna") => ok(r#"{"data": {"id": 7}}"#),
            Some("sessionid=broken") => answer(500, "{}"),
            _ => answer(401, "{}"),
        }
    })
    .await;
    let config = format!(
        "{}[auth.app]\nurl = \"/api/me/\"\nuser = \"/data/id\"\ncache = \"60s\"\n{WHO}",
        app.config()
    );
    let outrigger = crate::harness::Outrigger::start(&config).await;
    let connect = async |cookie: &str| {
        let headers = [("Cookie", cookie)];
        crate::harness::Socket::connect(outrigger.addr(), "/ws/who", &headers).await
    };
    for _ in 0..3 {
        let mut socket = connect("sessionid=anna").await.ok().unwrap();
        assert_eq!(socket.text().await, r#"{"user":7}"#);
    }
    assert_eq!(app.seen().len(), 1, "the answer is remembered");
    assert_eq!(
        connect("sessionid=nobody").await.err().unwrap().status(),
        403
    );
    assert_eq!(
        connect("sessionid=broken").await.err().unwrap().status(),
        503
    );
    assert_eq!(app.take_seen().len(), 3);
    let nothing = crate::harness::Socket::connect(outrigger.addr(), "/ws/who", &[]).await;
    assert_eq!(nothing.err().unwrap().status(), 403);
    assert!(
        app.seen().is_empty(),
        "who shows nothing is not asked about"
    );
}
