//! A request that two servers could read differently never reaches the app as
//! a second one, and neither does a response reach the wrong client
//! (RFC 9112 section 11).

mod attacks;
mod responses;

use crate::harness::{App, Client, End, Message, Outrigger, echo, show, within};

use attacks::{Attack, Outcome};

#[tokio::test]
async fn attacks_never_reach_the_app_as_a_second_request() {
    let app = App::answering(echo).await;
    let outrigger = Outrigger::start(&app.config()).await;
    let attacks = attacks::all();
    assert!(attacks.len() >= 60, "only {} attacks", attacks.len());
    let mut faults = Vec::new();
    for attack in &attacks {
        let mut client = Client::connect(outrigger.addr()).await;
        // The refusal may come, and the connection end, before all is sent.
        drop(client.try_send(&attack.bytes).await);
        let answer = answer(&mut client, attack).await;
        let after = outrigger.connect().await.get("/after").await;
        let mut seen = app.take_seen();
        let last = seen.pop().expect("the app saw /after");
        if (after.text().as_str(), last.target()) != ("/after", "/after") {
            faults.push(format!("{}: the next request got {after:?}", attack.name));
        }
        faults.extend(fault(attack, &seen, answer.as_deref()));
    }
    drop(outrigger);
    let count = faults.len();
    assert!(faults.is_empty(), "{count} faults\n{}", faults.join("\n"));
}

/// What came back before the connection ended; `None` if it did not end though
/// it had to. Where it may stay open, the client ends it.
async fn answer(client: &mut Client, attack: &Attack) -> Option<Vec<u8>> {
    if attack.outcome == Outcome::AtMostOne {
        let next = within(&attack.name, client.next_response("GET")).await;
        return Some(next.map(|message| message.head).unwrap_or_default());
    }
    if attack.outcome == Outcome::Broken {
        // Some wait for the rest of a body that never ends.
        client.finish().await;
    }
    let end = tokio::time::timeout(std::time::Duration::from_secs(3), client.end());
    let ended = end.await.is_ok();
    ended.then(|| client.received().to_vec())
}

fn fault(attack: &Attack, seen: &[Message], answer: Option<&[u8]>) -> Option<String> {
    let name = &attack.name;
    let Some(answer) = answer else {
        return Some(format!("{name}: the connection was not closed"));
    };
    let most = usize::from(attack.outcome != Outcome::Refused);
    let heads: Vec<String> = seen.iter().map(|message| show(&message.head)).collect();
    if seen.len() > most || heads.iter().any(|head| head.contains("smuggled")) {
        return Some(format!("{name}: the app saw {heads:#?}"));
    }
    let status = String::from_utf8_lossy(answer)
        .split(' ')
        .nth(1)
        .map(str::to_owned);
    let status = status.and_then(|status| status.parse::<u16>().ok());
    match (attack.outcome, status) {
        (Outcome::Refused, Some(400 | 405 | 411 | 413 | 414 | 421 | 431 | 501 | 505)) => None,
        // hyper knows the beginning of HTTP/2 and says nothing to it.
        (Outcome::Refused, None) if name.contains("preface") => None,
        (Outcome::Refused, _) => Some(format!("{name}: answered {}", show(answer))),
        (Outcome::Broken, Some(200..300)) => Some(format!("{name}: answered {}", show(answer))),
        (Outcome::Broken, _) if seen.iter().any(|message| message.end == End::Complete) => {
            Some(format!("{name}: the app saw it as whole: {heads:#?}"))
        }
        (Outcome::Broken | Outcome::AtMostOne, _) => None,
    }
}
