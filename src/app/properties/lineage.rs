//! What a client heard over all its sockets: from where on each of them has to give it
//! what is for it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    client::{Client, Kind},
    model::{Exactly, Fate, Heard, How, Model, Place, Sitting},
};

/// A pong that came so long before the end of a socket has been heard.
const SETTLED: Duration = Duration::from_millis(50);
/// What was heard so long before the end of a process has been written.
const WRITTEN: Duration = Duration::from_millis(300);

/// What a client that knows nothing of positions may expect when it comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resume {
    /// For so long it is expected.
    pub(super) window: Duration,
    /// If the feed has at least so many events, it may have forgotten those before.
    pub(super) remembers: usize,
}

/// What came of a client.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) deliveries: usize,
    pub(super) told_lost: usize,
    pub(super) resumes: usize,
    pub(super) adoptions: usize,
    /// Came twice, and nothing had confirmed them.
    pub(super) doubled: usize,
}

/// What a client that knows nothing of positions has behind it.
#[derive(Debug, Default)]
struct Past {
    /// It has heard everything up to here.
    got: Place,
    /// The server knows that it has heard everything up to here.
    confirmed: Place,
    /// So does who comes after that server.
    written: Place,
    /// When and how it left, if it was somewhere before.
    left: Option<Sitting>,
}

impl Client {
    /// Checks all its sockets.
    pub(super) fn check(&self, model: &Model, resume: &Resume) -> Result<Count, String> {
        let mut count = Count::default();
        let mut past = Past::default();
        for (at, sitting) in self.sittings.iter().enumerate() {
            let fresh = (sitting.low, sitting.high);
            let known = sitting.since.map(|since| (since, since));
            let (may, must) = match (self.kind, known) {
                (_, Some(known)) => known,
                (Kind::Envelope, None) => fresh,
                // Who does not say where it was is taken for who cannot.
                (Kind::Since | Kind::Legacy, None) => past.begins(model, sitting, resume),
            };
            count.resumes += usize::from(self.kind != Kind::Legacy && at > 0 && known.is_some());
            count.adoptions += usize::from(known.is_none() && at > 0 && must == past.got);
            let checked = model.check(self.who, sitting, (may, must));
            let checked = checked.and_then(|()| model.check_told(sitting, may, resume.remembers));
            checked.map_err(|fault| format!("socket {at}: {fault}"))?;
            count.doubled += past.go_on(model, sitting, must);
            count.add(sitting);
        }
        Ok(count)
    }
}

impl Count {
    fn add(&mut self, sitting: &Sitting) {
        let lost = |heard: &&Heard| matches!(heard, Heard::Lost(..));
        let told = sitting.heard.iter().filter(lost).count();
        let sent = matches!(sitting.ended, Some((_, How::SentLost)));
        self.told_lost += told + usize::from(sent);
        self.deliveries += sitting.heard.len() - told;
    }
}

impl Past {
    /// After which places a socket may, and must, give what is for the client.
    fn begins(&mut self, model: &Model, sitting: &Sitting, resume: &Resume) -> (Place, Place) {
        if self
            .left
            .as_ref()
            .is_some_and(|left| left.life != sitting.life)
        {
            self.confirmed = self.written;
        }
        let known = self.left.as_ref().filter(|left| {
            let how = left.ended.map_or(How::Cut, |(_, how)| how);
            // A process that begins anew has its clocks from elsewhere.
            let same_life = left.life == sitting.life;
            let times = left.ended.zip(sitting.begun).filter(|_| same_life);
            let away = times.map_or(Duration::ZERO, |((ended, _), begun)| begun - ended);
            let forgotten = model.after(self.confirmed) > resume.remembers;
            let expected = same_life && away < resume.window && !forgotten;
            matches!(how, How::Cut | How::Sent) && expected
        });
        match known {
            Some(_) => (self.confirmed.min(sitting.low), self.got),
            None => (self.confirmed.min(sitting.low), sitting.high),
        }
    }

    /// How many events of a socket had come before.
    fn go_on(&mut self, model: &Model, sitting: &Sitting, must: Place) -> usize {
        let (known, mut doubled) = (self.got, 0);
        let mut got = known.max(must);
        let covered = sitting.covered(|_| true);
        let (end, _) = model.end_of(sitting.life);
        let written = sitting.covered(|at| at + WRITTEN < end);
        for (at, heard) in sitting.heard.iter().enumerate() {
            let place = match *heard {
                Heard::Event(n, _) => match model.said[n].fate {
                    Fate::At(place) => place,
                    Fate::Unknown | Fate::Refused => continue,
                },
                Heard::Lost(place, Exactly::Here | Exactly::AtMost) => place,
            };
            doubled += usize::from(place <= known);
            got = got.max(place);
            if at < covered {
                self.confirmed = self.confirmed.max(place);
            }
            if at < written {
                self.written = self.written.max(place);
            }
        }
        self.got = got;
        self.left = Some(sitting.clone());
        doubled
    }
}

impl Sitting {
    /// How much of what was heard a pong has surely confirmed, of those that count.
    fn covered(&self, counts: impl Fn(Instant) -> bool) -> usize {
        let settled = |at| counts(at) && self.ended.is_some_and(|(ended, _)| at + SETTLED < ended);
        let pongs = self.pongs.iter().filter(|(_, at)| settled(*at));
        pongs.map(|(count, _)| *count).max().unwrap_or_default()
    }
}
