//! The attacks: each the bytes of a client.

#![allow(clippy::too_many_lines, reason = "tables")]

/// What may become of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is refused at its head: the app sees nothing, the connection closes.
    Refused,
    /// It is refused in its body: the app sees at most one request that broke
    /// off, the connection closes.
    Broken,
    /// It is refused, or harmless: the app sees at most one request.
    AtMostOne,
}

pub(super) struct Attack {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) outcome: Outcome,
}

/// A request that must not become visible as one.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// All of them.
pub(super) fn all() -> Vec<Attack> {
    let mut attacks = Vec::new();
    both_lengths(&mut attacks);
    transfer_codings(&mut attacks);
    lengths(&mut attacks);
    line_ends(&mut attacks);
    odd_bytes(&mut attacks);
    header_shapes(&mut attacks);
    chunks(&mut attacks);
    request_lines(&mut attacks);
    hosts(&mut attacks);
    upgrades(&mut attacks);
    attacks
}

fn add(attacks: &mut Vec<Attack>, outcome: Outcome, name: &str, bytes: impl AsRef<[u8]>) {
    attacks.push(Attack {
        name: name.to_owned(),
        bytes: bytes.as_ref().to_vec(),
        outcome,
    });
}

/// A POST with these header lines, and this after its head.
fn post(lines: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}")
}

fn both_lengths(attacks: &mut Vec<Attack>) {
    let chunked_end = format!("0\r\n\r\n{HIDDEN}");
    let length = chunked_end.len();
    for (name, lines) in [
        (
            "CL.TE",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        ),
        (
            "TE.CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 5".to_owned(),
        ),
        (
            "CL.TE with 0",
            "Content-Length: 0\r\nTransfer-Encoding: chunked".to_owned(),
        ),
        (
            "CL.TE in lower case",
            format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        ),
        (
            "CL.TE with identity",
            format!("Content-Length: {length}\r\nTransfer-Encoding: identity"),
        ),
        (
            "CL.TE named away",
            format!(
                "Connection: Content-Length\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked"
            ),
        ),
        (
            "TE.CL named away",
            "Connection: Transfer-Encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
                .to_owned(),
        ),
    ] {
        add(attacks, Outcome::Refused, name, post(&lines, &chunked_end));
    }
    let body = format!("Content-Length: 5\r\nConnection: Content-Length\r\n\r\nhello{HIDDEN}");
    let bytes = format!("POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}");
    add(attacks, Outcome::AtMostOne, "CL named away", bytes);
    let bytes = post(
        "Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked",
        &chunked_end,
    );
    add(attacks, Outcome::AtMostOne, "TE named away", bytes);
}

fn transfer_codings(attacks: &mut Vec<Attack>) {
    for line in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: ",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x0c",
        "Transfer-Encoding\x0b: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\n chunked",
        "Transfer-Encoding: chunk\u{17f}d",
        " Transfer-Encoding: chunked",
    ] {
        let body = format!("0\r\n\r\n{HIDDEN}");
        add(
            attacks,
            Outcome::Refused,
            &format!("TE.TE {line:?}"),
            post(line, &body),
        );
    }
    // A name of its own to us; to an app that treats `_` as `-` it is not.
    let line = format!(
        "Transfer_Encoding: chunked\r\nContent-Length: {}\r\nConnection: close",
        HIDDEN.len()
    );
    add(
        attacks,
        Outcome::AtMostOne,
        "TE.TE with an underscore",
        post(&line, HIDDEN),
    );
    let old = format!(
        "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
    );
    add(attacks, Outcome::Refused, "chunked in HTTP/1.0", old);
}

fn lengths(attacks: &mut Vec<Attack>) {
    for value in [
        "+5",
        "0x5",
        "5, 6",
        "5 5",
        "-1",
        "-0",
        "5a",
        "5.0",
        "5e0",
        "",
        "\"5\"",
        "5;",
        "٥",
        "5\x0b",
        "5,",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999",
        "1_0",
    ] {
        let line = format!("Content-Length: {value}");
        let body = format!("hello{HIDDEN}");
        add(
            attacks,
            Outcome::Refused,
            &format!("length {value:?}"),
            post(&line, &body),
        );
    }
    let two = post(
        "Content-Length: 5\r\nContent-Length: 0",
        &format!("hello{HIDDEN}"),
    );
    add(attacks, Outcome::Refused, "two lengths", two);
    let two = post(
        "Content-Length: 5\r\ncontent-length: 6",
        &format!("hello{HIDDEN}"),
    );
    add(attacks, Outcome::Refused, "two lengths in other case", two);
    // The same number twice may be taken as one (RFC 9112 section 6.3, rule 5).
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
    ] {
        let bytes = post(
            &format!("{lines}\r\nConnection: close"),
            &format!("hello{HIDDEN}"),
        );
        add(
            attacks,
            Outcome::AtMostOne,
            &format!("same length twice {lines:?}"),
            bytes,
        );
    }
}

fn line_ends(attacks: &mut Vec<Attack>) {
    let refused = Outcome::Refused;
    add(
        attacks,
        refused,
        "only LF",
        format!("GET /x HTTP/1.1\nHost: a\n\n{HIDDEN}"),
    );
    add(
        attacks,
        refused,
        "LF after the request line",
        format!("GET /x HTTP/1.1\nHost: a\r\n\r\n{HIDDEN}"),
    );
    add(
        attacks,
        refused,
        "LF after a header",
        format!("GET /x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n{HIDDEN}"),
    );
    add(
        attacks,
        refused,
        "LF before the body",
        format!("GET /x HTTP/1.1\r\nHost: a\r\n\n{HIDDEN}"),
    );
    let hides = format!("Content-Length: {}\nX: b", HIDDEN.len());
    add(attacks, refused, "LF after a length", post(&hides, HIDDEN));
    add(
        attacks,
        refused,
        "CR in a value",
        post("X: a\rContent-Length: 5", HIDDEN),
    );
    add(
        attacks,
        refused,
        "CR alone as a line end",
        format!("GET /x HTTP/1.1\rHost: a\r\r{HIDDEN}\r\n\r\n"),
    );
    add(
        attacks,
        refused,
        "CR at the end of a value",
        post("X: a\r", HIDDEN),
    );
    add(
        attacks,
        refused,
        "CR CR LF",
        post("X: a\r\r\nContent-Length: 5", HIDDEN),
    );
    add(
        attacks,
        refused,
        "CR before the colon",
        post("X\r: a", HIDDEN),
    );
    add(
        attacks,
        refused,
        "CR in the target",
        format!("GET /x\rHost: HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}"),
    );
}

fn odd_bytes(attacks: &mut Vec<Attack>) {
    for byte in [
        0, 1, 7, 8, 0x0b, 0x0c, 0x0e, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x7f,
    ] {
        for place in ["name", "value", "target", "method"] {
            let mut bytes = match place {
                "name" => b"GET /x HTTP/1.1\r\nHost: a\r\nX-@: v\r\n\r\n".to_vec(),
                "value" => b"GET /x HTTP/1.1\r\nHost: a\r\nX: a@b\r\n\r\n".to_vec(),
                "target" => b"GET /x@ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                _ => b"GE@T /x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            };
            bytes
                .iter_mut()
                .filter(|at| **at == b'@')
                .for_each(|at| *at = byte);
            bytes.extend_from_slice(HIDDEN.as_bytes());
            add(
                attacks,
                Outcome::Refused,
                &format!("byte {byte:#04x} in a {place}"),
                bytes,
            );
        }
    }
    for (name, bytes) in [
        (
            "0x85 in a name",
            &b"GET /x HTTP/1.1\r\nHost: a\r\nX-\x85: v\r\n\r\n"[..],
        ),
        (
            "0xa0 before a colon",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX\xa0: v\r\n\r\n",
        ),
        (
            "0x85 before a length",
            b"POST /x HTTP/1.1\r\nHost: a\r\n\x85Content-Length: 5\r\n\r\nhello",
        ),
        (
            "0x85 as a line end",
            b"POST /x HTTP/1.1\r\nHost: a\x85Content-Length: 5\r\n\r\nhello",
        ),
        (
            "0x85 in a length",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\x85\r\n\r\nhello",
        ),
        (
            "0x85 in a coding",
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x85chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "byte-order mark",
            b"\xef\xbb\xbfGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "0x85 in the version",
            b"GET /x\x85HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
    ] {
        add(
            attacks,
            Outcome::Refused,
            name,
            [bytes, HIDDEN.as_bytes()].concat(),
        );
    }
    // A value may hold it (obs-text), and an app must not split there.
    let bytes =
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: a\x85Content-Length: 9\r\n\r\n";
    add(attacks, Outcome::AtMostOne, "0x85 in a value", bytes);
}

fn header_shapes(attacks: &mut Vec<Attack>) {
    for (name, lines) in [
        ("space before a colon", "X : a"),
        ("space before a length's colon", "Content-Length : 5"),
        ("tab before a colon", "X\t: a"),
        ("folded line", "X: a\r\n b"),
        ("folded length", "Content-Length:\r\n 5"),
        ("folded coding", "Transfer-Encoding:\r\n\tchunked"),
        ("name of no bytes", ": a"),
        ("line without a colon", "Nonsense"),
        ("line of a space", " "),
        ("name with a slash", "X/Y: a"),
        ("name in brackets", "(X): a"),
        ("request as a header", "GET /smuggled HTTP/1.1"),
        ("name with a space", "X Y: a"),
        ("name in quotes", "\"X\": a"),
        ("name with an umlaut", "X-Ü: a"),
    ] {
        add(attacks, Outcome::Refused, name, post(lines, HIDDEN));
    }
    let leading = format!("GET /x HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n{HIDDEN}");
    add(attacks, Outcome::Refused, "folded first line", leading);
}

fn chunks(attacks: &mut Vec<Attack>) {
    for (name, body) in [
        ("size overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        (
            "size overflow by zeros",
            "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("largest size", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("signed size", "+5\r\nhello\r\n0\r\n\r\n"),
        ("0x size", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("size in words", "five\r\nhello\r\n0\r\n\r\n"),
        ("size with underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("space in a size", "0 5\r\nhello\r\n0\r\n\r\n"),
        ("space before a size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("LF after a size", "5\nhello\r\n0\r\n\r\n"),
        ("CR after a size", "5\rhello\r\n0\r\n\r\n"),
        ("no CRLF after a chunk", "5\r\nhello0\r\n\r\n"),
        ("more than the size", "5\r\nhello!!\r\n0\r\n\r\n"),
        ("LF after a chunk", "5\r\nhello\n0\r\n\r\n"),
        ("LF after a chunk's CR CR", "5\r\nhello\r\r\n0\r\n\r\n"),
        ("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("NUL after a size", "5\0\r\nhello\r\n0\r\n\r\n"),
        ("LF after the last size", "5\r\nhello\r\n0\n\r\n"),
        ("trailer with a space", "5\r\nhello\r\n0\r\nX : a\r\n\r\n"),
        (
            "trailer without a colon",
            "5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
        ),
    ] {
        let bytes = post("Transfer-Encoding: chunked", &format!("{body}{HIDDEN}"));
        add(attacks, Outcome::Broken, &format!("chunk: {name}"), bytes);
    }
    // hyper takes what follows for trailers too.
    let body = format!("5\r\nhello\r\n0\r\nX: a\n\r\n{HIDDEN}");
    let bytes = post("Transfer-Encoding: chunked", &body);
    add(attacks, Outcome::AtMostOne, "chunk: trailer with LF", bytes);
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(200_000));
    add(
        attacks,
        Outcome::Broken,
        "chunk: endless extension",
        post("Transfer-Encoding: chunked", &extension),
    );
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(50_000));
    add(
        attacks,
        Outcome::Broken,
        "chunk: endless trailers",
        post("Transfer-Encoding: chunked", &trailers),
    );
    for trailer in [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Host: b",
        "X-Forwarded-For: 1.1.1.1",
    ] {
        let lines =
            "Transfer-Encoding: chunked\r\nTrailer: Content-Length, Host\r\nConnection: close";
        let bytes = post(lines, &format!("0\r\n{trailer}\r\n\r\n{HIDDEN}"));
        add(
            attacks,
            Outcome::AtMostOne,
            &format!("trailer {trailer}"),
            bytes,
        );
    }
}

fn request_lines(attacks: &mut Vec<Attack>) {
    for line in [
        "GET  /x HTTP/1.1",
        "GET /x  HTTP/1.1",
        " GET /x HTTP/1.1",
        "GET\t/x\tHTTP/1.1",
        "GET /x HTTP/1.1 ",
        "GET /x y HTTP/1.1",
        "GET /x",
        "GET",
        "GET HTTP/1.1",
        "GET /x HTTP/1.2",
        "GET /x HTTP/2.0",
        "GET /x HTTP/11",
        "GET /x http/1.1",
        "GET /x HTTP/1.1, HTTP/1.1",
        "GET /x HTP/1.1",
        "GET x HTTP/1.1",
        "GET ../x HTTP/1.1",
        "G{T /x HTTP/1.1",
        "GET * HTTP/1.1",
        "/x HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://a b/ HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "PRI * HTTP/2.0",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT /x HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n{HIDDEN}");
        add(attacks, Outcome::Refused, &format!("line {line:?}"), bytes);
    }
    // A fragment is not part of a target; to drop it is harmless.
    let fragment = "GET /x#fragment HTTP/1.1\r\nHost: a\r\n\r\n";
    add(attacks, Outcome::AtMostOne, "fragment", fragment);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    add(attacks, Outcome::Refused, "HTTP/2 preface", preface);
    add(
        attacks,
        Outcome::Refused,
        "HTTP/0.9",
        format!("GET /x\r\n{HIDDEN}"),
    );
    let tls = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n";
    add(attacks, Outcome::Refused, "a TLS hello", tls);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2_000_000));
    add(attacks, Outcome::Refused, "endless target", long);
    let long = format!("{} /x HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(2_000_000));
    add(attacks, Outcome::Refused, "endless method", long);
}

fn hosts(attacks: &mut Vec<Attack>) {
    for (name, lines) in [
        ("no host", "X: a"),
        ("two hosts", "Host: a\r\nHost: b"),
        ("the same host twice", "Host: a\r\nHost: a"),
        ("two hosts in other case", "Host: a\r\nhost: b"),
        ("two hosts in a line", "Host: a, b"),
        ("host with a space", "Host: a b"),
        ("host with a path", "Host: a/b"),
        ("host with a user", "Host: u@a"),
        ("host with an odd port", "Host: a:port"),
        ("host with a question mark", "Host: a?b"),
        ("host with a bracket", "Host: [::1"),
        ("host with obs-text", "Host: ä"),
    ] {
        let bytes = format!("GET /x HTTP/1.1\r\n{lines}\r\n\r\n{HIDDEN}");
        add(attacks, Outcome::Refused, name, bytes);
    }
}

/// The app answers these with 200, so what follows the request's own framing is
/// a request of its own or nothing, never bytes for the app.
fn upgrades(attacks: &mut Vec<Attack>) {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (name, lines) in [
        ("upgrade with a length", format!("{upgrade}\r\nContent-Length: {}", HIDDEN.len())),
        ("upgrade with both lengths", format!("{upgrade}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked")),
        ("upgrade with two lengths", format!("{upgrade}\r\nContent-Length: 5\r\nContent-Length: 6")),
        ("upgrade to h2c", "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 0".to_owned()),
        ("upgrade and close", format!("{upgrade}\r\nConnection: close\r\nContent-Length: 0")),
    ] {
        let bytes = format!("GET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{HIDDEN}");
        let both = name.contains("both") || name.contains("two");
        let outcome = if both { Outcome::Refused } else { Outcome::AtMostOne };
        add(attacks, outcome, name, bytes);
    }
}
