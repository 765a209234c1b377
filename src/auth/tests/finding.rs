//! Where tokens are found. The rules of four real apps stand here as tests.

use http::{HeaderName, HeaderValue, Request, request::Parts};
use proptest::prelude::*;

use crate::auth::{Empty, FallThrough, Repeated, TokenSource, TokenSources};

fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn sources(sources: &[TokenSource]) -> TokenSources {
    TokenSources {
        sources: sources.to_vec(),
        ..TokenSources::default()
    }
}

fn query() -> TokenSource {
    TokenSource::Query("token".into())
}

fn cookie() -> TokenSource {
    TokenSource::Cookie("access_token".into())
}

fn header(name: &'static str) -> TokenSource {
    TokenSource::Header(HeaderName::from_static(name))
}

fn found(sources: &TokenSources, request: &Parts) -> Vec<String> {
    let tokens = sources.find(request);
    let texts = tokens.iter().map(|token| token.text.expose().to_owned());
    texts.collect()
}

fn one(source: TokenSource, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
    let found = found(&sources(&[source]), &request(uri, headers));
    found.into_iter().next()
}

#[test]
fn the_query_is_decoded_as_python_does() {
    for (uri, token) in [
        ("/ws?token=abc", Some("abc")),
        ("/ws?a=1&token=a.b-c_d&b", Some("a.b-c_d")),
        ("/ws?token=a%2Bb+c%2e", Some("a+b c.")),
        ("/ws?to%6ben=x", Some("x")),
        ("/ws?token=a%zz%4", Some("a%zz%4")),
        ("/ws?token=a=b", Some("a=b")),
        ("/ws?token=%C3%A9%FF", Some("\u{e9}\u{fffd}")),
        ("/ws?Token=x", None),
        ("/ws?xtoken=x", None),
        ("/ws?token=", None),
        ("/ws?token", None),
        ("/ws", None),
    ] {
        assert_eq!(one(query(), uri, &[]).as_deref(), token, "{uri}");
    }
}

#[test]
fn the_first_or_the_last_of_repeated_parameters_counts() {
    let request = request("/ws?token=bad&token=good&token=", &[]);
    let first = sources(&[query()]);
    let last = TokenSources {
        repeated: Repeated::Last,
        ..first.clone()
    };
    assert_eq!(found(&first, &request), ["bad"]);
    assert_eq!(found(&last, &request), ["good"]);
    let last = TokenSources {
        empty: Empty::Bad,
        ..last
    };
    assert_eq!(found(&last, &request), [""]);
}

#[test]
fn the_next_source_is_tried_when_this_one_is_absent() {
    let both = sources(&[query(), cookie()]);
    let headers = [("cookie", "access_token=good")];
    assert_eq!(found(&both, &request("/ws?token=bad", &headers)), ["bad"]);
    assert_eq!(found(&both, &request("/ws?token=", &headers)), ["good"]);
    assert_eq!(found(&both, &request("/ws", &headers)), ["good"]);
    assert!(found(&both, &request("/ws", &[])).is_empty());
}

#[test]
fn all_sources_are_tried_where_a_bad_token_falls_through() {
    let both = TokenSources {
        fall_through: FallThrough::Invalid,
        ..sources(&[cookie(), query()])
    };
    let headers = [("cookie", "access_token=bad")];
    let request = request("/ws?token=good", &headers);
    assert_eq!(found(&both, &request), ["bad", "good"]);
    let tokens = both.find(&request);
    assert_eq!(tokens[1].source, query());
}

#[test]
fn an_empty_token_can_count_as_a_bad_one() {
    let both = TokenSources {
        empty: Empty::Bad,
        ..sources(&[query(), cookie()])
    };
    let headers = [("cookie", "access_token=good")];
    assert_eq!(found(&both, &request("/ws?token=", &headers)), [""]);
    assert_eq!(found(&both, &request("/ws", &headers)), ["good"]);
}

#[test]
fn cookies_are_split_with_or_without_space() {
    for (lines, token) in [
        (&["a=1; access_token=x; b=2"][..], Some("x")),
        (&["a=1;access_token=x;b=2"], Some("x")),
        (&["a=1", "access_token=x"], Some("x")),
        (&["access_token=\"x\""], Some("x")),
        (&["access_token=a=b"], Some("a=b")),
        (&["access_token=x; access_token=y"], Some("y")),
        (&["access_token=x; access_token="], Some("x")),
        (&["access_token=; a=1"], None),
        (&["Access_Token=x"], None),
        (&["access_token"], None),
        (&[], None),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        assert_eq!(one(cookie(), "/", &headers).as_deref(), token, "{lines:?}");
    }
}

#[test]
fn authorization_counts_only_as_bearer() {
    for (value, token) in [
        ("Bearer x", Some("x")),
        ("bearer   x ", Some("x")),
        ("BEARER x", Some("x")),
        ("Bearer", None),
        ("Basic eA==", None),
        ("x", None),
        ("Bearerx", None),
    ] {
        let headers = [("authorization", value)];
        let text = one(header("authorization"), "/", &headers);
        assert_eq!(text.as_deref(), token, "{value}");
    }
    for (value, token) in [("x", Some("x")), ("Bearer x", Some("x")), ("", None)] {
        let text = one(header("x-token"), "/", &[("x-token", value)]);
        assert_eq!(text.as_deref(), token, "{value}");
    }
}

#[test]
fn a_subprotocol_carries_a_token_and_must_be_answered() {
    for (lines, token, answer) in [
        (&["bearer, x"][..], Some("x"), "bearer"),
        (&["json,bearer,x"], Some("x"), "bearer"),
        (&["json", "bearer", "x"], Some("x"), "bearer"),
        (&["Bearer, x"], Some("x"), "Bearer"),
        (&["json, bearer.x.y.z"], Some("x.y.z"), "bearer.x.y.z"),
        (&["bearer"], None, ""),
        (&["json"], None, ""),
        (&["bearers, x"], None, ""),
        (&[], None, ""),
    ] {
        let name = "sec-websocket-protocol";
        let headers: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        let source = TokenSource::Subprotocol("bearer".into());
        let tokens = sources(&[source]).find(&request("/", &headers));
        let first = tokens.first();
        assert_eq!(first.map(|one| one.text.expose()), token, "{lines:?}");
        if let Some(first) = first {
            let selected = first.subprotocol.as_ref().unwrap();
            assert_eq!(selected, answer);
            assert_eq!(format!("{selected:?}"), "Sensitive");
        }
    }
}

#[test]
fn other_sources_ask_for_no_subprotocol() {
    let tokens = sources(&[query()]).find(&request("/?token=hidden", &[]));
    assert!(tokens[0].subprotocol.is_none());
    assert!(!format!("{tokens:?}").contains("hidden"));
}

proptest! {
    #[test]
    fn no_request_makes_finding_panic(query_text in "[!#-;=?-_a-z~]{0,60}", bytes: Vec<u8>, text in ".{0,60}") {
        let uri = format!("/?token={query_text}");
        prop_assume!(uri.parse::<http::Uri>().is_ok());
        let mut parts = request(&uri, &[]);
        for name in ["cookie", "authorization", "sec-websocket-protocol"] {
            for value in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    parts.headers.append(HeaderName::from_static(name), value);
                }
            }
        }
        let all = TokenSources {
            fall_through: FallThrough::Invalid,
            empty: Empty::Bad,
            ..sources(&[
                query(),
                cookie(),
                header("authorization"),
                header("cookie"),
                TokenSource::Subprotocol(String::new()),
            ])
        };
        prop_assert!(all.find(&parts).len() <= 5);
    }
}
