//! Batches that are written together: each event gets its offset, or is found to be
//! there already.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio::{sync::oneshot, time::Instant};

use super::{
    super::{
        Appended, Unavailable,
        recent::Recent,
        window::{Amount, cost},
    },
    fault,
    ids::Ids,
    record::{Kind, Record},
};
use crate::event::{Entry, Event, EventId, Offset};

/// A batch on its way to the owner.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) events: Vec<Incoming>,
    pub(super) cursor: Option<(Arc<str>, Arc<str>)>,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) type Answer = Result<Vec<Appended>, Unavailable>;

/// An event, with its text unless it is ephemeral.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) event: Event,
    pub(super) at: SystemTime,
    pub(super) text: String,
}

/// What is written next.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The records.
    pub(super) data: Vec<u8>,
    /// The events among them, and where in `data` each stands.
    pub(super) places: Vec<(Offset, u64)>,
    pub(super) cursors: Vec<(Arc<str>, Arc<str>)>,
    /// The first offset that it may give out, and the last that it has.
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// Where in its segment it begins.
    begin: u32,
    entries: Vec<(Offset, Incoming)>,
    ids: HashMap<EventId, Offset>,
    amount: Amount,
    waiting: Vec<(Vec<Place>, oneshot::Sender<Answer>)>,
}

#[derive(Debug)]
enum Place {
    New(Offset),
    Known(Offset),
}

impl Group {
    /// Nothing yet; offsets go on from `last`.
    pub(super) fn new(mut data: Vec<u8>, begin: u64, last: Offset) -> Self {
        data.clear();
        let begin = u32::try_from(begin).unwrap_or(u32::MAX);
        let first = last.next();
        Self {
            data,
            begin,
            first,
            last,
            ..Self::default()
        }
    }

    /// Puts a record that is no event behind what is there.
    pub(super) fn put(&mut self, kind: Kind, offset: Offset, (name, body): (&str, &str)) {
        let (group, at) = (self.begin, 0);
        Record {
            kind,
            group,
            offset,
            at,
            name,
            body,
        }
        .put(&mut self.data);
    }

    /// Puts the cursors that came with its batches behind their events.
    pub(super) fn put_cursors(&mut self, durable: Offset) {
        let last = self.places.last().map_or(durable, |(last, _)| *last);
        for (source, cursor) in std::mem::take(&mut self.cursors) {
            self.put(Kind::Cursor, last, (&source, &cursor));
            self.cursors.push((source, cursor));
        }
    }

    /// Takes a batch, or answers it at once: it would push out what nobody has seen.
    pub(super) fn take(&mut self, request: Request, ids: &Ids, recent: &Recent) {
        let Request {
            events,
            cursor,
            answer,
        } = request;
        let amount = Amount {
            events: self.amount.events + events.len(),
            bytes: self.amount.bytes + events.iter().map(|one| cost(&one.event)).sum::<usize>(),
        };
        if let Err(full) = recent.check_room(amount) {
            answer.send(Err(full)).unwrap_or_default();
            return;
        }
        self.amount = amount;
        let places = events
            .into_iter()
            .map(|one| self.event(one, ids, recent))
            .collect();
        self.waiting.push((places, answer));
        self.cursors.extend(cursor);
    }

    fn event(&mut self, one: Incoming, ids: &Ids, recent: &Recent) -> Place {
        let id = &one.event.id;
        let known = self.ids.get(id).copied();
        // The window knows ephemeral ones, too.
        let known = known.or_else(|| ids.place(id)).or_else(|| recent.place(id));
        if let Some(offset) = known {
            return Place::Known(offset);
        }
        self.last = self.last.next();
        self.ids.insert(id.clone(), self.last);
        if !one.event.ephemeral {
            self.places.push((self.last, self.data.len() as u64));
            let record = Record {
                kind: Kind::Event,
                group: self.begin,
                offset: self.last,
                at: millis(one.at),
                name: one.event.id.as_str(),
                body: &one.text,
            };
            record.put(&mut self.data);
        }
        self.entries.push((self.last, one));
        Place::New(self.last)
    }

    /// The ids of what was written.
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, Offset)> {
        let durable = self.entries.iter().filter(|(_, one)| !one.event.ephemeral);
        durable.map(|(offset, one)| (one.event.id.as_str(), *offset))
    }

    /// Shows everything to those who read, then answers those who wait. Gives the
    /// buffer back.
    pub(super) fn publish(self, recent: &Recent) -> Vec<u8> {
        let accepted = Instant::now();
        let entry = |(offset, one): (Offset, Incoming)| {
            Arc::new(Entry {
                position: recent.position(offset),
                accepted,
                at: one.at,
                event: one.event,
            })
        };
        recent.publish(self.entries.into_iter().map(entry).collect());
        for (places, answer) in self.waiting {
            let appended = |place| match place {
                Place::New(offset) => Appended::Accepted(recent.position(offset)),
                Place::Known(offset) => Appended::Duplicate(recent.position(offset)),
            };
            // Who does not wait any more will ask again with the same ids.
            answer
                .send(Ok(places.into_iter().map(appended).collect()))
                .unwrap_or_default();
        }
        self.data
    }

    /// Tells everybody why not. Gives the buffer back.
    pub(super) fn refuse(self, reason: &'static str) -> Vec<u8> {
        for (_, answer) in self.waiting {
            answer
                .send(Err(fault::unavailable(reason)))
                .unwrap_or_default();
        }
        self.data
    }
}

fn millis(at: SystemTime) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
