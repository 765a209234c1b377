//! Connections to the app (and to the few other servers we ask): dialling,
//! the pool of idle ones, one exchange on one of them, and small whole calls.
//! It knows HTTP and nothing of what is forwarded or why.

mod address;
mod alive;
mod body;
mod call;
mod dial;
mod exchange;
mod kept;
mod pool;
mod unsent;

use std::time::Duration;

pub use address::{Address, NotAnAddress};
pub use alive::tune;
pub use body::{BoxError, Progress, RequestBody};
pub use call::{CallError, CallRequest, CallResponse};
pub use dial::Stream;
pub use exchange::{AppBody, BodyError, SendError};
pub use kept::{Kept, NotKept};
pub use pool::{CONNECT_TIMEOUT, Upgrade, Upstream};

/// Where the app is and how long it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where it listens.
    pub address: Address,
    /// To accept a connection.
    pub connect_timeout: Duration,
    /// From the end of the request to the head of the response.
    pub response_timeout: Duration,
    /// Between two pieces of a body, either way.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept. Below the app server's own
    /// keep-alive (gunicorn: 2 s, uvicorn: 5 s), so that it is we who close first.
    pub keep_alive: Duration,
    /// Connections open at the same time, tunnels not counted.
    pub max_connections: usize,
}
