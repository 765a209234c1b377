//! The shadow model: what was said to whom and by which rules, and whether what a
//! client heard is that.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::event::{Offset, Position};

/// A place in the order of all lives: epochs grow, too.
pub(super) type Place = (u64, Offset);

pub(super) fn place(position: Position) -> Place {
    (position.epoch, position.offset)
}

/// What the config says at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Stands in each frame.
    pub(super) version: u64,
    /// Whether everybody hears the topic `extra` as well.
    pub(super) extra: bool,
    /// Whether events of the kind `other` have a frame.
    pub(super) other: bool,
}

/// One event.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) rooms: Vec<u64>,
    pub(super) extra: bool,
    pub(super) users: Vec<u64>,
    pub(super) except: Vec<u64>,
    pub(super) other: bool,
    pub(super) ephemeral: bool,
    /// Whoever hears this has heard all.
    pub(super) last: bool,
    pub(super) fate: Fate,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Fate {
    /// Nobody knows: the process ended before it answered.
    #[default]
    Unknown,
    Refused,
    At(Place),
}

/// Who listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) user: u64,
    pub(super) room: u64,
}

/// One socket of a client, from its handshake to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Sitting {
    /// In which life of the process, and when.
    pub(super) life: u64,
    pub(super) begun: Option<Instant>,
    /// Where the feed stood before the handshake, and when the 101 was seen.
    pub(super) low: Place,
    pub(super) high: Place,
    /// The place that the client has named, or was told that it begins at.
    pub(super) since: Option<Place>,
    pub(super) heard: Vec<Heard>,
    /// Where the feed stood when the first of it came: until then it may have been open
    /// in whose place the session begins, and by which rules.
    pub(super) decided: Option<Place>,
    /// How far the client has come by the server's word.
    pub(super) reached: Option<Place>,
    /// How much had been heard when a ping was answered, and when that was.
    pub(super) pongs: Vec<(usize, Instant)>,
    pub(super) ended: Option<(Instant, How)>,
}

/// What came over a socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    /// The number of an event, and the version of its frame.
    Event(usize, u64),
    /// History is lost: it goes on behind this place, or one before it.
    Lost(Place, Exactly),
}

/// Whether a place is known, or is the last that it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exactly {
    Here,
    AtMost,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The connection broke, or nobody reads any more.
    Cut,
    /// The client said goodbye.
    Closed,
    /// The server said goodbye.
    Sent,
    /// The server said that history is lost, and goodbye.
    SentLost,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) said: Vec<Said>,
    /// From after which place on which rules hold, oldest first.
    rules: Vec<(Place, Rules)>,
    /// When each life of the process ended, and whether it was killed.
    ends: Vec<(Instant, bool)>,
}

impl Model {
    /// From after a place on these rules hold.
    pub(super) fn rule(&mut self, since: Place, rules: Rules) {
        self.rules.push((since, rules));
    }

    /// A life of the process ends.
    pub(super) fn end(&mut self, killed: bool) {
        self.ends.push((Instant::now(), killed));
    }

    /// When a life ended, and whether it was killed.
    pub(super) fn end_of(&self, life: u64) -> (Instant, bool) {
        self.ends[usize::try_from(life).unwrap() - 1]
    }

    fn rules_at(&self, place: Place) -> Rules {
        let after = self.rules.partition_point(|(since, _)| *since < place);
        self.rules[after - 1].1
    }

    /// The rules by which an entry may be read that came before a sitting: those of its
    /// beginning; in another's place, all since the entry.
    fn rules_for(&self, sitting: &Sitting, place: Place) -> impl Iterator<Item = Rules> {
        let since = if sitting.decided.is_some() {
            place
        } else {
            sitting.low
        };
        let first = self.rules.partition_point(|(other, _)| *other < since);
        let until = sitting.high.max(sitting.decided.unwrap_or_default());
        let in_time = self.rules[first.saturating_sub(1)..].iter();
        in_time
            .take_while(move |(since, _)| *since <= until)
            .map(|(_, rules)| *rules)
    }

    /// How much stands after a place.
    pub(super) fn after(&self, place: Place) -> usize {
        let order = self.in_order();
        order.iter().filter(|(other, _)| *other > place).count()
    }

    /// All that has a place, in order.
    pub(super) fn in_order(&self) -> Vec<(Place, usize)> {
        let placed = self.said.iter().enumerate();
        let placed = placed.filter_map(|(n, said)| match said.fate {
            Fate::At(place) => Some((place, n)),
            Fate::Unknown | Fate::Refused => None,
        });
        let mut placed: Vec<_> = placed.collect();
        placed.sort_unstable();
        placed
    }

    /// Whether what was heard on a socket is what was for it: all of it that stands
    /// between a place and the last that was heard, once and in order, by the rules of
    /// its time, and nothing of what stands before another place.
    pub(super) fn check(
        &self,
        who: Listener,
        sitting: &Sitting,
        (may_after, must_after): (Place, Place),
    ) -> Result<(), String> {
        let order = self.in_order();
        let index: HashMap<_, _> = order
            .iter()
            .enumerate()
            .map(|(at, (_, n))| (*n, at))
            .collect();
        let mut must_after = must_after;
        let mut next = order.partition_point(|(place, _)| *place <= may_after);
        let none_missing = |next: usize, at: usize, must_after: Place| {
            let mut between = order[next.min(at)..at].iter();
            let owed =
                |one: &&(Place, usize)| one.0 > must_after && self.is_owed(who, sitting, **one);
            between
                .find(owed)
                .map_or(Ok(()), |(_, n)| Err(format!("lost {n}")))
        };
        for heard in &sitting.heard {
            let (n, version) = match *heard {
                Heard::Event(n, version) => (n, version),
                Heard::Lost(place, exactly) => {
                    must_after = place;
                    if exactly == Exactly::Here {
                        next = order.partition_point(|(other, _)| *other <= place);
                    }
                    continue;
                }
            };
            let Some(&at) = index.get(&n) else {
                match self.said[n].fate {
                    Fate::Refused => return Err(format!("heard {n}, which was refused")),
                    Fate::Unknown | Fate::At(_) => continue,
                }
            };
            if at < next {
                return Err(format!(
                    "heard {n} again, or after what follows it, or too early"
                ));
            }
            none_missing(next, at, must_after).map_err(|lost| format!("{lost} before {n}"))?;
            next = at + 1;
            self.check_frame(who, sitting, (order[at].0, n), version)?;
        }
        let reached = sitting.reached.unwrap_or_default();
        let end = order.partition_point(|(place, _)| *place <= reached);
        none_missing(next, end, must_after)
            .map_err(|lost| format!("{lost} although told to be beyond"))
    }

    /// Whether a client that was told that history is lost has really fallen out of what
    /// the feed remembers.
    pub(super) fn check_told(
        &self,
        sitting: &Sitting,
        from: Place,
        remembers: usize,
    ) -> Result<(), String> {
        let order = self.in_order();
        let mut reached = from;
        let mut told = Vec::new();
        for heard in &sitting.heard {
            match *heard {
                Heard::Event(n, _) => match self.said[n].fate {
                    Fate::At(place) => reached = reached.max(place),
                    Fate::Unknown | Fate::Refused => {}
                },
                Heard::Lost(place, exactly) => {
                    // Where it goes on shows in what comes next.
                    let on = match exactly {
                        Exactly::Here => place,
                        Exactly::AtMost => (place.0, Offset::ZERO),
                    };
                    told.push((std::mem::replace(&mut reached, on), place));
                }
            }
        }
        if matches!(sitting.ended, Some((_, How::SentLost))) {
            told.push((reached, (sitting.high.0, Offset(u64::MAX, 0))));
        }
        for (from, until) in told {
            let missed = order.iter().filter(|(place, _)| *place > from).count();
            if missed <= remembers && from.0 == until.0 {
                return Err(format!(
                    "told at {from:?} that history is lost after only {missed}"
                ));
            }
        }
        Ok(())
    }

    fn is_owed(&self, who: Listener, sitting: &Sitting, (place, n): (Place, usize)) -> bool {
        let said = &self.said[n];
        let replayed = place <= sitting.high;
        let hears = who.hears(said, self.rules_at(place))
            && (!replayed
                || self
                    .rules_for(sitting, place)
                    .all(|rules| who.hears(said, rules)));
        hears && !said.ephemeral
    }

    fn check_frame(
        &self,
        who: Listener,
        sitting: &Sitting,
        (place, n): (Place, usize),
        version: u64,
    ) -> Result<(), String> {
        let said = &self.said[n];
        let of_then = self.rules_at(place);
        let of_now = self
            .rules_for(sitting, place)
            .filter(|_| place <= sitting.high);
        let mut rules = of_now.chain([of_then]);
        let fits = |rules: Rules| rules.version == version && who.hears(said, rules);
        match rules.any(fits) {
            true => Ok(()),
            false => Err(format!(
                "heard {n} by the rules of {version} and not {}",
                of_then.version
            )),
        }
    }
}

impl Listener {
    fn hears(self, said: &Said, rules: Rules) -> bool {
        let by_topic = !said.rooms.is_empty() || said.extra;
        let subscribed = said.rooms.contains(&self.room) || (said.extra && rules.extra);
        let named = said.users.contains(&self.user);
        let meant = if by_topic {
            subscribed && (said.users.is_empty() || named)
        } else {
            named
        };
        meant && !said.except.contains(&self.user) && (!said.other || rules.other)
    }
}
