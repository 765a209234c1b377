//! What a session that leaves is still given: all that waits for it, as far as there is
//! time.

use tokio::time::{Duration, timeout};

use tokio_tungstenite::tungstenite::Message;

use super::{CloseReason, Live, Socket, Stand, Turn, catch_up::read, turn};
use crate::hub::Due;

/// How long that may take. What is not read until then is left to whom the client comes
/// back to.
const TIME: Duration = Duration::from_secs(5);

impl Live {
    /// Takes up all that is for the client up to here.
    pub(super) async fn take_along(&mut self, socket: &mut Socket) {
        // A fault shows again when the rest is written.
        drop(timeout(TIME, self.take_all(socket)).await);
    }

    async fn take_all(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        if self.reading.take().is_some() {
            self.put_back(Due::CatchUp);
        }
        loop {
            self.on_outbox(socket)?;
            if self.reading.is_some() {
                let page = read(&mut self.reading).await;
                self.on_page(page, socket)?;
            }
            self.write_all(socket).await?;
            if self.subscription.subscriber.outbox.is_quiet() {
                return Ok(());
            }
        }
    }

    /// Writes what there is. Meanwhile only pongs are heard: they say what need not be
    /// given again.
    async fn write_all(&mut self, socket: &mut Socket) -> Result<(), CloseReason> {
        while !self.outgoing.is_empty() {
            match turn(socket, &mut self.outgoing, true).await {
                Turn::Read(Some(Ok(Message::Pong(payload)))) => self.on_pong(&payload),
                Turn::Read(Some(Ok(Message::Close(_)))) => {
                    self.stand.iter_mut().for_each(Stand::rest);
                    return Err(CloseReason::ClientClosed);
                }
                Turn::Read(Some(Ok(_))) => {}
                Turn::Read(Some(Err(_)) | None) | Turn::Written(Err(_)) => {
                    return Err(CloseReason::ClientGone);
                }
                Turn::Written(Ok(())) => {}
            }
        }
        Ok(())
    }
}
