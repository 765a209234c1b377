//! Tokens signed by published keys: RS256 from a JWKS document that changes.

use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

use crate::harness::{App, Outrigger, Socket, now, ok};

struct Issuer {
    key: EncodingKey,
    published: Value,
}

impl Issuer {
    fn new(kid: &str) -> Self {
        let pair =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        let key = EncodingKey::from_rsa_pem(pair.unwrap().serialize_pem().as_bytes()).unwrap();
        let jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
        let mut published = serde_json::to_value(jwk).unwrap();
        published["kid"] = json!(kid);
        Self { key, published }
    }

    fn target(&self) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.published["kid"].as_str().unwrap().into());
        let claims = json!({"sub": "anna", "exp": now() + 600});
        format!(
            "/ws/who?token={}",
            encode(&header, &claims, &self.key).unwrap()
        )
    }
}

#[tokio::test]
async fn published_keys_come_and_go() {
    let [first, second, stranger] = ["one", "two", "three"].map(Issuer::new);
    let document = Arc::new(Mutex::new(json!({"keys": [first.published]}).to_string()));
    let shown = document.clone();
    let app = App::answering(move |_| ok(&shown.lock().unwrap())).await;
    let config = format!(
        "{}[auth]\ntoken = [\"query:token\"]\n[auth.jwt]\nalgorithms = [\"RS256\"]\njwks_url = \"{}/keys\"\n\
         jwks_cooldown = \"1ms\"\n[[endpoint]]\nname = \"who\"\npath = \"/ws/who\"\ntopics = [\"t\"]\n\
         welcome = {{ user = \"{{user.id}}\" }}\n",
        app.config(),
        app.address()
    );
    let outrigger = Outrigger::start(&config).await;
    let connect =
        async |issuer: &Issuer| Socket::connect(outrigger.addr(), &issuer.target(), &[]).await;
    let mut socket = connect(&first).await.ok().unwrap();
    assert_eq!(socket.text().await, r#"{"user":"anna"}"#);
    assert!(connect(&second).await.is_err());
    *document.lock().unwrap() = json!({"keys": [first.published, second.published]}).to_string();
    assert!(
        connect(&second).await.is_ok(),
        "an unknown key is looked for"
    );
    *document.lock().unwrap() = json!({"keys": [second.published]}).to_string();
    assert!(connect(&stranger).await.is_err());
    assert!(connect(&second).await.is_ok());
    assert!(
        connect(&first).await.is_err(),
        "a removed key no longer works"
    );
    // Without the issuer the known keys go on.
    *document.lock().unwrap() = "nonsense".into();
    assert!(connect(&stranger).await.is_err());
    assert!(connect(&second).await.is_ok());
}
