//! The exchanges: each a request and a response, byte for byte.

#![allow(clippy::too_many_lines, reason = "tables")]

/// One exchange.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    /// Same-name headers stand apart in it: hyper moves them together, at the
    /// place of the first, so only their own order is compared.
    pub(super) interleaved: bool,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";

impl Case {
    pub(super) fn method(&self) -> &str {
        let end = self.request.iter().position(|byte| *byte == b' ').unwrap();
        std::str::from_utf8(&self.request[..end]).unwrap()
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    methods(&mut cases);
    targets(&mut cases);
    request_headers(&mut cases);
    request_bodies(&mut cases);
    statuses(&mut cases);
    reasons(&mut cases);
    response_headers(&mut cases);
    response_bodies(&mut cases);
    without_a_body(&mut cases);
    old_versions(&mut cases);
    cases
}

fn add(cases: &mut Vec<Case>, name: &str, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) {
    cases.push(Case {
        name: name.to_owned(),
        request: request.as_ref().to_vec(),
        response: response.as_ref().to_vec(),
        interleaved: name.starts_with("interleaved"),
    });
}

/// A request with this head (lines with `\n` for a line end) and body.
fn http(head: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in head.as_ref().split(|byte| *byte == b'\n') {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_ref());
    bytes
}

fn with_length(head: &str, body: &[u8]) -> Vec<u8> {
    http(format!("{head}\nContent-Length: {}", body.len()), body)
}

fn chunked(head: &str, chunks: &str) -> Vec<u8> {
    http(
        format!("{head}\nTransfer-Encoding: chunked"),
        chunks.replace('\n', "\r\n"),
    )
}

/// Every byte there is, many times over.
fn every_byte(count: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(count).collect()
}

fn methods(cases: &mut Vec<Case>) {
    for method in [
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "MKCOL",
        "REPORT",
        "PURGE",
        "M-SEARCH",
        "QUERY",
        "get",
        "X-Own.1",
        "!#$%&'*+-.^_`|~09",
    ] {
        let request = http(format!("{method} /m HTTP/1.1\nHost: a"), "");
        add(cases, &format!("method {method}"), request, OK);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "SEARCH"] {
        let request = with_length(&format!("{method} /m HTTP/1.1\nHost: a"), b"with a body");
        add(cases, &format!("method {method} with a body"), request, OK);
    }
}

fn targets(cases: &mut Vec<Case>) {
    let long = format!("/long?{}", "q=0123456789&".repeat(450));
    for target in [
        "/",
        "/a",
        "/a/",
        "//",
        "//a//b",
        "/a/../b",
        "/..",
        "/../../etc/passwd",
        "/./a/.",
        "/a;b=c;d",
        "/a+b?c+d",
        "/%61%2F%2f%25",
        "/%e2%98%83",
        "/%C3%A9",
        "/caf%E9",
        "/%00",
        "/%0d%0aX:%20y",
        "/%zz%",
        "/a%20b",
        "/?",
        "/??",
        "/?a=b&a=c&&=&d",
        "/?a[]=1&b={x}",
        "/?q=%3Cscript%3E",
        "/?u=http://other/%20",
        "/~user/!$&'()*,;=:@",
        "/a?b/../c?d",
        "/a:b@c",
        "/http://x/",
        "/a|b",
        "/{a}",
        "/ws/notifications/?token=a.b-c_d",
        "/a%5Cb",
        "/\"quoted\"",
        "/x?a^b`c|d{e}\\f",
        "/\u{e9}?\u{2603}",
        &long,
    ] {
        let name: String = target.chars().take(40).collect();
        let request = http(format!("GET {target} HTTP/1.1\nHost: a"), "");
        add(cases, &format!("target {name}"), request, OK);
    }
}

fn request_headers(cases: &mut Vec<Case>) {
    let many: String = (0..80).map(|n| format!("\nX-Many-{n}: {n}")).collect();
    let long = format!("X-Long: {}", "v".repeat(7000));
    for (name, lines) in [
        ("case", "x-lower: 1\nX-UPPER: 2\nx-MiXeD: 3\nETag: 4"),
        ("order", "Z: 1\nA: 2\nM: 3\nB: 4"),
        ("duplicates", "X-Two: a\nX-Two: b\nX-Two: a"),
        ("duplicates in other case", "X-two: a\nx-Two: b\nX-TWO: c"),
        ("interleaved duplicates", "A: 1\nB: 2\nA: 3\nB: 4"),
        ("empty value", "X-Empty:\nX-After: 1"),
        ("blank value", "X-Blank:    \nX-After: 1"),
        ("no space", "X-Tight:value"),
        ("tabs inside", "X-Tab: a\tb"),
        ("spaces inside", "X-Inside: a   b ,  c"),
        ("quotes", "X-Quoted: \"a, b\"; c=\"d\\\"e\""),
        // All but `_`: such names are left out, as by nginx.
        ("symbols in the name", "X!#$%&'*+.^`|~1: v"),
        ("cookie", "Cookie: a=b; c=\"d\"; e="),
        ("cookies in lines", "Cookie: a=b\nCookie: c=d\nCookie: e=f"),
        (
            "credentials",
            "Authorization: Bearer a.b.c\nProxy-Authorization: Basic Zm9v",
        ),
        (
            "accept lists",
            "Accept: text/html, */*;q=0.1\nAccept: a/b\nAccept-Encoding: gzip, br",
        ),
        (
            "conditions",
            "If-None-Match: W/\"a\", \"b\"\nIf-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT",
        ),
        ("range", "Range: bytes=0-4,7-\nIf-Range: \"a\""),
        (
            "traceparent",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=b",
        ),
        ("request id", "X-Request-ID: my-own-id-1"),
        ("via", "Via: 1.1 a, 1.0 b"),
        (
            "old connection headers",
            "Keep-Alive: timeout=5\nProxy-Connection: keep-alive\nX-Kept: 1",
        ),
        (
            "named by connection",
            "Connection: X-Gone, close\nX-Gone: 1\nX-Kept: 2",
        ),
        (
            "connection in two lines",
            "Connection: X-Gone\nConnection: keep-alive, x-GONE-too\nX-Gone: 1\nX-Gone-Too: 1\nX-Kept: 2",
        ),
        ("expect of another kind", "Expect: something-else"),
        ("upgrade without connection", "Upgrade: h2c\nX-Kept: 1"),
        (
            "date and server",
            "Date: Mon, 01 Jan 2024 00:00:00 GMT\nServer: none\nUser-Agent: test/1 (x; y)",
        ),
        ("many", many.trim_start()),
        ("long", long.as_str()),
    ] {
        let request = http(format!("GET /h HTTP/1.1\nHost: app.test\n{lines}"), "");
        let prefix = if name.starts_with("interleaved") {
            ""
        } else {
            "request headers: "
        };
        add(cases, &format!("{prefix}{name}"), request, OK);
    }
    let text = http(
        b"GET /h HTTP/1.1\nHost: a\nX-Bytes: caf\xe9 \xff\xfe\x80\xa0\nX-Utf8: \xe2\x98\x83",
        "",
    );
    add(cases, "request headers: obs-text", text, OK);
    for host in [
        "app.test:8080",
        "APP.Test",
        "[::1]:80",
        "127.0.0.1",
        "a_b.test",
        "xn--caf-dma.fr",
    ] {
        let request = http(
            format!("GET /h HTTP/1.1\nX-First: 1\nHost: {host}\nX-Last: 1"),
            "",
        );
        add(cases, &format!("host {host}"), request, OK);
    }
    add(
        cases,
        "host in lower case",
        http("GET / HTTP/1.1\nhost: a", ""),
        OK,
    );
}

fn request_bodies(cases: &mut Vec<Case>) {
    let post = "POST /b HTTP/1.1\nHost: a";
    let json = "POST /b HTTP/1.1\nHost: a\nContent-Type: application/json";
    add(cases, "body of length 0", with_length(post, b""), OK);
    add(cases, "no length at all", http(post, ""), OK);
    add(cases, "body of length 1", with_length(post, b"x"), OK);
    add(
        cases,
        "body of all bytes",
        with_length(post, &every_byte(70_000)),
        OK,
    );
    add(cases, "body like a request", with_length(post, GET), OK);
    add(
        cases,
        "body with line ends",
        with_length(json, b"{\"a\":\r\n\r\n0\n}\r\n"),
        OK,
    );
    add(
        cases,
        "length with zeros",
        http(format!("{post}\nContent-Length: 0003"), "abc"),
        OK,
    );
    let gzip = format!("{post}\nContent-Encoding: gzip");
    add(
        cases,
        "gzip body",
        with_length(
            &gzip,
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL\x04\0\x85\x11J\r\x03\0\0\0",
        ),
        OK,
    );
    let form = "POST /b HTTP/1.1\nHost: a\nContent-Type: multipart/form-data; boundary=\"x y\"";
    add(
        cases,
        "multipart",
        with_length(
            form,
            b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x y--\r\n",
        ),
        OK,
    );
    add(cases, "chunked", chunked(post, "3\nabc\n2\nde\n0\n\n"), OK);
    add(
        cases,
        "chunked in bytes",
        chunked(post, &("1\nx\n".repeat(300) + "0\n\n")),
        OK,
    );
    add(cases, "chunked and empty", chunked(post, "0\n\n"), OK);
    add(
        cases,
        "chunk sizes in any case",
        chunked(post, "0A\n0123456789\na\n0123456789\n00\n\n"),
        OK,
    );
    add(
        cases,
        "chunk extensions",
        chunked(post, "3;a=b;c=\"d\"\nabc\n0;z\n\n"),
        OK,
    );
    let large = format!("10000\n{}\n0\n\n", "z".repeat(65_536));
    add(cases, "one large chunk", chunked(post, &large), OK);
    let announced = format!("{post}\nTrailer: X-Sum, X-Other");
    add(
        cases,
        "request trailers",
        chunked(&announced, "3\nabc\n0\nX-Sum: 1\nX-Other: two\n\n"),
        OK,
    );
    let put = "PUT /b HTTP/1.1\nHost: a\ncontent-type: text/plain;charset=utf-8\nCONTENT-MD5: x";
    add(
        cases,
        "put with odd header case",
        with_length(put, "\u{2603}".as_bytes()),
        OK,
    );
}

fn statuses(cases: &mut Vec<Case>) {
    for status in [
        200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401, 402,
        403, 404, 405, 406, 409, 410, 412, 413, 415, 416, 417, 418, 422, 425, 428, 429, 431, 451,
        499, 500, 501, 502, 503, 504, 505, 507, 511, 520, 599, 600, 799, 999,
    ] {
        let reason = http::StatusCode::from_u16(status)
            .unwrap()
            .canonical_reason();
        let reason = reason.unwrap_or("Own");
        let head = format!("HTTP/1.1 {status} {reason}\nLocation: /elsewhere\nRetry-After: 1");
        add(
            cases,
            &format!("status {status}"),
            GET,
            with_length(&head, b"text"),
        );
    }
}

fn reasons(cases: &mut Vec<Case>) {
    for reason in [
        "Fine",
        "ok",
        "All Good, thanks",
        "",
        "Not OK: (1) \"x\"",
        "OK\tOK",
    ] {
        let head = format!("HTTP/1.1 200 {reason}");
        add(
            cases,
            &format!("reason {reason:?}"),
            GET,
            with_length(&head, b"text"),
        );
    }
    add(
        cases,
        "reason of another status",
        GET,
        with_length("HTTP/1.1 404 OK", b""),
    );
}

fn response_headers(cases: &mut Vec<Case>) {
    let many: String = (0..80).map(|n| format!("\nX-Many-{n}: {n}")).collect();
    let long = format!("Content-Security-Policy: {}", "default-src x; ".repeat(400));
    for (name, lines) in [
        (
            "case",
            "x-lower: 1\nX-UPPER: 2\nETag: \"x\"\nWWW-Authenticate: Basic",
        ),
        ("order", "Z: 1\nA: 2\nM: 3"),
        (
            "several cookies",
            "Set-Cookie: a=b; Path=/; HttpOnly\nSet-Cookie: c=d\nSet-Cookie: a=e",
        ),
        (
            "duplicates",
            "Vary: Accept\nVary: Cookie\nLink: </a>; rel=x\nLink: </b>",
        ),
        (
            "interleaved duplicates in a response",
            "Set-Cookie: a=1\nX-B: 2\nSet-Cookie: c=3",
        ),
        ("empty value", "X-Empty:\nX-After: 1"),
        (
            "date and server",
            "Date: Mon, 01 Jan 2024 00:00:00 GMT\nServer: gunicorn",
        ),
        ("no date", "X-Only: 1"),
        ("two dates", "Date: a\nDate: b"),
        (
            "caching",
            "Cache-Control: no-store\nExpires: 0\nPragma: no-cache\nAge: 7\nLast-Modified: x",
        ),
        (
            "accel",
            "X-Accel-Redirect: /internal\nX-Accel-Buffering: no\nX-Sendfile: /f",
        ),
        (
            "security",
            "Strict-Transport-Security: max-age=1\nX-Frame-Options: DENY",
        ),
        (
            "cors",
            "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Headers: a, b",
        ),
        (
            "named by connection",
            "Connection: X-Gone\nX-Gone: 1\nX-Kept: 2",
        ),
        (
            "keep-alive",
            "Keep-Alive: timeout=5\nConnection: keep-alive\nX-Kept: 1",
        ),
        ("closing", "Connection: close\nX-Kept: 1"),
        (
            "alternatives",
            "Alt-Svc: h3=\":443\"\nVia: 1.1 other\nX-Request-ID: from-the-app",
        ),
        ("many", many.trim_start()),
        ("long", long.as_str()),
    ] {
        let head = format!("HTTP/1.1 200 OK\n{lines}");
        let prefix = if name.starts_with("interleaved") {
            ""
        } else {
            "response headers: "
        };
        add(
            cases,
            &format!("{prefix}{name}"),
            GET,
            with_length(&head, b"text"),
        );
    }
    let text = http(
        b"HTTP/1.1 200 OK\nContent-Length: 0\nX-Bytes: caf\xe9 \xff\x80",
        "",
    );
    add(cases, "response headers: obs-text", GET, text);
}

fn response_bodies(cases: &mut Vec<Case>) {
    let ok = "HTTP/1.1 200 OK\nContent-Type: text/plain";
    add(cases, "answer of length 0", GET, with_length(ok, b""));
    add(
        cases,
        "answer of all bytes",
        GET,
        with_length(ok, &every_byte(200_000)),
    );
    add(
        cases,
        "answer in chunks",
        GET,
        chunked(ok, "3\nabc\n2\nde\n0\n\n"),
    );
    add(
        cases,
        "answer in bytes",
        GET,
        chunked(ok, &("1\nx\n".repeat(300) + "0\n\n")),
    );
    add(cases, "answer in no chunk", GET, chunked(ok, "0\n\n"));
    add(
        cases,
        "answer with extensions",
        GET,
        chunked(ok, "3;a=b\nabc\n0\n\n"),
    );
    add(cases, "answer until the end", GET, http(ok, "all of this"));
    add(cases, "empty answer until the end", GET, http(ok, ""));
    let gzip = format!("{ok}\nContent-Encoding: gzip\nVary: Accept-Encoding");
    add(
        cases,
        "gzip answer",
        GET,
        with_length(
            &gzip,
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL\x04\0\x85\x11J\r\x03\0\0\0",
        ),
    );
    add(
        cases,
        "gzip answer in chunks",
        GET,
        chunked(&gzip, "4\nKL\u{4}\u{0}\n0\n\n"),
    );
    let part = "HTTP/1.1 206 Partial Content\nContent-Range: bytes 2-4/10\nAccept-Ranges: bytes";
    add(
        cases,
        "part",
        http("GET /r HTTP/1.1\nHost: a\nRange: bytes=2-4", ""),
        with_length(part, b"cde"),
    );
    let parts = "HTTP/1.1 206 Partial Content\nContent-Type: multipart/byteranges; boundary=x";
    add(
        cases,
        "parts",
        GET,
        with_length(
            parts,
            b"--x\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--x--\r\n",
        ),
    );
    let none = "HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */10";
    add(cases, "no such part", GET, with_length(none, b""));
    let te = http("GET / HTTP/1.1\nHost: a\nConnection: TE\nTE: trailers", "");
    let announced = format!("{ok}\nTrailer: X-Sum");
    add(
        cases,
        "trailers",
        te,
        chunked(&announced, "3\nabc\n0\nX-Sum: 6\n\n"),
    );
    let hints = http(
        "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nLink: </b.js>",
        OK,
    );
    add(cases, "early hints", GET, hints);
    let twice = http(
        "HTTP/1.1 103 Early Hints\nX-A: 1",
        http("HTTP/1.1 103 Early Hints\nX-a: 2", OK),
    );
    add(cases, "early hints twice", GET, twice);
    add(
        cases,
        "processing",
        GET,
        http("HTTP/1.1 102 Processing", OK),
    );
}

fn without_a_body(cases: &mut Vec<Case>) {
    let head = http("HEAD /x HTTP/1.1\nHost: a", "");
    add(
        cases,
        "head with a length",
        &head,
        http("HTTP/1.1 200 OK\nContent-Length: 1234", ""),
    );
    add(
        cases,
        "head of nothing",
        &head,
        http("HTTP/1.1 200 OK\nContent-Length: 0", ""),
    );
    add(
        cases,
        "head of chunks",
        &head,
        http("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", ""),
    );
    add(
        cases,
        "head without framing",
        &head,
        http("HTTP/1.1 200 OK\nX-Kept: 1", ""),
    );
    add(
        cases,
        "head not found",
        &head,
        http("HTTP/1.1 404 Not Found\nContent-Length: 9", ""),
    );
    add(
        cases,
        "no content",
        GET,
        http("HTTP/1.1 204 No Content\nX-Kept: 1", ""),
    );
    let fresh = "HTTP/1.1 304 Not Modified\nETag: \"a\"\nCache-Control: max-age=1";
    add(cases, "not modified", GET, http(fresh, ""));
    add(
        cases,
        "not modified with a length",
        GET,
        http(format!("{fresh}\nContent-Length: 77"), ""),
    );
    add(
        cases,
        "reset content",
        GET,
        http("HTTP/1.1 205 Reset Content\nContent-Length: 0", ""),
    );
}

fn old_versions(cases: &mut Vec<Case>) {
    let old = http("GET /old HTTP/1.0\nHost: a", "");
    add(cases, "1.0 client", &old, OK);
    let nameless = http("GET /old HTTP/1.0\nX-Kept: 1", "");
    add(cases, "1.0 client without a host", nameless, OK);
    let kept = http("GET /old HTTP/1.0\nHost: a\nConnection: keep-alive", "");
    add(cases, "1.0 client that keeps alive", kept, OK);
    let post = with_length("POST /old HTTP/1.0\nHost: a", b"a body");
    add(cases, "1.0 client with a body", post, OK);
    add(
        cases,
        "1.0 client and an answer until the end",
        &old,
        http("HTTP/1.0 200 OK", "until the end"),
    );
    add(
        cases,
        "1.0 app",
        GET,
        with_length("HTTP/1.0 200 OK", b"old"),
    );
    add(
        cases,
        "1.0 app until the end",
        GET,
        http("HTTP/1.0 200 OK\nServer: old", "until the end"),
    );
    let keeps = "HTTP/1.0 200 OK\nConnection: keep-alive";
    add(
        cases,
        "1.0 app that keeps alive",
        GET,
        with_length(keeps, b"old"),
    );
    add(
        cases,
        "1.0 both",
        old,
        with_length("HTTP/1.0 200 OK", b"old"),
    );
}
