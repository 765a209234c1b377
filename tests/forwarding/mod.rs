//! HTTP passes through unchanged: each exchange is sent directly to the app and
//! then through Outrigger, and what the app received and what the client
//! received are compared byte by byte, apart from the headers that a proxy has
//! to remove (RFC 9110 section 7.6.1) or is documented to add.

mod cases;
mod continues;
mod faults;
mod forwarded;
mod reuse;
mod streams;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crate::harness::{App, Client, End, Message, Outrigger, show, within};

use cases::Case;

/// Headers that Outrigger may add where a message has none.
const ADDED: &[&str] = &[
    // To what HTTP/1.0 clients leave out.
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-request-id",
];

/// Headers that belong to one connection only.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// One exchange as both ends saw it.
struct Seen {
    request: Message,
    interim: Vec<Message>,
    response: Message,
}

#[tokio::test]
async fn exchanges_pass_through_unchanged() {
    let next = Arc::new(Mutex::new(Vec::new()));
    let answer = next.clone();
    let app = App::answering(move |_| answer.lock().unwrap().clone()).await;
    let outrigger = Outrigger::start(&app.config()).await;
    let cases = cases::all();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let mut faults = Vec::new();
    for case in &cases {
        next.lock().unwrap().clone_from(&case.response);
        let direct = exchange(case, &app, app.addr())
            .await
            .expect("the app answers");
        let found = match exchange(case, &app, outrigger.addr()).await {
            Ok(through) => differences(case, &direct, &through),
            Err(fault) => vec![fault],
        };
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{}: {fault}", case.name)),
        );
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} differences\n{}",
        faults.join("\n")
    );
}

async fn exchange(case: &Case, app: &App, to: SocketAddr) -> Result<Seen, String> {
    let mut client = Client::connect(to).await;
    client.send(&case.request).await;
    let mut interim = Vec::new();
    let response = loop {
        let next = within(&case.name, client.next_response(case.method())).await;
        let received = show(client.received());
        let next = next.ok_or_else(|| format!("no response; received {received}"))?;
        if next.status() >= 200 {
            break next;
        }
        interim.push(next);
    };
    let mut seen = app.take_seen();
    match (seen.pop(), seen.len()) {
        (Some(request), 0) => Ok(Seen {
            request,
            interim,
            response,
        }),
        (None, _) => Err(format!(
            "the app saw nothing; the client {}",
            show(&response.head)
        )),
        (_, more) => Err(format!("the app saw {} requests", more + 1)),
    }
}

fn differences(case: &Case, direct: &Seen, through: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: &str, direct: String, through: String| {
        if direct != through {
            found.push(format!(
                "{what}\n  directly {}\n  through  {}",
                cut(&direct),
                cut(&through)
            ));
        }
    };
    let ask = |message: &Message| format!("{} {}", message.method(), message.target());
    same("request line", ask(&direct.request), ask(&through.request));
    same(
        "request headers",
        headers(case, &direct.request, &direct.request),
        headers(case, &through.request, &direct.request),
    );
    same(
        "request body",
        body(&direct.request),
        body(&through.request),
    );
    let count = |seen: &Seen| seen.interim.iter().map(interim).collect::<String>();
    same("interim responses", count(direct), count(through));
    let code = |message: &Message| message.line.split_once(' ').unwrap().1.to_owned();
    same(
        "status line",
        code(&direct.response),
        code(&through.response),
    );
    same(
        "response headers",
        headers(case, &direct.response, &direct.response),
        headers(case, &through.response, &direct.response),
    );
    same(
        "response body",
        body(&direct.response),
        body(&through.response),
    );
    found
}

/// The headers that must be the same: without those of one connection, and
/// without the added ones where the direct message has none of the name.
fn headers(case: &Case, message: &Message, direct: &Message) -> String {
    let named = direct.all("connection").join(",").to_ascii_lowercase();
    let named: Vec<&str> = named.split(',').map(str::trim).collect();
    let kept = |(name, _): &&(Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let name = name.as_str();
        let added = ADDED.contains(&name) && direct.header(name).is_none();
        !HOP_BY_HOP.contains(&name) && !named.contains(&name) && !added
    };
    let mut kept: Vec<_> = message.headers.iter().filter(kept).collect();
    if case.interleaved {
        kept.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    }
    let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
        format!("\n    {}: {}", name.escape_ascii(), value.escape_ascii())
    };
    kept.into_iter().map(line).collect()
}

/// An interim head. hyper does not tell in which case its names were written.
fn interim(message: &Message) -> String {
    let lines = message.headers.iter();
    let lines = lines.map(|(name, value)| {
        let name = String::from_utf8_lossy(name).to_lowercase();
        format!("\n    {name}: {}", value.escape_ascii())
    });
    format!("{}{}", message.line, lines.collect::<String>())
}

/// The body, its trailers, and whether it is whole: a body that ends with the
/// connection may be framed on the way, and hyper writes the names of trailers
/// in lower case.
fn body(message: &Message) -> String {
    let whole = matches!(message.end, End::Complete | End::Close);
    let mut text = format!("{} bytes, whole {whole}: ", message.body.len());
    text += &show(&message.body);
    for (name, value) in &message.trailers {
        let name = String::from_utf8_lossy(name).to_lowercase();
        text += &format!("\n    {name}: {}", value.escape_ascii());
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().take(1500).collect()
}
