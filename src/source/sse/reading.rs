//! What a message of a stream is as an event, and the id of one that has none.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::value::RawValue;

use super::{
    parser::{self, Message},
    random,
};
use crate::{
    event::{Event, EventId},
    source::wire::{self, Draft, Rejected},
};

/// Why an event is skipped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Skipped {
    #[error("it is larger than {} bytes", parser::MAX_SIZE)]
    TooLarge,
    #[error("its data is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Skipped {
    /// One fixed word for the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotJson(_) => "not_json",
            Self::Rejected(Rejected::NotAnObject) => "not_an_object",
            Self::Rejected(Rejected::Unknown(_)) => "unknown_key",
            Self::Rejected(Rejected::Twice(_)) => "key_twice",
            Self::Rejected(Rejected::Missing(_)) => "missing",
            Self::Rejected(Rejected::Wrong(..)) => "wrong_value",
            Self::Rejected(Rejected::Nobody) => "nobody",
        }
    }
}

/// Where in the ids of a stream its reader is.
#[derive(Debug)]
pub(super) struct Reading {
    /// The last id that was said, and how many events without one came since.
    last: (String, u64),
    /// For events before which no id was ever said: different in each process, and
    /// counting.
    process: (u64, u64),
}

impl Reading {
    pub(super) fn new() -> Self {
        let last = (String::new(), 0);
        let process = (random(), 0);
        Self { last, process }
    }

    /// Reads on behind an id.
    pub(super) fn begin(&mut self, id: &str) {
        self.last = (id.to_owned(), 0);
    }

    /// Whether no id was ever said.
    pub(super) fn has_no_ids(&self) -> bool {
        self.last.0.is_empty()
    }

    /// The event, or why it is none; nothing, if there was no data.
    pub(super) fn read(&mut self, message: Message) -> Option<Result<Event, Skipped>> {
        if let Some(id) = &message.id {
            self.last = (id.clone(), 0);
        }
        if message.data.is_empty() && !message.too_large {
            return None;
        }
        let own = message.id.clone().filter(|id| !id.is_empty());
        let id = match own {
            Some(id) => wire::checked("id", id).map(EventId::from),
            None => Ok(self.next_unnamed(&message.data)),
        };
        Some(event(message, id))
    }

    /// An event without an id is known by the last id before it, by its place behind
    /// that, and by what it says: a server that repeats it repeats all three.
    fn next_unnamed(&mut self, data: &str) -> EventId {
        let (last, count) = match &mut self.last {
            (last, _) if last.is_empty() => {
                let (process, count) = &mut self.process;
                *count += 1;
                return format!("sse-{process:x}.{count}").into();
            }
            (last, count) => (last, count),
        };
        *count += 1;
        let hash = digest(&SHA256, format!("{last}\0{data}").as_bytes());
        let hash: String = hash
            .as_ref()
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sse-{hash}.{count}").into()
    }
}

fn event(message: Message, id: Result<EventId, Rejected>) -> Result<Event, Skipped> {
    if message.too_large {
        return Err(Skipped::TooLarge);
    }
    let json: &RawValue = serde_json::from_str(&message.data)?;
    let (mut draft, result) = Draft::read(json);
    result?;
    if draft.kind.is_none() && !message.kind.is_empty() {
        draft.kind = Some(wire::checked("event", message.kind)?.into());
    }
    let id = match draft.id.clone() {
        Some(own) => own,
        None => id?,
    };
    Ok(draft.finish(id)?)
}
