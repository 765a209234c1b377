//! The commands, as whoever types them meets them: the real binary.

use std::process::Stdio;

use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::harness::{App, Done, Outrigger, Socket, jwt, within};

const FOLDER: &str = "tests/fixtures/cli";
/// As in the fixtures' config.
const JWT_SECRET: &str = "a development secret of some length";
const HOOK_SECRET: &str = "another development secret of some length";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command
        .args(args)
        .current_dir(FOLDER)
        .env_remove("NO_COLOR");
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn outrigger(args: &[&str]) -> Done {
    done(command(args), "").await
}

async fn done(mut command: Command, input: &str) -> Done {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read its input may be gone already.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = within("the end of a command", child.wait_with_output()).await;
    output.unwrap().into()
}

/// What went to standard output, of a command that succeeds.
async fn answer(args: &[&str]) -> String {
    let done = outrigger(args).await;
    assert_eq!(done.code, 0, "{args:?}: {}", done.err);
    done.out
}

/// What went to standard error, of a command that fails with a code.
async fn failure(code: i32, args: &[&str]) -> String {
    let done = outrigger(args).await;
    assert_eq!(
        (done.code, done.out.as_str()),
        (code, ""),
        "{args:?}: {}",
        done.err
    );
    done.err
}

// --- check -------------------------------------------------------------------

#[tokio::test]
async fn check_says_in_a_line_that_all_is_good() {
    let line =
        "outrigger.toml is good: 5 endpoints, 1 flag, webhook, app at http://127.0.0.1:8000\n";
    assert_eq!(answer(&["check", "outrigger.toml"]).await, line);
    assert_eq!(answer(&["check"]).await, line);
}

#[tokio::test]
async fn check_says_every_error_and_fails() {
    insta::assert_snapshot!("cli_check_bad", failure(1, &["check", "bad.toml"]).await);
}

#[tokio::test]
async fn check_prints_warnings_and_succeeds() {
    let done = outrigger(&["check", "warned.toml"]).await;
    assert_eq!(done.code, 0);
    assert!(
        done.err
            .starts_with("warning: this secret has only 5 bytes"),
        "{}",
        done.err
    );
    assert_eq!(
        done.out,
        "warned.toml can be used, with the warning above: webhook, app at http://127.0.0.1:8000\n"
    );
}

#[tokio::test]
async fn check_says_what_a_change_does() {
    let args = ["check", "changed.toml", "--running", "outrigger.toml"];
    insta::assert_snapshot!("cli_check_running", answer(&args).await);
    let same = answer(&["check", "outrigger.toml", "--running", "outrigger.toml"]).await;
    assert!(same.contains("\n  no difference\n"), "{same}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let text = "error: none.toml cannot be read: No such file or directory (os error 2)\n\
                help: name the config file, such as outrigger.toml\n";
    assert_eq!(failure(1, &["check", "none.toml"]).await, text);
    assert_eq!(
        failure(1, &["token", "--user", "1", "--config", "none.toml"]).await,
        text
    );
}

// --- explain -----------------------------------------------------------------

#[tokio::test]
async fn explain_tells_each_kind_of_route() {
    let requests: [&[&str]; 12] = [
        &["GET", "/ws/notifications", "--user", "42"],
        &["GET", "/ws/notifications/"],
        &["GET", "/ws/messages/7/", "--user", "42"],
        &["GET", "/ws/messages/seven/"],
        &["GET", "/ws/users/42/", "--user", "42"],
        &["GET", "/ws/users/43/", "--user", "42"],
        &["GET", "/ws/feed", "--user", "7"],
        &["GET", "/ws/legacy"],
        &["post", "/ws/feed?page=2"],
        &["POST", "/outrigger/events"],
        &["GET", "/outrigger/events"],
        &["GET", "/outrigger/flags", "--user", "42"],
    ];
    let mut texts = Vec::new();
    for request in requests {
        texts.push(answer(&[&["explain"], request].concat()).await);
    }
    insta::assert_snapshot!("cli_explain", texts.join("\n"));
}

#[tokio::test]
async fn explain_verifies_a_token_and_never_prints_it() {
    let good = jwt(JWT_SECRET, &json!({"user_id": 42, "token_type": "access"}));
    let refresh = jwt(JWT_SECRET, &json!({"user_id": 42, "token_type": "refresh"}));
    let forged = jwt(
        "some other secret",
        &json!({"user_id": 42, "token_type": "access"}),
    );
    let known = "user        42, by the token in query:token\n";
    let unproven = "user        not proven by the token in query:token: ";
    for (token, says) in [
        (&good, known.to_owned()),
        (
            &refresh,
            format!("{unproven}claim `token_type` is not \"access\"\n"),
        ),
        (
            &forged,
            format!("{unproven}the token's signature is wrong\n"),
        ),
    ] {
        let in_query = format!("/ws/notifications/?a=1&token={token}");
        let header = format!("Authorization: Bearer {token}");
        let mut piped = command(&["explain", "GET", "/ws/notifications/?a=1", "--token", "-"]);
        piped.stdin(Stdio::piped());
        let texts = [
            answer(&["explain", "GET", &in_query]).await,
            answer(&["explain", "GET", "/ws/notifications/?a=1", "--token", token]).await,
            done(piped, &format!("{token}\n")).await.out,
        ];
        for text in texts {
            assert!(
                text.starts_with("GET /ws/notifications/?a=1&token=(hidden)\n"),
                "{text}"
            );
            assert!(text.contains(&says), "{text}");
            assert!(!text.contains(token.as_str()), "{text}");
        }
        let text = answer(&["explain", "GET", "/ws/notifications/", "-H", &header]).await;
        assert!(
            text.contains(&says.replace("query:token", "header:authorization")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn explain_says_what_only_the_app_knows() {
    let asks = |more: &'static [&'static str]| {
        [
            &["explain", "GET", "/ws/feed", "--config", "asks.toml"],
            more,
        ]
        .concat()
    };
    let cookie = answer(&asks(&["--header", "Cookie: sessionid=x"])).await;
    assert!(
        cookie.contains("the app would say: GET /api/me/, as the client"),
        "{cookie}"
    );
    assert!(
        cookie.contains("depends on the user: say who with --user ID"),
        "{cookie}"
    );
    let user = answer(&asks(&["--user", "3"])).await;
    assert!(
        user.contains("leg         app: the user's bucket 67.64 is not below 50 percent"),
        "{user}"
    );
}

#[tokio::test]
async fn what_explain_says_is_what_happens() {
    let config = std::fs::read_to_string(format!("{FOLDER}/outrigger.toml")).unwrap();
    let running = Outrigger::start(&config.replace("127.0.0.1:8080", "127.0.0.1:0")).await;
    let token = jwt(JWT_SECRET, &json!({"user_id": 42, "token_type": "access"}));
    for (path, token, result, status) in [
        (
            "/ws/users/42/",
            &*token,
            "connected, served from the feed\n",
            101,
        ),
        (
            "/ws/users/43/",
            &token,
            "turned away with HTTP 403: {user_id} is",
            403,
        ),
        (
            "/ws/notifications",
            "",
            "turned away with HTTP 403: there is no token",
            403,
        ),
        (
            "/ws/users/42/",
            "bad",
            "turned away with HTTP 403: not a signed token",
            403,
        ),
    ] {
        let target = format!("{path}?token={token}");
        let text = answer(&["explain", "GET", &target]).await;
        assert!(text.contains(&format!("  result      {result}")), "{text}");
        let opened = Socket::connect(running.addr(), &target, &[]).await;
        let met = opened.map_or_else(
            |refusal| refusal.status(),
            |socket| socket.response.status(),
        );
        assert_eq!(met, status, "{path}");
    }
}

#[tokio::test]
async fn explain_fetches_published_keys() {
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let answered = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}",
        keys.len()
    );
    let app = App::answering(move |_| answered.clone().into_bytes()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outrigger.toml");
    let explain = ["explain", "GET", "/", "--config", path.to_str().unwrap()];
    let gone = App::gone().await.address();
    for (address, says) in [
        (
            app.address(),
            format!("keys        fetched from {}\n", app.address()),
        ),
        (
            gone.clone(),
            format!("keys        could not be fetched from {gone}: no token verifies\n"),
        ),
    ] {
        let jwt = format!("[auth.jwt]\nalgorithms = [\"EdDSA\"]\njwks_url = \"{address}/jwks\"\n");
        std::fs::write(&path, jwt).unwrap();
        let text = answer(&explain).await;
        assert!(text.contains(&says), "{text}");
    }
}

#[tokio::test]
async fn explain_without_a_config_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&["explain", "GET", "/api/"]);
    command.current_dir(folder.path());
    let done = done(command, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .contains("no outrigger.toml in this folder: everything is forwarded")
    );
}

#[tokio::test]
async fn what_cannot_be_understood_is_usage() {
    for (args, says) in [
        (["explain", "GET", "ws"], "a path begins with a slash"),
        (
            ["explain", "G T", "/ws"],
            "write a method such as GET or POST",
        ),
        (
            ["token", "--user=1", "--expires=1y"],
            "write a number and a unit: 500ms, 10s",
        ),
        (["token", "--user=1", "--claim=a"], "write name=value"),
        (
            ["publish", "--type=a", "{}"],
            "<--topic <TOPIC>|--user <ID>>",
        ),
    ] {
        let text = failure(2, &args).await;
        assert!(text.contains(says), "{text}");
    }
}

// --- token and publish -------------------------------------------------------

#[tokio::test]
async fn token_prints_the_token_alone() {
    let done = outrigger(&["token", "--user", "42"]).await;
    assert_eq!(
        done.err,
        "a token for user 42, signed with the config's secret, good for 3600s\n"
    );
    assert_eq!(done.out.lines().count(), 1);
    assert_eq!(done.out.trim().split('.').count(), 3);
    let done = outrigger(&["token", "--user", "42", "--text"]).await;
    assert!(
        done.err.starts_with("a token for user \"42\","),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn the_claim_sub_is_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub.toml");
    let text = format!("[auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{JWT_SECRET}\"\n");
    std::fs::write(&path, text).unwrap();
    let config = path.to_str().unwrap();
    let done = outrigger(&["token", "--user", "42", "--config", config]).await;
    assert!(
        done.err.contains("a token for user \"42\","),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn a_port_in_use_is_said_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (whom, key, other) in [
        ("clients", "listen", "--admin"),
        ("operators", "admin", "--listen"),
    ] {
        let flag = format!("--{key}");
        let args = ["run", &flag, &address, other, "127.0.0.1:0"];
        let mut command = command(&args);
        command.current_dir(std::env::temp_dir());
        let done = done(command, "").await;
        assert_eq!(done.code, 1, "{}", done.err);
        let start = format!("cannot listen on {address} for {whom}: ");
        assert!(done.err.contains(&start), "{}", done.err);
        let end = format!("--{key} or [{key}] address takes another");
        assert!(done.err.contains(&end), "{}", done.err);
    }
}

#[tokio::test]
async fn token_makes_none_that_would_be_refused() {
    let args = ["token", "--user", "42", "--claim", "token_type=refresh"];
    assert_eq!(
        failure(1, &args).await,
        "error: the config would refuse it: claim `token_type` is not \"access\"\n\
         help: give the claim that is asked for: --claim NAME=VALUE\n"
    );
    let args = ["token", "--user", "42", "--config", "asks.toml"];
    assert_eq!(
        failure(1, &args).await,
        "error: the config has no [auth.jwt], so no token means anything to it\n\
         help: log in to the app and use what it gives you\n"
    );
}

#[tokio::test]
async fn a_made_token_opens_a_socket_and_what_is_published_reaches_it() {
    let app = App::gone().await;
    let config = std::fs::read_to_string(format!("{FOLDER}/outrigger.toml")).unwrap();
    let config = config.replace("http://127.0.0.1:8000", &app.address());
    let running = Outrigger::start(&config.replace("127.0.0.1:8080", "127.0.0.1:0")).await;
    let token = answer(&["token", "--user", "42", "--claim", "role=admin"]).await;
    let target = format!("/ws/notifications/?token={}", token.trim());
    let mut socket = Socket::open(running.addr(), &target).await;

    let url = format!("http://{}", running.addr());
    let publish = [
        "publish",
        "--type",
        "notification_message",
        "--topic",
        "notifications_42",
    ];
    let to = ["--url", &url, "--id", "first"];
    let data = [r#"{"notification": {"id": 1.0}}"#];
    let text = answer(&[&publish[..], &to, &data].concat()).await;
    assert!(text.starts_with("accepted first at "), "{text}");
    assert_eq!(
        socket.text().await,
        r#"{"type":"notification","notification":{"id":1.0}}"#
    );
    let text = answer(&[&publish[..], &to, &data].concat()).await;
    assert!(text.starts_with("duplicate first at "), "{text}");

    let mut piped = command(&[&publish[..], &["--user", "42", "--url", &url, "-"]].concat());
    piped
        .env("HOOK", HOOK_SECRET)
        .args(["--secret-env", "HOOK"]);
    let done = done(piped, "{\"notification\": 2}\n").await;
    assert!(done.out.starts_with("accepted cli_"), "{}", done.err);
    assert_eq!(
        socket.text().await,
        r#"{"type":"notification","notification":2}"#
    );
    socket.close().await;
}

#[tokio::test]
async fn publish_says_why_nothing_was_published() {
    let publish = ["publish", "--type", "x", "--topic", "y"];
    assert_eq!(
        failure(1, &[&publish[..], &["{\"a\": }"]].concat()).await,
        "error: DATA is not JSON: expected value at line 1 column 7\n\
         help: a text needs its own quotes: '\"hello\"'; no payload is null\n"
    );
    assert_eq!(
        failure(
            1,
            &[&publish[..], &["1", "--secret-env", "NOT_SET"]].concat()
        )
        .await,
        "error: the environment has no variable `NOT_SET`\n\
         help: set it to the secret that Outrigger runs with\n"
    );
    let gone = App::gone().await.address();
    let text = failure(1, &[&publish[..], &["1", "--url", &gone]].concat()).await;
    assert!(
        text.starts_with(&format!("error: nothing was published to {gone}: ")),
        "{text}"
    );
    assert!(text.ends_with("help: is it running there? If elsewhere, say where: --url URL\n"));
}

#[tokio::test]
async fn publish_passes_on_what_outrigger_refuses() {
    let app = App::gone().await;
    let hook = "[source.webhook]\nsecret = \"quite another secret of some length\"\n";
    let running = Outrigger::start(&(app.config() + hook)).await;
    let url = format!("http://{}", running.addr());
    let publish = ["publish", "--type", "x", "--topic", "y", "1", "--url", &url];
    assert_eq!(
        failure(1, &publish).await,
        format!(
            "error: {url} answered 401 Unauthorized: no signature fits: check the secret, and that \
             the body is sent as it was signed\n\
             help: sign with the secret that it runs with, and compare the clocks\n"
        )
    );
    let mut command = command(&[&publish[..], &["--user", "", "--secret-env", "HOOK"]].concat());
    command.env("HOOK", "quite another secret of some length");
    let done = done(command, "").await;
    assert_eq!(done.code, 1);
    assert!(done.out.starts_with("rejected cli_"), "{}", done.out);
    assert!(
        done.err
            .contains("422 Unprocessable Entity: no event could be taken"),
        "{}",
        done.err
    );
}

// --- all ---------------------------------------------------------------------

#[tokio::test]
async fn every_help_has_an_example() {
    for name in ["run", "check", "explain", "token", "publish"] {
        let text = answer(&[name, "--help"]).await;
        assert!(text.contains("Examples:\n  outrigger "), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 110),
            "{text}"
        );
    }
    assert!(answer(&["--help"]).await.contains("Exit codes:\n  0 "));
}

#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["explain", "GET", "/ws/feed"]);
    let child = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    let output = within("the end of a command", child.wait_with_output())
        .await
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[tokio::test]
async fn run_with_a_bad_config_ends_with_its_own_code() {
    let text = failure(78, &["run", "--config", "bad.toml"]).await;
    assert!(text.starts_with("error: unknown key `adress`"), "{text}");
}
