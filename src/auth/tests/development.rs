//! Development tokens are what the config's own verifier accepts.

use super::*;
use crate::auth::NoDevelopmentToken;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_development_token_passes_every_configured_check() {
    let strict = Verifier {
        user_claim: "user.id".into(),
        issuers: vec!["here".into()],
        audiences: vec!["us".into()],
        require: vec![
            ("token_type".into(), json!("access")),
            ("user.staff".into(), json!(true)),
        ],
        required_claims: ["exp", "iat", "jti"].map(Into::into).to_vec(),
        refuse_future_iat: true,
        ..hs256()
    };
    let token = strict
        .development_token(json!(42), &[], HOUR, now())
        .unwrap();
    let identity = strict.verify(&token, now()).unwrap();
    assert_eq!(identity.user_value, json!(42));
    assert_eq!(identity.expires_at, Some(at(NOW + 3600)));
    assert_eq!(identity.claims["user"], json!({"staff": true, "id": 42}));
    assert_eq!(identity.claims["aud"], "us");
}

#[test]
fn two_development_tokens_differ_in_their_id() {
    let make = || {
        hs256()
            .development_token(json!("42"), &[], HOUR, now())
            .unwrap()
    };
    assert_ne!(make().expose(), make().expose());
}

#[test]
fn a_development_token_carries_more_claims() {
    let extra = [
        ("role".to_owned(), json!("admin")),
        ("realm.id".to_owned(), json!(3)),
    ];
    let token = hs256()
        .development_token(json!(42), &extra, HOUR, now())
        .unwrap();
    let claims = hs256().verify(&token, now()).unwrap().claims;
    assert_eq!(
        (&claims["role"], &claims["realm"]),
        (&json!("admin"), &json!({"id": 3}))
    );
}

#[test]
fn a_development_token_is_signed_with_the_secret() {
    let token = hs256()
        .development_token(json!(42), &[], HOUR, now())
        .unwrap();
    let (message, signature) = token.expose().rsplit_once('.').unwrap();
    let expected = URL_SAFE_NO_PAD.encode(hs256_signature(message.as_bytes()));
    assert_eq!(signature, expected);
}

#[test]
fn what_cannot_be_signed_or_accepted_is_said() {
    let public = Verifier {
        algorithms: vec![Algorithm::RS256],
        keys: KeySet::empty(),
        ..hs256()
    };
    let none = public.development_token(json!(42), &[], HOUR, now());
    assert_eq!(none.unwrap_err(), NoDevelopmentToken::NoSecret);
    let strict = Verifier {
        required_claims: vec!["email".into()],
        ..hs256()
    };
    let refused = strict.development_token(json!(42), &[], HOUR, now());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the config would refuse it: the token lacks claim `email`"
    );
}
