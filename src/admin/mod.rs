//! The second port: live, ready, metrics, routes, sessions.

use std::net::SocketAddr;

/// Where operators look in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address, loopback unless said otherwise.
    pub address: SocketAddr,
}
