//! One client connection: TLS if there is any, then HTTP/1.1 until it ends.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Door, Limits, slots::Slot};
use crate::{
    metrics::Ended,
    service::Service,
    upstream::{self, Stream},
    wire::{Interim, Peer, Phase, Wire},
};

/// A connection that was let in.
pub(super) struct Accepted {
    pub(super) tcp: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) slot: Slot,
    pub(super) door: Door,
}

/// Serves a connection to its end.
pub(super) async fn serve(accepted: Accepted, service: Arc<Service>, stop: CancellationToken) {
    let Accepted {
        tcp,
        address,
        slot,
        door,
    } = accepted;
    let Door {
        limits,
        patience,
        tls,
    } = door;
    let secure = tls.is_some();
    let stream = match open(tcp, tls, &limits, patience).await {
        Ok(stream) => stream,
        Err(error) => {
            service
                .metrics()
                .connections_refused
                .get_or_create(&Ended {
                    result: "handshake",
                })
                .inc();
            return debug!(%error, %address, "Connection refused");
        }
    };
    let interim = Arc::new(Interim::default());
    let activity = service.watchdog().watch();
    let wire = Wire::new(stream, interim.clone(), activity.clone());
    let peer = Arc::new(Peer {
        address,
        secure,
        interim,
        activity,
        slot: Arc::new(slot),
    });
    converse(wire, peer, &limits, service, stop).await;
}

async fn open(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    limits: &Limits,
    patience: Duration,
) -> io::Result<Stream> {
    upstream::tune(&tcp, patience)?;
    let Some(tls) = tls else {
        return Ok(Stream::Tcp(tcp));
    };
    let stream = timeout(limits.header_timeout, tls.accept(tcp)).await??;
    Ok(Stream::Tls(Box::new(stream.into())))
}

/// Serves what comes over an open stream.
pub(crate) async fn converse(
    wire: Wire,
    peer: Arc<Peer>,
    limits: &Limits,
    service: Arc<Service>,
    stop: CancellationToken,
) {
    let activity = peer.activity.clone();
    let address = peer.address;
    let metrics = service.metrics().clone();
    let answer = service_fn(move |request| {
        let (service, peer) = (service.clone(), peer.clone());
        async move { Ok::<_, Infallible>(service.serve(request, peer).await) }
    });
    let mut server = http1::Builder::new();
    if limits.max_headers != HYPER_MAX_HEADERS {
        // Only without a number of ours does hyper parse on its stack.
        server.max_headers(limits.max_headers);
    }
    let connection = server
        .preserve_header_case(true)
        .auto_date_header(false)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .serve_connection(TokioIo::new(wire), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            reason = activity.overstayed() => {
                metrics.connections_refused.get_or_create(&Ended { result: reason }).inc();
                return debug!(%address, reason, "Connection cut");
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    activity.enter(Phase::Gone);
    if let Err(error) = ended {
        let reason = if error.is_parse() {
            "malformed"
        } else {
            "broken"
        };
        metrics
            .requests_refused
            .get_or_create(&Ended { result: reason })
            .inc();
        debug!(%error, %address, "Connection ended badly");
    }
}

/// hyper's own limit of header lines.
const HYPER_MAX_HEADERS: usize = 100;
/// hyper's own least size of a read buffer.
const MIN_BUFFER: usize = 8 * 1024;
