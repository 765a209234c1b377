//! How long the other end of a TCP connection may be gone before the kernel tells:
//! without this a silent socket whose peer lost its power lives for ever.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence before the kernel asks whether the other end is still there.
const IDLE: Duration = Duration::from_secs(60);
/// Between two such questions.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long what was sent may go unacknowledged, or a peer take nothing.
const UNHEARD: Duration = Duration::from_secs(120);

/// The kernel takes no longer time, in milliseconds.
#[cfg(target_os = "linux")]
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Sets the options of a connection, accepted or dialled. `patience` is the longest
/// time that the limits of this program allow for a peer that takes nothing: the
/// kernel never cuts before.
///
/// # Errors
/// What the system says.
pub fn tune(tcp: &TcpStream, patience: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let questions = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL);
    socket.set_tcp_keepalive(&questions)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNHEARD.max(patience).min(LONGEST)))?;
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_tuned_connection_notices_that_its_peer_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let seconds = Duration::from_secs;
        for (patience, unheard) in [
            (seconds(30), seconds(120)),
            (seconds(300), seconds(300)),
            (seconds(366 * 24 * 3600), LONGEST),
        ] {
            tune(&tcp, patience).unwrap();
            let socket = SockRef::from(&tcp);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), IDLE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), INTERVAL);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(unheard));
        }
        assert!(tcp.nodelay().unwrap());
    }
}
