//! Accepting connections, as many as the limits allow.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    Limits,
    connection::{self, Accepted},
    slots::Slots,
};
use crate::{metrics::Ended, service::Service};

/// Connections the kernel holds while we are busy accepting others.
const BACKLOG: i32 = 4096;

/// What a new connection meets; replaced by a reload.
#[derive(Clone)]
pub struct Door {
    /// What a client may cost.
    pub limits: Limits,
    /// The longest time that an endpoint or the limits allow for a client that takes
    /// nothing.
    pub patience: Duration,
    /// TLS, if it is spoken.
    pub tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = self.tls.is_some();
        f.debug_struct("Door")
            .field("limits", &self.limits)
            .field("patience", &self.patience)
            .field("tls", &tls)
            .finish()
    }
}

/// An open listening socket.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Opens the socket; port 0 takes any free one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let tcp = TcpListener::from_std(socket.into())?;
        Ok(Self { tcp })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Accepts until `stop`; connections run on `tracker` and finish their
    /// requests after it.
    pub async fn run(
        self,
        service: Arc<Service>,
        door: watch::Receiver<Door>,
        stop: CancellationToken,
        tracker: TaskTracker,
    ) {
        let slots = Slots::new(service.metrics().clone());
        while let Some((tcp, address)) = stop.run_until_cancelled(self.accept()).await {
            let door = door.borrow().clone();
            match slots.take(address.ip().to_canonical(), &door.limits) {
                Ok(slot) => {
                    let accepted = Accepted {
                        tcp,
                        address,
                        slot,
                        door,
                    };
                    tracker.spawn(connection::serve(accepted, service.clone(), stop.clone()));
                }
                Err(limit) => {
                    let refused = &service.metrics().connections_refused;
                    refused.get_or_create(&Ended { result: limit }).inc();
                    debug!(%address, limit, "Connection refused by a limit");
                }
            }
        }
    }

    /// The next connection. A client that is gone again is its own affair; when
    /// the system has no descriptors left, asking again at once would not help.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_the_clients(&error) => {
                    debug!(%error, "Connection gone before it was accepted")
                }
                Err(error) => {
                    warn!(%error, "Cannot accept connections; trying again in a second");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
