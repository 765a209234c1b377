//! What may change the routing while the process runs: the file, and SIGHUP.

use std::{path::Path, sync::Arc};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{config::Loaded, reload::Reloader, service::Service, watch::FileWatch};

/// The file and the signal, watched.
#[derive(Debug)]
pub(super) struct Changes {
    file: FileWatch,
    hangup: Signal,
}

impl Changes {
    /// Begins before the process says that it is ready: from then on no change is
    /// missed and SIGHUP does not end it.
    pub(super) fn watch(path: &Path, loaded: &Loaded) -> Option<Self> {
        let seen = loaded.text.expose().as_bytes().to_vec();
        match (FileWatch::new(path, seen), signal(SignalKind::hangup())) {
            (Ok(file), Ok(hangup)) => Some(Self { file, hangup }),
            (Err(error), _) | (_, Err(error)) => {
                error!(%error, "The config is not watched; changes need a restart");
                None
            }
        }
    }

    /// Follows the file, and SIGHUP.
    pub(super) async fn follow(
        mut self,
        reloader: Arc<Reloader>,
        service: Arc<Service>,
        stop: CancellationToken,
    ) {
        loop {
            let bytes = tokio::select! {
                () = stop.cancelled() => return,
                bytes = self.file.changed() => Ok(bytes),
                _ = self.hangup.recv() => self.file.read(),
            };
            match bytes {
                Ok(bytes) => reloader.reload(&bytes, service.watchdog()),
                Err(error) => reloader.unreadable(&error),
            }
        }
    }
}
