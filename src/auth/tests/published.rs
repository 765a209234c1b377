//! Keys from a JWKS document: names, kinds, and keys that come and go.

use base64::engine::general_purpose::URL_SAFE;
use jsonwebtoken::{EncodingKey, Header, encode, jwk::Jwk};
use proptest::prelude::*;
use rcgen::KeyPair;

use super::*;

const ALL: [Algorithm; 13] = Algorithm::ALL;

/// An issuer's key: signs with it, publishes it.
struct Issuer {
    key: EncodingKey,
    algorithm: jsonwebtoken::Algorithm,
    published: Value,
}

impl Issuer {
    fn es256(kid: Option<&str>) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self::new(key, jsonwebtoken::Algorithm::ES256, kid)
    }

    fn new(key: EncodingKey, algorithm: jsonwebtoken::Algorithm, kid: Option<&str>) -> Self {
        let jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        let published = serde_json::to_value(jwk).unwrap();
        let issuer = Self {
            key,
            algorithm,
            published,
        };
        match kid {
            Some(kid) => issuer.with("kid", &json!(kid)),
            None => issuer,
        }
    }

    fn with(mut self, member: &str, value: &Value) -> Self {
        self.published[member] = value.clone();
        self
    }

    fn token(&self, kid: Option<&str>) -> Secret {
        self.token_as(self.algorithm, kid)
    }

    fn token_as(&self, algorithm: jsonwebtoken::Algorithm, kid: Option<&str>) -> Secret {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(Into::into);
        Secret::new(encode(&header, &access(), &self.key).unwrap())
    }
}

fn publish(keys: &KeySet, published: &[&Value]) -> usize {
    let document = json!({ "keys": published }).to_string();
    keys.replace(document.as_bytes()).unwrap()
}

fn is_wrong(result: &Result<Identity, Rejected>) -> bool {
    matches!(result, Err(Rejected::Invalid(_)))
}

#[test]
fn every_kind_of_published_key_verifies() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let rsa = EncodingKey::from_rsa_pem(rsa.unwrap().serialize_pem().as_bytes()).unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = EncodingKey::from_ec_pem(p384.serialize_pem().as_bytes()).unwrap();
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(ed.public_key_raw());
    let ed = Issuer {
        key: EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).unwrap(),
        algorithm: jsonwebtoken::Algorithm::EdDSA,
        published: json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed"}),
    };
    let issuers = [
        Issuer::new(rsa.clone(), jsonwebtoken::Algorithm::RS256, Some("rs")),
        Issuer::new(rsa, jsonwebtoken::Algorithm::PS512, Some("ps")),
        Issuer::es256(Some("es256")),
        Issuer::new(p384, jsonwebtoken::Algorithm::ES384, Some("es384")),
        ed,
    ];
    let keys = KeySet::empty();
    let published: Vec<&Value> = issuers.iter().map(|issuer| &issuer.published).collect();
    assert_eq!(publish(&keys, &published), issuers.len());
    let verifier = verifier(keys, &ALL);
    for issuer in &issuers {
        let kid = issuer.published["kid"].as_str();
        assert!(
            verifier.verify(&issuer.token(kid), now()).is_ok(),
            "{kid:?}"
        );
        assert!(
            verifier.verify(&issuer.token(None), now()).is_ok(),
            "{kid:?}"
        );
    }
}

#[test]
fn a_p521_key_verifies_es512_whether_it_says_so_or_not() {
    let (pair, token) = es512();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
    let [x, y] = [1..67, 67..133].map(|part| URL_SAFE_NO_PAD.encode(&public[part]));
    for alg in [json!(null), json!("ES512")] {
        let jwk = json!({"kty": "EC", "crv": "P-521", "alg": alg, "x": x, "y": y});
        let keys = KeySet::empty();
        assert_eq!(publish(&keys, &[&jwk]), 1);
        assert!(verifier(keys, &ALL).verify(&token, now()).is_ok());
    }
}

#[test]
fn padded_numbers_are_read() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let rsa = EncodingKey::from_rsa_pem(rsa.unwrap().serialize_pem().as_bytes()).unwrap();
    let mut issuer = Issuer::new(rsa, jsonwebtoken::Algorithm::RS256, None);
    let n = URL_SAFE_NO_PAD.decode(issuer.published["n"].as_str().unwrap());
    let padded = URL_SAFE.encode([vec![0], n.unwrap()].concat());
    issuer.published["n"] = json!(padded);
    let keys = KeySet::empty();
    assert_eq!(publish(&keys, &[&issuer.published]), 1);
    assert!(
        verifier(keys, &ALL)
            .verify(&issuer.token(None), now())
            .is_ok()
    );
}

#[test]
fn a_key_that_names_its_algorithm_is_for_no_other() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let rsa = EncodingKey::from_rsa_pem(rsa.unwrap().serialize_pem().as_bytes()).unwrap();
    let mut issuer = Issuer::new(rsa, jsonwebtoken::Algorithm::RS256, Some("a"));
    issuer.published["alg"] = json!("RS256");
    let keys = KeySet::empty();
    let verifier = verifier(keys.clone(), &ALL);
    let other = issuer.token_as(jsonwebtoken::Algorithm::PS256, Some("a"));

    publish(&keys, &[&issuer.published]);
    assert!(verifier.verify(&issuer.token(Some("a")), now()).is_ok());
    assert!(is_wrong(&verifier.verify(&other, now())));

    issuer.published.as_object_mut().unwrap().remove("alg");
    publish(&keys, &[&issuer.published]);
    assert!(verifier.verify(&other, now()).is_ok());
}

#[test]
fn a_removed_key_stops_working_and_a_new_one_starts() {
    let (old, new) = (Issuer::es256(Some("old")), Issuer::es256(Some("new")));
    let keys = KeySet::empty();
    let verifier = verifier(keys.clone(), &ALL);
    let unknown = Err(Rejected::UnknownKey);
    assert_eq!(verifier.verify(&old.token(Some("old")), now()), unknown);
    publish(&keys, &[&old.published]);
    assert!(verifier.verify(&old.token(Some("old")), now()).is_ok());
    assert_eq!(verifier.verify(&new.token(Some("new")), now()), unknown);
    publish(&keys, &[&new.published]);
    assert_eq!(verifier.verify(&old.token(Some("old")), now()), unknown);
    assert!(verifier.verify(&new.token(Some("new")), now()).is_ok());
}

#[test]
fn a_known_name_with_a_wrong_signature_asks_for_no_fetch() {
    let (one, other) = (Issuer::es256(Some("a")), Issuer::es256(Some("b")));
    let keys = KeySet::empty();
    publish(&keys, &[&one.published, &other.published]);
    let verifier = verifier(keys, &ALL);
    assert!(is_wrong(&verifier.verify(&one.token(Some("b")), now())));
}

#[test]
fn keys_without_a_name_are_tried_for_every_token() {
    let issuer = Issuer::es256(None);
    let keys = KeySet::empty();
    publish(&keys, &[&issuer.published]);
    let verifier = verifier(keys, &ALL);
    for kid in [None, Some("whatever")] {
        assert!(verifier.verify(&issuer.token(kid), now()).is_ok());
    }
    let stranger = Issuer::es256(None).token(None);
    let unknown = Err(Rejected::UnknownKey);
    assert_eq!(verifier.verify(&stranger, now()), unknown);
}

#[test]
fn keys_that_are_not_for_us_are_skipped() {
    let good = Issuer::es256(Some("a"))
        .with("use", &json!("sig"))
        .with("key_ops", &json!(["verify"]))
        .with("iat", &json!(1_700_000_000.5))
        .with("oth", &json!([{"r": 1}, 2, null]))
        .with("x5c", &json!(["MIIB"]));
    let skipped = [
        Issuer::es256(Some("b"))
            .with("use", &json!("enc"))
            .published,
        Issuer::es256(Some("b"))
            .with("key_ops", &json!(["sign"]))
            .published,
        Issuer::es256(Some("b"))
            .with("alg", &json!("ECDH-ES"))
            .published,
        Issuer::es256(Some("b"))
            .with("alg", &json!("RS256"))
            .published,
        Issuer::es256(Some("b")).with("x", &json!("AAAA")).published,
        Issuer::es256(Some("b"))
            .with("kty", &json!("AKP"))
            .published,
        json!({"kty": "oct", "kid": "b", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "kid": "b", "n": "AQAB", "e": "AQAB"}),
        // As DER it is 32 bytes long, like a raw Ed25519 key.
        json!({"kty": "RSA", "kid": "b", "n": "AIA-", "e": "AIA-"}),
        json!({"kty": "RSA", "kid": "b"}),
        json!({"kid": "b"}),
        json!("b"),
        json!(null),
    ];
    let keys = KeySet::empty();
    let mut published: Vec<&Value> = skipped.iter().collect();
    published.push(&good.published);
    assert_eq!(publish(&keys, &published), 1);
    let verifier = verifier(keys, &ALL);
    assert!(verifier.verify(&good.token(Some("a")), now()).is_ok());
}

#[test]
fn a_published_secret_verifies_nothing() {
    let keys = KeySet::empty();
    publish(
        &keys,
        &[&json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})],
    );
    let key = EncodingKey::from_secret(b"secret");
    let token = Secret::new(encode(&Header::default(), &access(), &key).unwrap());
    assert!(verifier(keys, &ALL).verify(&token, now()).is_err());
}

#[test]
fn what_is_no_jwks_leaves_the_keys_as_they_are() {
    let issuer = Issuer::es256(Some("a"));
    let keys = KeySet::empty();
    publish(&keys, &[&issuer.published]);
    for document in [
        "",
        "[]",
        "<html>",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
    ] {
        assert!(keys.replace(document.as_bytes()).is_err(), "{document}");
    }
    let verifier = verifier(keys.clone(), &ALL);
    assert!(verifier.verify(&issuer.token(Some("a")), now()).is_ok());
    assert_eq!(publish(&keys, &[]), 0);
    assert!(verifier.verify(&issuer.token(Some("a")), now()).is_err());
}

proptest! {
    #[test]
    fn no_document_makes_reading_panic(document: Vec<u8>, n in "[A-Za-z0-9_-]{0,40}") {
        let keys = KeySet::empty();
        drop(keys.replace(&document));
        for (kty, crv) in [("RSA", ""), ("EC", "P-256"), ("EC", "P-521"), ("OKP", "Ed25519")] {
            let key = json!({"kty": kty, "crv": crv, "n": n, "e": n, "x": n, "y": n});
            prop_assert_eq!(publish(&keys, &[&key]), 0, "{} {}", kty, crv);
        }
    }
}
