//! What the tests stand on: the real binary ([`Outrigger`]), a scripted app
//! ([`App`]), a client that speaks raw bytes ([`Client`]) and one that speaks
//! WebSocket ([`Socket`]), and the makers of tokens and signatures.
//!
//! Nothing here sleeps in order to wait: every wait is for something, has a
//! deadline, and says what it waited for when it fails.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a harness offers more than each test takes"
)]

mod app;
pub mod apps;
mod asked;
mod command;
mod events;
mod log;
mod outrigger;
pub mod plain;
pub mod redis;
mod sign;
mod socket;
mod stage;
mod wire;

use std::{future::Future, time::Duration};

pub use app::{App, Responder};
pub use asked::{asked, asked_with};
pub use command::Done;
pub use events::{Events, Said, ask_events};
pub use log::Log;
pub use outrigger::Outrigger;
pub use redis::Redis;
pub use sign::{
    jwt, jwt_with_header, now, post_event, post_text, webhook_headers, webhook_signature,
};
pub use socket::{Closed, Socket, handshake};
pub use stage::{
    HOOK_SECRET, Stage, TOKEN_SECRET, answer, as_user, echo, ok, preamble, token, token_of,
};
pub use wire::{Client, Connection, End, Message};

/// The longest wait for anything that should happen at once. Generous, since
/// the machine may be busy with other things.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something within the [`DEADLINE`].
///
/// # Panics
/// It did not happen in time.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: waited {DEADLINE:?} in vain for {what}"),
        }
    }
}

/// Asks until the answer is yes, within the [`DEADLINE`]: for what can only be
/// seen by looking, as a metric.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    within(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Bytes as they can be read in a failure.
pub fn show(bytes: &[u8]) -> String {
    bytes
        .escape_ascii()
        .to_string()
        .replace("\\r\\n", "\\r\\n\n")
}
