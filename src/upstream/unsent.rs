//! What the kernel holds for the other end of a connection. By itself it takes megabytes
//! for one that does not read: memory that no limit of ours counts.

use std::io;

use super::Stream;

/// How much of it the kernel cannot send yet, in bytes. As much as the body of an event
/// stream takes before it waits.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 16 * 1024;

impl Stream {
    /// From now on the kernel takes little that it cannot send: the rest waits here,
    /// where it is seen. Large bodies would go out more slowly.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_little_unsent(&self) -> io::Result<()> {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Unix(_) => return Ok(()),
            #[cfg(test)]
            Self::Memory(_) => return Ok(()),
        };
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(tcp).set_tcp_notsent_lowat(MAX_UNSENT)?;
        #[cfg(not(target_os = "linux"))]
        let _: &tokio::net::TcpStream = tcp;
        Ok(())
    }
}
