//! The shadow model: what was said to whom and by which rules, and whether what a
//! client heard is that.

use std::collections::HashMap;

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
    /// Where the feed stood before the handshake, and when the 101 was seen.
    pub(super) low: Place,
    pub(super) high: Place,
    /// Numbers and versions, in the order in which they came.
    pub(super) heard: Vec<(usize, u64)>,
    /// The text of the close frame, if one came.
    pub(super) closed: Option<String>,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) said: Vec<Said>,
    /// From after which place on which rules hold, oldest first.
    rules: Vec<(Place, Rules)>,
}

impl Model {
    /// From after a place on these rules hold.
    pub(super) fn rule(&mut self, since: Place, rules: Rules) {
        self.rules.push((since, rules));
    }

    fn rules_at(&self, place: Place) -> Rules {
        let after = self.rules.partition_point(|(since, _)| *since < place);
        self.rules[after - 1].1
    }

    /// The rules by which a sitting may have begun.
    fn rules_of(&self, sitting: &Sitting) -> impl Iterator<Item = Rules> {
        let first = self
            .rules
            .partition_point(|(since, _)| *since < sitting.low);
        let (first, high) = (first.saturating_sub(1), sitting.high);
        let in_time = self.rules[first..].iter();
        in_time
            .take_while(move |(since, _)| *since <= high)
            .map(|(_, rules)| *rules)
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
    /// between `must_after` and the last that was heard, once and in order, by the
    /// rules of its time.
    pub(super) fn check(
        &self,
        who: Listener,
        sitting: &Sitting,
        must_after: Place,
    ) -> Result<(), String> {
        let order = self.in_order();
        let index: HashMap<_, _> = order
            .iter()
            .enumerate()
            .map(|(at, (_, n))| (*n, at))
            .collect();
        let mut next = order.partition_point(|(place, _)| *place <= must_after.min(sitting.low));
        let mut unknown = Vec::new();
        for &(n, version) in &sitting.heard {
            let Some(&at) = index.get(&n) else {
                let refused = matches!(self.said[n].fate, Fate::Refused);
                if refused || unknown.contains(&n) {
                    return Err(format!("heard {n}, which was refused, or twice"));
                }
                unknown.push(n);
                continue;
            };
            if at < next {
                return Err(format!(
                    "heard {n} again, or after what follows it, or too early"
                ));
            }
            for &(place, missing) in &order[next..at] {
                if place > must_after && self.is_owed(who, sitting, (place, missing)) {
                    return Err(format!("lost {missing} before {n}"));
                }
            }
            next = at + 1;
            self.check_frame(who, sitting, (order[at].0, n), version)?;
        }
        Ok(())
    }

    /// Whether a client that is told that history is lost has really fallen out of what
    /// the feed remembers.
    pub(super) fn check_told(&self, sitting: &Sitting, remembers: usize) -> Result<(), String> {
        if sitting.closed.as_deref() != Some("history lost") {
            return Ok(());
        }
        let order = self.in_order();
        let heard = sitting.heard.last().map(|(n, _)| self.said[*n].fate);
        let reached = match heard {
            Some(Fate::At(place)) => place,
            Some(Fate::Unknown | Fate::Refused) | None => sitting.low,
        };
        let missed = order.iter().filter(|(place, _)| *place > reached).count();
        let told = (missed > remembers).then_some(());
        told.ok_or(format!("told that history is lost after only {missed}"))
    }

    fn is_owed(&self, who: Listener, sitting: &Sitting, (place, n): (Place, usize)) -> bool {
        let said = &self.said[n];
        let replayed = place <= sitting.high;
        let hears = who.hears(said, self.rules_at(place))
            && (!replayed || self.rules_of(sitting).all(|rules| who.hears(said, rules)));
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
        let of_now = self.rules_of(sitting).filter(|_| place <= sitting.high);
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
