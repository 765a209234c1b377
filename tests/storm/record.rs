//! What a client heard over all its sockets, and what is to be said of that.

use std::{collections::HashMap, time::Duration};

/// How a client left a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// It was the server.
    #[default]
    Ended,
    Reset,
    /// The connection is shut without a word.
    Vanish,
    /// The socket stays, and nobody reads or answers.
    HalfOpen,
    Close,
}

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) n: usize,
    pub(crate) sitting: usize,
    pub(crate) at: Duration,
}

/// One socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sitting {
    pub(crate) ended: Option<Duration>,
    pub(crate) way: Way,
    /// How many frames had been heard when a ping was answered, and when that was.
    pub(crate) pongs: Vec<(usize, Duration)>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) heard: Vec<Heard>,
    pub(crate) sittings: Vec<Sitting>,
    pub(crate) told_lost: usize,
    pub(crate) closed: Vec<u16>,
}

/// What clients of one kind came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) clients: usize,
    pub(crate) sockets: usize,
    pub(crate) frames: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) disordered: usize,
    pub(crate) told_lost: usize,
    /// Doubled although a pong had long confirmed them.
    pub(crate) confirmed: usize,
    /// From when a frame that came twice was first heard to the end of that socket.
    pub(crate) windows: Vec<Duration>,
    pub(crate) faults: Vec<String>,
}

/// A pong that was sent so shortly before the connection broke may not have arrived.
const ON_ITS_WAY: Duration = Duration::from_millis(1000);

impl Tally {
    /// Adds a client that should have heard these numbers.
    pub(crate) fn add(&mut self, name: &str, record: &Record, expected: &[usize]) {
        self.clients += 1;
        self.sockets += record.sittings.len();
        self.frames += record.heard.len();
        self.told_lost += record.told_lost;
        let mut first: HashMap<usize, usize> = HashMap::new();
        let mut newest = None;
        for (at, heard) in record.heard.iter().enumerate() {
            match first.get(&heard.n) {
                None => {
                    first.insert(heard.n, at);
                    self.disordered += usize::from(newest > Some(heard.n));
                    newest = newest.max(Some(heard.n));
                }
                Some(first) => self.double(name, record, (*first, at)),
            }
        }
        let missing: Vec<_> = expected.iter().filter(|n| !first.contains_key(n)).collect();
        self.lost += missing.len();
        if let Some(n) = missing.first() {
            let around = record.heard.iter().rev().find(|heard| heard.n < **n);
            let sitting = around.map(|heard| &record.sittings[heard.sitting]);
            let after = around.map(|heard| heard.sitting + 1);
            let next = after.and_then(|next| record.sittings.get(next));
            self.faults.push(format!(
                "{name} lost {} from {n} on, after {around:?} of {sitting:?}; then {next:?}",
                missing.len()
            ));
        }
    }

    fn double(&mut self, name: &str, record: &Record, (first, again): (usize, usize)) {
        self.doubled += 1;
        let heard = record.heard[first];
        let sitting = &record.sittings[heard.sitting];
        let ended = sitting.ended.unwrap_or(Duration::MAX);
        self.windows.push(ended.saturating_sub(heard.at));
        let mut pongs = sitting.pongs.iter();
        let same = record.heard[again].sitting == heard.sitting;
        if same || pongs.any(|(covers, at)| *covers > first && *at + ON_ITS_WAY < ended) {
            self.confirmed += 1;
            let again = record.heard[again];
            self.faults.push(format!(
                "{name} heard {heard:?} of {sitting:?} again as {again:?} of {:?}",
                record.sittings[again.sitting]
            ));
        }
    }

    /// The longest and the mean window.
    pub(crate) fn window(&self) -> (Duration, Duration) {
        let longest = self.windows.iter().max().copied().unwrap_or_default();
        let sum: Duration = self.windows.iter().sum();
        let count = u32::try_from(self.windows.len().max(1)).unwrap();
        (longest, sum / count)
    }
}
