//! What a client went through, for whoever looks into a fault.

use std::fmt::Write as _;

use tokio::time::Instant;

use super::{
    client::Client,
    model::{Fate, Heard, Model, Place, Sitting},
};

impl Client {
    /// All its sockets: where each began and ended, and what came over it.
    pub(super) fn story(&self, model: &Model) -> String {
        let mut story = format!("{:?} {:?}", self.kind, self.who);
        for (at, sitting) in self.sittings.iter().enumerate() {
            write!(story, "\nsocket {at}, {}", sitting.story(model)).unwrap();
        }
        story
    }
}

impl Sitting {
    fn story(&self, model: &Model) -> String {
        let begun = self.begun.unwrap();
        let (end, killed) = model.end_of(self.life);
        let after = |at: Instant| (at - begun).as_millis();
        let pongs = self.pongs.iter();
        let pongs = pongs.map(|(count, at)| format!("{count} at {} ms", after(*at)));
        let heard: Vec<_> = self.heard.iter().map(|one| one.story(model)).collect();
        format!(
            "life {} (ends after {} ms, killed: {killed}): since {}, feed {} to {}, left {:?}\n  pongs {:?}\n  {}",
            self.life,
            after(end),
            self.since.map_or("-".to_owned(), short),
            short(self.low),
            short(self.high),
            self.ended.map(|(at, how)| (after(at), how)),
            pongs.collect::<Vec<_>>(),
            heard.join(" "),
        )
    }
}

impl Heard {
    fn story(self, model: &Model) -> String {
        match self {
            Self::Event(n, version) => match model.said[n].fate {
                Fate::At(place) => format!("{n}v{version}@{}", short(place)),
                fate => format!("{n}v{version} {fate:?}"),
            },
            Self::Lost(place, exactly) => format!("lost {exactly:?} {}", short(place)),
        }
    }
}

/// The end of an epoch is enough to tell it from others.
fn short((epoch, offset): Place) -> String {
    format!("{:03}:{offset}", epoch % 1000)
}
