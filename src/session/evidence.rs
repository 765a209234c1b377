//! What became of an entry, session by session. It is worked out when somebody asks, and
//! costs nothing before: a session gets entries in their order, so where it stands in
//! the feed says what it has had.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::SystemTime};

use super::{Listed, Sessions, past::Ended, progress::Progress};
use crate::{
    event::{Entry, Offset, SessionId, UserId},
    hub::{NotFor, Outbox},
    rollout::Leg,
};

/// How far an entry has come with one session, or why it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has reached the client: a pong proved it, then at the latest.
    Confirmed(Option<SystemTime>),
    /// It was given to the socket; no pong has come for it yet.
    Written,
    /// It waits to be written.
    Queued,
    /// The session is behind, and reads it from the feed when its turn has come.
    Behind,
    /// The hub has not handed it out yet.
    Accepted,
    /// The session heard none of its topics.
    NoSubscriber,
    /// The event is for other users.
    NotPermitted,
    /// The event, or a rule of the endpoint, leaves this client out.
    LeftOut,
    /// The endpoint has no frame for its type.
    NoFrame,
    /// Ephemeral, and the session was behind when it came.
    EphemeralWhileBehind,
    /// The session was closed before it had it: it did not read fast enough.
    Slow,
    /// The session was closed before it had it, or would have been.
    Closed,
    /// The session had ended before it was accepted.
    ClosedBefore,
    /// The session began after it.
    OpenedLater,
    /// The app serves this session: what it is sent is not known here.
    AppLeg,
    /// The session's topics have changed since, and it is not remembered how they were.
    Unknown,
}

/// What became of an entry with one session.
#[derive(Clone, Debug)]
pub struct Trail {
    /// Whose.
    pub session: SessionId,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The user.
    pub user: Option<UserId>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// How it is served.
    pub leg: Leg,
    /// Since when it is open.
    pub opened: SystemTime,
    /// When and why it has ended, if it has.
    pub ended: Option<(SystemTime, &'static str)>,
    /// How far the entry has come.
    pub state: State,
}

/// What became of an entry.
#[derive(Debug, Default)]
pub struct Evidence {
    /// For how many sessions it was.
    pub sessions: usize,
    /// How many sessions there are in each state, by its word; those that heard none of
    /// the topics are left out.
    pub states: Vec<(&'static str, usize)>,
    /// The sessions it was for, and those of the user in question whatever they heard.
    pub shown: Vec<Trail>,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed(_) => "confirmed",
            Self::Written => "written",
            Self::Queued => "queued",
            Self::Behind => "behind",
            Self::Accepted => "accepted",
            Self::NoSubscriber => "no_subscriber",
            Self::NotPermitted => "not_permitted",
            Self::LeftOut => "left_out",
            Self::NoFrame => "no_frame",
            Self::EphemeralWhileBehind => "ephemeral_while_behind",
            Self::Slow => "slow",
            Self::Closed => "closed",
            Self::ClosedBefore => "closed_before",
            Self::OpenedLater => "opened_later",
            Self::AppLeg => "app_leg",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the entry was for the session while it was open.
    fn is_meant(self) -> bool {
        match self {
            Self::Confirmed(_)
            | Self::Written
            | Self::Queued
            | Self::Behind
            | Self::Accepted
            | Self::EphemeralWhileBehind
            | Self::Slow
            | Self::Closed => true,
            Self::NoSubscriber
            | Self::NotPermitted
            | Self::LeftOut
            | Self::NoFrame
            | Self::ClosedBefore
            | Self::OpenedLater
            | Self::AppLeg
            | Self::Unknown => false,
        }
    }

    /// Whether the session had nothing to do with the entry.
    fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::NoSubscriber | Self::ClosedBefore | Self::OpenedLater | Self::AppLeg
        )
    }

    fn of(why: NotFor) -> Self {
        match why {
            NotFor::NotSubscribed => Self::NoSubscriber,
            NotFor::OtherUsers => Self::NotPermitted,
            NotFor::LeftOut => Self::LeftOut,
            NotFor::NoFrame | NotFor::Reserved => Self::NoFrame,
            NotFor::Ended => Self::Closed,
        }
    }
}

impl Evidence {
    fn note(&mut self, trail: Trail, user: Option<&UserId>, limit: usize) {
        let is_meant = trail.state.is_meant();
        self.sessions += usize::from(is_meant);
        if is_meant || !trail.state.is_foreign() {
            self.count(trail.state.word());
        }
        let is_asked_for = user.is_some() && trail.user.as_ref() == user;
        let is_shown = is_asked_for || (is_meant && user.is_none());
        if is_shown && self.shown.len() < limit {
            self.shown.push(trail);
        }
    }

    fn count(&mut self, word: &'static str) {
        match self.states.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => self.states.push((word, 1)),
        }
    }
}

impl Sessions {
    /// What became of an entry. Without a user the sessions it was for are shown, with
    /// one all that this user has or lately had; at most so many.
    pub fn evidence(&self, entry: &Entry, user: Option<&UserId>, limit: usize) -> Evidence {
        let mut evidence = Evidence::default();
        let ended = self.past.list();
        // A session that says goodbye is on both lists.
        let gone: HashSet<SessionId> = ended.iter().map(|ended| ended.session).collect();
        for ended in &ended {
            evidence.note(of_ended(entry, ended), user, limit);
        }
        let handed_out = self.hub.handed_out();
        let open = self.registry.list(usize::MAX);
        for listed in open.iter().filter(|one| !gone.contains(&one.session)) {
            evidence.note(of_open(entry, listed, handed_out), user, limit);
        }
        evidence.states.sort_unstable();
        evidence
    }
}

fn of_ended(entry: &Entry, ended: &Ended) -> Trail {
    let place = entry.position.offset;
    Trail {
        session: ended.session,
        endpoint: ended.endpoint.name.clone(),
        user: ended.user.clone(),
        address: ended.address,
        leg: Leg::Feed,
        opened: ended.opened,
        ended: Some((ended.at, ended.reason)),
        state: match decided(entry, ended) {
            Err(state) => state,
            Ok(()) if ended.heard.ended_before(place) => cut_off(place, ended),
            Ok(()) => reached(entry, &ended.track.get(), ended.heard.has_missed(place))
                .unwrap_or_else(|| cut_off(place, ended)),
        },
    }
}

/// Whether it was for a session, by what is left of that.
fn decided(entry: &Entry, ended: &Ended) -> Result<(), State> {
    let event = &entry.event;
    let listener = ended.listener();
    if !event.topics.is_empty() {
        match ended.heard.hears_any(&event.topics, entry.position.offset) {
            Some(true) => {}
            Some(false) => return Err(State::NoSubscriber),
            None => return Err(State::Unknown),
        }
    }
    let frame = listener.frame(event, |rule| listener.is_left_out(rule, event));
    frame.map(drop).map_err(State::of)
}

/// Why a session that has ended does not have what was for it.
fn cut_off(place: Offset, ended: &Ended) -> State {
    match ended.reason {
        _ if place > ended.head => State::ClosedBefore,
        "too_slow" | "history_lost" => State::Slow,
        _ => State::Closed,
    }
}

fn of_open(entry: &Entry, listed: &Listed, handed_out: Offset) -> Trail {
    Trail {
        session: listed.session,
        endpoint: listed.endpoint.clone(),
        user: listed.user.clone(),
        address: listed.address,
        leg: listed.leg,
        opened: listed.since,
        ended: None,
        state: match (listed.leg, listed.outbox(), listed.progress()) {
            (Leg::App, _, _) => State::AppLeg,
            (Leg::Feed, Some(outbox), Some(progress)) => {
                open_state(entry, outbox, &progress, handed_out)
            }
            // It has not come so far yet.
            (Leg::Feed, _, _) => State::OpenedLater,
        },
    }
}

fn open_state(entry: &Entry, outbox: &Outbox, progress: &Progress, handed_out: Offset) -> State {
    let place = entry.position.offset;
    let Some(subscriber) = outbox.subscriber() else {
        return State::Closed;
    };
    match subscriber.template(entry) {
        Err(NotFor::NotSubscribed) if !outbox.remembers_topics(place) => return State::Unknown,
        Err(why) => return State::of(why),
        Ok(_) => {}
    }
    let reached = reached(entry, progress, outbox.has_missed(place));
    reached.unwrap_or_else(|| match place {
        place if place > handed_out => State::Accepted,
        place if outbox.is_behind(place) => State::Behind,
        _ => State::Queued,
    })
}

/// How far an entry that is for a session has come, if it has left its queue.
fn reached(entry: &Entry, progress: &Progress, missed: Option<bool>) -> Option<State> {
    let place = entry.position.offset;
    if place <= progress.since {
        return Some(State::OpenedLater);
    }
    if entry.event.ephemeral {
        match missed {
            Some(true) => return Some(State::EphemeralWhileBehind),
            None => return Some(State::Unknown),
            Some(false) => {}
        }
    }
    if place <= progress.confirmed {
        return Some(State::Confirmed(progress.confirmed_at));
    }
    (place <= progress.given).then_some(State::Written)
}
