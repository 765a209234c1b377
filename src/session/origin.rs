//! From where browsers may connect (RFC 6455, section 10.2).

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, HOST, ORIGIN},
};

use crate::{
    auth::{Token, TokenSource},
    routes::{Method, Origins},
};

/// Whether a client may be known by what browsers send along from any page: a
/// cookie, or a password they were told once. Where we verify tokens, the token says
/// it; the app looks at whatever it likes.
pub(super) fn is_by_cookie(method: &Method, token: Option<&Token>, headers: &HeaderMap) -> bool {
    match (method, token) {
        (Method::Jwt(_), Some(token)) => matches!(token.source, TokenSource::Cookie(_)),
        _ => headers.contains_key(COOKIE) || headers.get_all(AUTHORIZATION).iter().any(is_ambient),
    }
}

/// No browser adds a bearer token by itself.
fn is_ambient(authorization: &HeaderValue) -> bool {
    let scheme = authorization.as_bytes().split(|byte| *byte == b' ').next();
    !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

/// Whether a handshake may come from the page it comes from. What sends no
/// `Origin` is no browser. The host is compared with its port.
pub(super) fn is_allowed(origins: &Origins, headers: &HeaderMap, by_cookie: bool) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    match origins {
        Origins::Any => true,
        Origins::Only(list) => list
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(origin)),
        Origins::Auto => !by_cookie || is_own(origin, headers),
    }
}

/// The page's origin, if a page from there may read what it asked for.
pub(super) fn shared(
    origins: &Origins,
    headers: &HeaderMap,
    by_cookie: bool,
) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?.clone();
    is_allowed(origins, headers, by_cookie).then_some(origin)
}

/// Whether a foreign page asks without saying which: it could not read the answer, but
/// would open a session with its visitor's cookies. Browsers name the origin of
/// each WebSocket, but of a plain GET only where its answer is to be read elsewhere.
pub(super) fn hides(origins: &Origins, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    *origins != Origins::Any
        && !headers.contains_key(ORIGIN)
        && matches!(site, Some(b"cross-site" | b"same-site"))
}

fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    let bare = |host: &str| {
        host.to_ascii_lowercase()
            .trim_end_matches(default)
            .to_owned()
    };
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, origin: &str, by_cookie: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "app.example".parse().unwrap());
        headers.insert(ORIGIN, origin.parse().unwrap());
        is_allowed(origins, &headers, by_cookie)
    }

    #[test]
    fn a_foreign_page_cannot_use_a_cookie() {
        assert!(allowed(&Origins::Auto, "https://app.example", true));
        assert!(allowed(&Origins::Auto, "https://app.example:443", true));
        assert!(!allowed(&Origins::Auto, "https://evil.example", true));
        assert!(!allowed(&Origins::Auto, "null", true));
        assert!(!allowed(&Origins::Auto, "http://app.example:8080", true));
        assert!(allowed(&Origins::Auto, "https://evil.example", false));
    }

    #[test]
    fn a_foreign_page_cannot_hide() {
        let hidden = |site: &'static str, origins: Origins| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            hides(&origins, &headers)
        };
        assert!(hidden("cross-site", Origins::Auto));
        assert!(hidden("same-site", Origins::Only(Vec::new())));
        assert!(!hidden("same-origin", Origins::Auto));
        assert!(!hidden("none", Origins::Auto));
        assert!(!hidden("cross-site", Origins::Any));
        assert!(!hides(&Origins::Auto, &HeaderMap::new()));
    }

    #[test]
    fn a_list_is_a_list() {
        let list = Origins::Only(vec!["https://front.example".into()]);
        assert!(allowed(&list, "https://front.example", true));
        assert!(!allowed(&list, "https://app.example", false));
        assert!(is_allowed(&list, &HeaderMap::new(), true));
    }
}
