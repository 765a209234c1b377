//! Sessions that have ended, a bounded number of them: as little of each as is needed
//! to say later what became of an entry. Nothing here keeps a frame or a claim.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::progress::Track;
use crate::{
    event::{Offset, SessionId, SessionName, UserId},
    hub::{Heard, Listener},
    routes::Endpoint,
};

/// Sessions remembered at most: about 400 bytes each where a session hears two topics.
const MAX_ENDED: usize = 4096;

/// A session that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) session: SessionId,
    pub(super) name: Option<SessionName>,
    pub(super) user: Option<UserId>,
    pub(super) address: SocketAddr,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) heard: Heard,
    pub(super) opened: SystemTime,
    pub(super) track: Track,
    /// The word of the reason, and when.
    pub(super) reason: &'static str,
    pub(super) at: SystemTime,
    /// Where the feed stood then.
    pub(super) head: Offset,
}

/// The last of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<VecDeque<Arc<Ended>>>);

impl Ended {
    pub(super) fn listener(&self) -> Listener<'_> {
        Listener {
            endpoint: &self.endpoint,
            user: self.user.as_ref(),
            name: self.name,
        }
    }
}

impl Past {
    /// Adds one, and forgets those that ended longer ago than the feed remembers.
    pub(super) fn add(&self, ended: Ended, keep: Duration) {
        let since = ended.at.checked_sub(keep);
        let mut past = self.lock();
        let is_old = |oldest: &Arc<Ended>| since.is_some_and(|since| oldest.at < since);
        while past.len() >= MAX_ENDED || past.front().is_some_and(is_old) {
            past.pop_front();
        }
        past.push_back(Arc::new(ended));
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<Arc<Ended>> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Ended>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::{event::Topic, session::Progress};

    #[test]
    fn all_that_is_remembered_is_small() {
        // Two topics of 16 bytes of its own, a user, and what shared texts cost.
        let text = 2 * size_of::<usize>() + 16;
        let track = 3 * size_of::<usize>() + size_of::<Progress>();
        let one = size_of::<Ended>() + track + 2 * (size_of::<Topic>() + text) + text;
        println!(
            "an ended session takes {one} bytes, all {} KiB",
            MAX_ENDED * one / 1024
        );
        assert!(one < 512);
    }
}
