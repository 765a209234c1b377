//! The front door: accepting, TLS, limits, one task per connection.

mod accept;
mod connection;
mod slots;
mod tls;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use accept::{Door, Listener};
#[cfg(test)]
pub(crate) use connection::converse;
pub use tls::{TlsError, acceptor};

/// How clients are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect.
    pub address: SocketAddr,
    /// With TLS, if these files are named.
    pub tls: Option<TlsFiles>,
    /// What a client may cost.
    pub limits: Limits,
}

/// The certificate chain and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a client may cost before it has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_connections_per_address: usize,
    /// From the first byte of a request to the end of its head, and for TLS handshakes.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For a client that does not read.
    pub write_timeout: Duration,
    /// The request's head, in bytes.
    pub max_header_bytes: usize,
    /// Header lines.
    pub max_headers: usize,
}
