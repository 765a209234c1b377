//! What a session that leaves is still given: all that waits for it, as far as there is
//! time.

use tokio::time::{Duration, timeout};

use super::{CloseReason, Live, Socket, catch_up::read};
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
            if self.subscription.subscriber.outbox.is_quiet() {
                return Ok(());
            }
            let written = self.outgoing.write(socket).await;
            written.map_err(|_| CloseReason::ClientGone)?;
        }
    }
}
