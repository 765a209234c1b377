//! The ways to a Redis: TLS, sockets of the file system, passwords, database numbers.

use std::net::TcpListener;

use super::config;
use crate::harness::{App, Outrigger, Redis, Socket, ok, redis::channels};

/// A message that the app sends its own way is heard by an Outrigger that goes another.
async fn is_heard(address: &str, lines: &str, layer: &str, env: &[(&str, &str)]) {
    let app = App::answering(|_| ok("{}")).await;
    let address = format!("\"{address}\"");
    let outrigger = Outrigger::start_with(&config(&app, &address, lines), env, &[]).await;
    let mut socket = Socket::open(outrigger.addr(), "/ws/chat_1").await;
    let code = "await layer.group_send('chat_1', {'type': 'other', 'n': 1})";
    channels(layer, code).await;
    assert_eq!(socket.text().await, r#"{"n":1}"#, "{address} {lines}");
    assert!(!outrigger.logs().text().contains("hidden"));
}

#[tokio::test]
async fn a_password_and_a_database_are_those_of_the_app() {
    let redis = Redis::start_with(&["--requirepass", "hidden"]).await;
    let at = format!("127.0.0.1:{}", redis.port());
    let url = format!("redis://:hidden@{at}/3");
    let env = [("REDIS_PASSWORD", "hidden")];
    for class in ["RedisChannelLayer", "RedisPubSubChannelLayer"] {
        let layer = format!("{class}(hosts=['{url}'])");
        let kind = match class.contains("PubSub") {
            true => "layer = \"pubsub\"\n",
            false => "",
        };
        is_heard(&url, kind, &layer, &[]).await;
        let lines = format!("{kind}password_env = \"REDIS_PASSWORD\"\n");
        is_heard(&format!("redis://{at}/3"), &lines, &layer, &env).await;
    }
}

#[tokio::test]
async fn a_socket_of_the_file_system_is_as_good_as_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let redis = Redis::start_with(&["--unixsocket", path.to_str().unwrap()]).await;
    let layer = format!("RedisChannelLayer(hosts=['{}/2'])", redis.url());
    let url = format!("unix://{}?db=2", path.display());
    is_heard(&url, "", &layer, &[]).await;
}

#[tokio::test]
async fn tls_is_spoken_with_the_authority_that_is_named_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    let other = rcgen::generate_simple_self_signed(names).unwrap();
    let authority = write("ca.pem", &made.cert.pem());
    let wrong = write("wrong.pem", &other.cert.pem());
    let key = write("key.pem", &made.signing_key.serialize_pem());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let arguments = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &authority, "--tls-key-file", &key];
    let more = ["--tls-ca-cert-file", &authority];
    let redis = Redis::start_with(&[&arguments[..], &files, &more].concat()).await;
    let url = format!("rediss://localhost:{port}/0");
    for (lines, class) in [
        ("", "RedisChannelLayer"),
        ("layer = \"pubsub\"\n", "RedisPubSubChannelLayer"),
    ] {
        let layer = format!("{class}(hosts=['{}'])", redis.url());
        let lines = format!("{lines}ca_file = \"{authority}\"\n");
        is_heard(&url, &lines, &layer, &[]).await;
    }
    let app = App::answering(|_| ok("{}")).await;
    let lines = format!("ca_file = \"{wrong}\"\n");
    let outrigger = Outrigger::start(&config(&app, &format!("\"{url}\""), &lines)).await;
    let failed = "outrigger_channel_layer_connects_total{result=\"failed\"}";
    crate::harness::until("the certificate to be refused", async || {
        outrigger.metric(failed).await >= 1.0
    })
    .await;
    let view = outrigger.admin("/channel_layer").await.1;
    assert!(view.contains("certificate"), "{view}");
}
