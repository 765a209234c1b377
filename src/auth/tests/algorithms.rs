//! Every algorithm with every form of key, and no algorithm with another's key.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair as KeyPairOf},
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};

use super::*;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

fn rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

fn encoding_key(algorithm: Algorithm, pair: &KeyPair) -> EncodingKey {
    let pem = pair.serialize_pem();
    match algorithm.name().get(..2).unwrap() {
        "ES" => EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
        "Ed" => EncodingKey::from_ed_pem(pem.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
    }
}

fn signed_by(pair: &KeyPair, algorithm: Algorithm) -> Secret {
    let header = Header::new(algorithm.name().parse().unwrap());
    let key = encoding_key(algorithm, pair);
    Secret::new(encode(&header, &access(), &key).unwrap())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn spki(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

fn accepts(verifier: &Verifier, token: &Secret) -> bool {
    verifier.verify(token, now()).is_ok()
}

#[test]
fn a_public_key_verifies_each_of_its_algorithms() {
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let kinds: [(KeyPair, &[Algorithm]); 4] = [
        (rsa_key(), &RSA),
        (p256, &[Algorithm::ES256]),
        (p384, &[Algorithm::ES384]),
        (ed, &[Algorithm::EdDSA]),
    ];
    for (pair, algorithms) in &kinds {
        let keys = KeySet::pem(pair.public_key_pem().as_bytes(), algorithms).unwrap();
        let verifier = verifier(keys, algorithms);
        for algorithm in *algorithms {
            let token = signed_by(pair, *algorithm);
            assert!(accepts(&verifier, &token), "{algorithm}");
            let tampered = Secret::new(format!("{}A", token.expose()));
            assert!(!accepts(&verifier, &tampered), "{algorithm}");
        }
    }
}

#[test]
fn es512_is_verified_with_a_key_on_p521() {
    let (pair, token) = es512();
    let pem = pem("PUBLIC KEY", &spki(KeyPairOf::public_key(&pair)));
    let keys = KeySet::pem(pem.as_bytes(), &[Algorithm::ES512]).unwrap();
    assert!(accepts(&verifier(keys, &[Algorithm::ES512]), &token));
}

#[test]
fn a_secret_verifies_each_hmac() {
    let algorithms = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    let keys = KeySet::secret(&Secret::new(SECRET), &algorithms).unwrap();
    let verifier = verifier(keys, &algorithms);
    for algorithm in algorithms {
        let header = Header::new(algorithm.name().parse().unwrap());
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&header, &access(), &key).unwrap();
        assert!(accepts(&verifier, &Secret::new(token)), "{algorithm}");
    }
}

#[test]
fn pkcs1_and_certificates_hold_keys_too() {
    let pair = rsa_key();
    let token = signed_by(&pair, Algorithm::RS256);
    let spki = pair.subject_public_key_info();
    let pkcs1 = aws_lc_rs::rsa::PublicKey::from_der(&spki).unwrap();
    let params = rcgen::CertificateParams::new(["issuer.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    for text in [pem("RSA PUBLIC KEY", pkcs1.as_ref()), certificate] {
        let keys = KeySet::pem(text.as_bytes(), &[Algorithm::RS256]).unwrap();
        assert!(accepts(&verifier(keys, &[Algorithm::RS256]), &token));
    }
}

#[test]
fn two_keys_in_one_file_are_both_believed() {
    let (old, new) = (rsa_key(), rsa_key());
    let file = old.public_key_pem() + &new.public_key_pem();
    let keys = KeySet::pem(file.as_bytes(), &[Algorithm::RS256]).unwrap();
    let verifier = verifier(keys, &[Algorithm::RS256]);
    for pair in [old, new] {
        assert!(accepts(&verifier, &signed_by(&pair, Algorithm::RS256)));
    }
    assert!(!accepts(
        &verifier,
        &signed_by(&rsa_key(), Algorithm::RS256)
    ));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let pair = rsa_key();
    let public = pair.public_key_pem();
    let keys = KeySet::pem(public.as_bytes(), &[Algorithm::RS256]).unwrap();
    // Even if the rules allowed HS256, there would be no key for it.
    let verifier = verifier(keys, &[Algorithm::RS256, Algorithm::HS256]);
    for secret in [public.into_bytes(), pair.subject_public_key_info()] {
        let key = EncodingKey::from_secret(&secret);
        let token = encode(&Header::default(), &access(), &key).unwrap();
        assert!(!accepts(&verifier, &Secret::new(token)));
    }
}

#[test]
fn only_the_named_algorithms_are_believed() {
    let pair = rsa_key();
    let algorithms = [Algorithm::RS256];
    let keys = KeySet::pem(pair.public_key_pem().as_bytes(), &algorithms).unwrap();
    let token = signed_by(&pair, Algorithm::PS256);
    let refused = verifier(keys, &algorithms).verify(&token, now());
    let why = "the token is signed with PS256, which is not allowed";
    assert_eq!(refused, Err(Rejected::Invalid(why.into())));
}

#[test]
fn unsigned_tokens_are_refused() {
    let claims = URL_SAFE_NO_PAD.encode(access().to_string());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256"}"#,
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        let token = Secret::new(format!("{header}.{claims}."));
        let refused = hs256().verify(&token, now());
        assert!(matches!(refused, Err(Rejected::Invalid(_))));
    }
}

#[test]
fn headers_may_say_more_than_is_known() {
    let more = json!({"alg": "HS256", "kid": "a", "ver": 1.5, "x": {"y": [1, null]}});
    assert!(accepts(&hs256(), &signed_under(&more, &access())));
    for (header, why) in [
        (json!({"alg": "HS256", "crit": ["exp"]}), "extension"),
        (json!({"alg": "ES512", "crit": ["exp"]}), "extension"),
        (json!({"alg": "ES512"}), "is not allowed"),
        (json!({"alg": "HS257"}), "algorithm is not known"),
        (json!(["HS256"]), "cannot be read"),
    ] {
        let refused = hs256().verify(&signed_under(&header, &access()), now());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused} should say {why}");
    }
}

#[test]
fn ed25519_is_another_name_of_eddsa() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let file = pem("PUBLIC KEY", &spki(pair.public_key()));
    let keys = KeySet::pem(file.as_bytes(), &[Algorithm::EdDSA]).unwrap();
    let verifier = verifier(keys, &[Algorithm::EdDSA]);
    for name in ["EdDSA", "Ed25519"] {
        let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
        let token = compact(&json!({ "alg": name }), &access(), sign);
        assert!(accepts(&verifier, &token), "{name}");
    }
}

#[test]
fn keys_that_could_never_verify_are_refused_at_load() {
    let secret = |text: &str, algorithm| {
        let secret = KeySet::secret(&Secret::new(text), &[algorithm]);
        secret.unwrap_err().to_string()
    };
    assert_eq!(
        secret("", Algorithm::HS256),
        "the secret is empty, so anybody could sign"
    );
    assert_eq!(
        secret("x", Algorithm::RS256),
        "RS256 needs a public key of its kind"
    );
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let public = p256.public_key_pem();
    let small = include_str!("rsa_1024.pem");
    let cut = public.replace("-----END", "");
    let broken = public.replace("MF", "!!");
    let private = p256.serialize_pem();
    for (file, algorithms, why) in [
        ("", &[Algorithm::ES256][..], "no `-----BEGIN PUBLIC KEY"),
        (SECRET, &[Algorithm::ES256], "no `-----BEGIN PUBLIC KEY"),
        (&cut, &[Algorithm::ES256], "has no end"),
        (&broken, &[Algorithm::ES256], "base64 is broken"),
        (&private, &[Algorithm::ES256], "holds a private key"),
        (&public, &[Algorithm::RS256], "not usable with any"),
        (&public, &[Algorithm::ES384], "not usable with any"),
        (&public, &[Algorithm::HS256], "not usable with any"),
        (small, &[Algorithm::RS256], "2048 to 8192 bits"),
        (&public, &[], "not usable with any"),
        (
            &public,
            &[Algorithm::ES256, Algorithm::HS256],
            "HS256 needs a shared secret",
        ),
    ] {
        let error = KeySet::pem(file.as_bytes(), algorithms).unwrap_err();
        assert!(error.0.contains(why), "{error} should say {why}");
    }
}

#[test]
fn algorithms_are_read_by_their_registered_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
    for name in ["none", "hs256", "ES256K", ""] {
        assert!(name.parse::<Algorithm>().is_err());
    }
}
