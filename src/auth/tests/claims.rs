//! What a token must say, and when it runs out.

use proptest::prelude::*;

use super::*;

#[test]
fn an_access_token_says_who_somebody_is() {
    let identity = verify(&hs256(), &access_with(&json!({"plan": "pro"}))).unwrap();
    assert_eq!(identity.user.as_str(), "42");
    assert_eq!(identity.user_value, json!(42));
    assert_eq!(identity.claims["plan"], "pro");
    assert_eq!(identity.expires_at, Some(at(NOW + 300)));
}

#[test]
fn a_token_runs_out_at_its_second() {
    let token = signed(&access());
    let last = at(NOW + 300) - Duration::from_nanos(1);
    assert!(hs256().verify(&token, last).is_ok());
    let over = hs256().verify(&token, at(NOW + 300));
    assert_eq!(over, Err(Rejected::Expired));
}

#[test]
fn leeway_counts_for_exp_nbf_and_iat() {
    let lenient = Verifier {
        leeway: Duration::from_secs(5),
        refuse_future_iat: true,
        ..hs256()
    };
    let expired = json!({"exp": NOW - 4});
    let identity = verify(&lenient, &access_with(&expired)).unwrap();
    assert_eq!(identity.expires_at, Some(at(NOW + 1)));
    let over = verify(&lenient, &access_with(&json!({"exp": NOW - 5})));
    assert_eq!(over, Err(Rejected::Expired));
    assert!(!is_refused(
        &lenient,
        &json!({"nbf": NOW + 5, "iat": NOW + 5})
    ));
    assert!(is_refused(&lenient, &json!({"nbf": NOW + 6})));
    assert!(is_refused(&lenient, &json!({"iat": NOW + 6})));
}

#[test]
fn a_token_is_not_valid_before_its_nbf() {
    assert!(!is_refused(&hs256(), &json!({"nbf": NOW})));
    assert!(is_refused(&hs256(), &json!({"nbf": NOW + 1})));
}

#[test]
fn an_issue_in_the_future_counts_only_where_it_is_asked_for() {
    let strict = Verifier {
        refuse_future_iat: true,
        ..hs256()
    };
    let later = json!({"iat": NOW + 600});
    assert!(!is_refused(&hs256(), &later));
    assert!(is_refused(&strict, &later));
    assert!(!is_refused(&strict, &json!({"iat": NOW})));
}

#[test]
fn a_refresh_token_opens_nothing() {
    let refused = verify(&hs256(), &access_with(&json!({"token_type": "refresh"})));
    let why = r#"claim `token_type` is not "access""#;
    assert_eq!(refused, Err(Rejected::Invalid(why.into())));
    assert!(is_refused(&hs256(), &json!({"token_type": null})));
}

#[test]
fn expected_values_are_compared_as_json() {
    let strict = Verifier {
        require: vec![("level".into(), json!(2)), ("a.b".into(), json!([true]))],
        ..hs256()
    };
    assert!(!is_refused(
        &strict,
        &json!({"level": 2, "a": {"b": [true]}})
    ));
    assert!(is_refused(
        &strict,
        &json!({"level": "2", "a": {"b": [true]}})
    ));
    assert!(is_refused(&strict, &json!({"level": 2, "a": {"b": true}})));
}

#[test]
fn required_claims_must_be_there() {
    let strict = Verifier {
        required_claims: vec!["exp".into(), "jti".into()],
        ..hs256()
    };
    assert!(!is_refused(&strict, &json!({"jti": "x"})));
    assert!(is_refused(&strict, &json!({})));
    assert!(is_refused(&strict, &json!({"jti": "x", "exp": null})));
    assert!(!is_refused(&hs256(), &json!({"exp": null})));
}

#[test]
fn foreign_issuers_and_audiences_count_only_where_they_are_configured() {
    let foreign = json!({"iss": "elsewhere", "aud": "others"});
    assert!(!is_refused(&hs256(), &foreign));
    let strict = Verifier {
        issuers: vec!["here".into(), "there".into()],
        audiences: vec!["us".into()],
        ..hs256()
    };
    assert!(is_refused(&strict, &foreign));
    assert!(is_refused(&strict, &json!({})));
    assert!(is_refused(&strict, &json!({"iss": "there"})));
    assert!(is_refused(
        &strict,
        &json!({"iss": "elsewhere", "aud": "us"})
    ));
    assert!(is_refused(&strict, &json!({"iss": ["here"], "aud": "us"})));
    assert!(!is_refused(&strict, &json!({"iss": "there", "aud": "us"})));
    let list = json!({"iss": "here", "aud": [7, "others", "us"]});
    assert!(!is_refused(&strict, &list));
}

#[test]
fn a_users_id_is_a_text_or_a_whole_number() {
    for (id, text) in [
        (json!("42"), "42"),
        (json!(42), "42"),
        (json!(-1), "-1"),
        (json!(9_007_199_254_740_993_u64), "9007199254740993"),
        (json!("0b5e-uuid"), "0b5e-uuid"),
    ] {
        let identity = verify(&hs256(), &access_with(&json!({"user_id": id}))).unwrap();
        assert_eq!(identity.user.as_str(), text);
        assert_eq!(identity.user_value, id);
    }
    for id in [
        json!(""),
        json!(true),
        json!(4.5),
        json!([42]),
        json!({}),
        json!(null),
    ] {
        assert!(is_refused(&hs256(), &json!({"user_id": id})), "{id}");
    }
}

#[test]
fn a_null_user_is_nobody() {
    let mut claims = access();
    claims["user_id"] = Value::Null;
    assert!(verify(&hs256(), &claims).is_err());
}

#[test]
fn the_users_claim_may_stand_inside_another() {
    for (name, claims) in [
        (
            "https://app.example/id",
            json!({"https://app.example/id": 7}),
        ),
        ("user.id", json!({"user": {"id": 7}})),
        ("user.id", json!({"user.id": 7, "user": {"id": 8}})),
    ] {
        let verifier = Verifier {
            user_claim: name.into(),
            ..hs256()
        };
        let identity = verify(&verifier, &access_with(&claims)).unwrap();
        assert_eq!(identity.user_value, json!(7));
    }
}

#[test]
fn moments_may_have_fractions_but_must_be_numbers() {
    let exact = |exp: f64| verify(&hs256(), &access_with(&json!({"exp": exp})));
    let half = at(NOW) + Duration::from_millis(500);
    assert_eq!(exact(1_800_000_000.5).unwrap().expires_at, Some(half));
    assert_eq!(exact(1_799_999_999.5), Err(Rejected::Expired));
    assert_eq!(exact(-5.0), Err(Rejected::Expired));
    for wrong in [
        json!("1900000000"),
        json!(true),
        json!([]),
        json!({}),
        json!(1e300),
    ] {
        assert!(is_refused(&hs256(), &json!({"exp": wrong})), "{wrong}");
        assert!(is_refused(&hs256(), &json!({"nbf": wrong})), "{wrong}");
    }
    let mut claims = access();
    claims["exp"] = Value::Null;
    assert!(verify(&hs256(), &claims).is_err());
}

#[test]
fn numbers_beyond_all_types_do_not_panic() {
    for number in [
        "1e400",
        "-1e400",
        "99999999999999999999999999999",
        "1e-400",
        "-0.0",
    ] {
        let number: Value = serde_json::from_str(number).unwrap();
        for claim in ["exp", "nbf", "iat", "user_id"] {
            let claims = access_with(&json!({ claim: number }));
            let strict = Verifier {
                refuse_future_iat: true,
                ..hs256()
            };
            drop(verify(&strict, &claims));
        }
    }
}

#[test]
fn a_wrong_signature_is_noticed_before_anything_else() {
    let other = Verifier {
        keys: KeySet::secret(&Secret::new("another"), &[Algorithm::HS256]).unwrap(),
        ..hs256()
    };
    let refused = verify(&other, &access_with(&json!({"exp": 1})));
    let why = "the token's signature is wrong";
    assert_eq!(refused, Err(Rejected::Invalid(why.into())));
}

#[test]
fn huge_tokens_are_refused_unread() {
    let token = signed(&access_with(&json!({"fill": "x".repeat(16 * 1024)})));
    let error = hs256().verify(&token, now()).unwrap_err();
    assert_eq!(error.to_string(), "not a signed token: it is too long");
}

#[test]
fn refusals_never_say_the_token() {
    let token = signed(&access_with(&json!({"user_id": "", "iss": "hidden"})));
    let strict = Verifier {
        issuers: vec!["here".into()],
        ..hs256()
    };
    for verifier in [hs256(), strict] {
        let error = format!("{:?}", verifier.verify(&token, now()).unwrap_err());
        assert!(!error.contains("hidden"));
        assert!(token.expose().split('.').all(|part| !error.contains(part)));
    }
}

proptest! {
    #[test]
    fn no_text_makes_verifying_panic(text in ".{0,200}") {
        prop_assert!(hs256().verify(&Secret::new(text), now()).is_err());
    }

    #[test]
    fn no_signed_payload_makes_verifying_panic(payload: Vec<u8>) {
        let message = format!("{}.{}", base64(br#"{"alg":"HS256"}"#), base64(&payload));
        let tag = hs256().keys.sign(Algorithm::HS256, message.as_bytes()).unwrap();
        let token = format!("{message}.{}", base64(tag.as_ref()));
        prop_assert!(hs256().verify(&Secret::new(token), now()).is_err());
    }

    #[test]
    fn no_single_changed_byte_is_accepted(at in 0_usize..150, byte in b'!'..b'~') {
        let token = signed(&access());
        let mut bytes = token.expose().as_bytes().to_vec();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = Secret::new(String::from_utf8(bytes).unwrap());
        prop_assert!(hs256().verify(&changed, now()).is_err());
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}
