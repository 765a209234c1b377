//! How the process ends: in phases, each logged and visible on `/ready` and in a
//! metric, all of them within one deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admin::{Phase, Readiness},
    config::Stop,
    feed::Feed,
};

/// How long background tasks may take to see that it is over.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How long readers may take to say goodbye where they read.
const GOODBYE: Duration = Duration::from_secs(2);

/// The tokens and trackers of the phases.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// No more connections.
    pub(super) door: CancellationToken,
    /// Sessions go home.
    pub(super) home: CancellationToken,
    /// No more events are fetched.
    pub(super) hush: CancellationToken,
    /// Whatever is left is cut.
    pub(super) cut: CancellationToken,
    pub(super) connections: TaskTracker,
    pub(super) sessions: TaskTracker,
    pub(super) readers: TaskTracker,
    pub(super) background: TaskTracker,
}

/// Balancers told, door closed, sessions sent home, readers ended, the feed closed, the
/// rest cut.
pub(super) async fn in_phases(stop: &Stop, feed: &Feed, readiness: &Readiness, ends: &Ends) {
    let deadline = Instant::now() + stop.deadline;
    readiness.enter(Phase::Draining);
    info!(notice = ?stop.notice, "Stopping: telling balancers that we are (a second signal stops at once)");
    sleep(stop.notice.min(stop.deadline)).await;
    readiness.enter(Phase::DoorClosed);
    info!("Stopping: no more connections");
    ends.door.cancel();
    readiness.enter(Phase::GoingHome);
    info!(spread = ?stop.spread, "Stopping: sending sessions home");
    ends.home.cancel();
    ends.connections.close();
    ends.sessions.close();
    let all = async {
        ends.connections.wait().await;
        ends.sessions.wait().await;
    };
    if timeout_at(deadline, all).await.is_err() {
        let (connections, sessions) = (ends.connections.len(), ends.sessions.len());
        warn!(
            connections,
            sessions, "Stopping: cutting what is left at the deadline"
        );
    }
    // Until here there were sessions, and they heard what was sent.
    ends.hush.cancel();
    ends.readers.close();
    if timeout(GOODBYE, ends.readers.wait()).await.is_err() {
        warn!("Stopping: a reader of events has not ended in time");
    }
    // Until here sessions could still publish what their clients had sent.
    feed.places_saved().await;
    feed.close();
    ends.cut.cancel();
    ends.background.close();
    let all = async {
        ends.background.wait().await;
        feed.ended().await;
    };
    if timeout(LAST_MOMENT, all).await.is_err() {
        warn!("Stopping: not everything in the background has ended in time");
    }
    readiness.enter(Phase::Stopped);
    info!("Stopped");
}
