//! TLS at the front door, and its certificate's renewal.

use std::{path::Path, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName},
        version::{TLS12, TLS13},
    },
};

use super::ENDPOINTS;
use crate::harness::{App, Stage, as_user, handshake, ok, until, within};

/// Writes a new certificate and key, and gives the certificate.
fn issue(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["outrigger.test".to_owned()]).unwrap();
    std::fs::write(folder.join("chain.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

async fn connect(stage: &Stage, trusted: &CertificateDer<'static>) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12, &TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(stage.outrigger.addr()).await.unwrap();
    let name = ServerName::try_from("outrigger.test").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    within("the TLS handshake", connecting).await.ok()
}

/// Sends bytes and reads until these have come.
async fn says(stream: &mut TlsStream<TcpStream>, send: &str, wanted: &[u8]) -> String {
    stream.write_all(send.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    within("the answer", async {
        while !read.windows(wanted.len()).any(|piece| piece == wanted) {
            assert!(
                stream.read_buf(&mut read).await.unwrap() > 0,
                "{}",
                read.escape_ascii()
            );
        }
    })
    .await;
    String::from_utf8_lossy(&read).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: outrigger.test\r\n\r\n";

#[tokio::test]
async fn http_and_sockets_come_over_tls_and_a_renewed_certificate_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let first = issue(folder.path());
    let app = App::answering(|_| ok("from the app")).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!(
        "[listen]\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
        path("chain.pem"),
        path("key.pem")
    );
    let stage = Stage::with(app, &tls, ENDPOINTS).await;
    let mut http = connect(&stage, &first).await.unwrap();
    says(&mut http, GET, b"from the app").await;
    assert_eq!(
        stage.app.seen()[0].header("x-forwarded-proto").as_deref(),
        Some("https")
    );
    let mut socket = connect(&stage, &first).await.unwrap();
    let answer = says(
        &mut socket,
        &handshake(&as_user("/ws/news", 1), &[]),
        b"\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let second = issue(folder.path());
    stage.outrigger.signal("HUP").await;
    until("the new certificate", || async {
        connect(&stage, &second).await.is_some()
    })
    .await;
    assert!(connect(&stage, &first).await.is_none());
    // Whoever was there stays.
    says(&mut http, GET, b"from the app").await;
    let event = json!({"type": "news", "topics": ["news"], "data": "hi"}).to_string();
    let headers =
        crate::harness::webhook_headers(crate::harness::HOOK_SECRET, "m", event.as_bytes());
    let length = event.len();
    let post = format!(
        "POST /outrigger/events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{event}"
    );
    says(&mut http, &post, b"accepted").await;
    says(&mut socket, "", b"\x81\x04\"hi\"").await;
    // Neither plain HTTP nor a broken certificate gets anywhere.
    let mut plain = stage.outrigger.connect().await;
    plain.send(GET).await;
    assert!(!plain.rest().await.starts_with(b"HTTP"));
    std::fs::write(folder.path().join("chain.pem"), "nonsense").unwrap();
    stage.outrigger.signal("HUP").await;
    stage
        .outrigger
        .metric_becomes("outrigger_config_stale", 1.0)
        .await;
    assert!(connect(&stage, &second).await.is_some());
}
