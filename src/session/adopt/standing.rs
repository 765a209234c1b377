//! A session among those of its key, as the others see it, and its own end of that.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, timeout_at},
};

use super::{
    ANSWER, Adoptions, Beginning, Key, Newcomer, Past, decide::Begins, nodes::Caller,
    orphans::Rules,
};
use crate::{
    event::{Offset, Position, SessionName},
    feed::Mark,
    hub::Outbox,
};

/// Claims that a silent session holds at most: the rest is one client that comes again
/// and again.
const MAX_CLAIMS: usize = 64;

/// A session as others of its key see it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) name: SessionName,
    pub(super) key: Key,
    /// The head of the feed when it subscribed.
    pub(super) head: Offset,
    pub(super) outbox: Arc<Outbox>,
    state: Mutex<State>,
    /// Somebody asks whether it is there.
    pub(super) knocked: Notify,
    /// It answered, or need not be waited for any longer.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) confirmed: Offset,
    /// The rules by which entries are read that its client may not have, but the last.
    older: Rules,
    generation: u64,
    /// It knows where it begins.
    pub(super) decided: bool,
    pub(super) ended: bool,
    pub(super) knocks: u64,
    pub(super) answered: u64,
    /// Those who came since it last answered.
    claims: Vec<Claim>,
    /// The same, where they may have come to other nodes.
    pub(super) callers: Vec<Caller>,
    /// One of them stands in its place.
    pub(super) taken: bool,
}

/// Why a session has to be waited for.
enum Delay {
    /// It need not.
    None,
    /// It has not answered.
    Silent,
    /// It does not know where it begins.
    Undecided,
}

/// Somebody who came may be this session's client.
#[derive(Debug)]
struct Claim {
    knock: u64,
    at: Instant,
    turn: Turn,
}

/// Everybody who comes stands in the place of one at most.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<AtomicU8>);

const WAITS: u8 = 0;
const OPEN: u8 = 1;
const SPENT: u8 = 2;

impl Turn {
    /// Of somebody who does not know yet where it begins.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(WAITS)))
    }

    /// It knows: in somebody's place, or not.
    pub(super) fn decide(&self, spent: bool) {
        let turn = if spent { SPENT } else { OPEN };
        self.0.store(turn, Ordering::Relaxed);
    }

    fn spend(&self) -> bool {
        let order = Ordering::Relaxed;
        self.0.compare_exchange(OPEN, SPENT, order, order).is_ok()
    }
}

impl Standing {
    pub(super) fn new(newcomer: Newcomer<'_>) -> Arc<Self> {
        let state = State {
            confirmed: newcomer.head,
            older: Rules::new(),
            generation: newcomer.generation,
            decided: false,
            ended: false,
            knocks: 0,
            answered: 0,
            claims: Vec::new(),
            callers: Vec::new(),
            taken: false,
        };
        Arc::new(Self {
            name: newcomer.name,
            key: newcomer.key,
            head: newcomer.head,
            outbox: newcomer.outbox.clone(),
            state: Mutex::new(state),
            knocked: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Where it is, for the process that comes after this one.
    pub(super) fn mark(&self, at: Position, window: Duration) -> Mark {
        Mark {
            endpoint: self.key.endpoint.clone(),
            params: self.key.params.clone(),
            user: self.key.user.clone(),
            at,
            window,
            doubted: !self.lock().claims.is_empty(),
            undecided: false,
        }
    }

    /// Whether its client has everything that was ever offered to it.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.lock();
        state.decided && self.outbox.is_settled(state.confirmed)
    }

    /// Asks whether it is there. The answer bears this number or a higher one.
    pub(super) fn knock(&self, turn: &Turn) -> u64 {
        let mut state = self.lock();
        state.knocks += 1;
        let knock = state.knocks;
        if state.claims.len() < MAX_CLAIMS {
            let (at, turn) = (Instant::now(), turn.clone());
            state.claims.push(Claim { knock, at, turn });
        }
        drop(state);
        self.knocked.notify_one();
        knock
    }

    /// Waits until it has answered, or no answer is needed any longer. Who does not know
    /// yet where it begins has a moment longer for that.
    pub(super) async fn settled(&self, knock: u64, until: Instant) {
        loop {
            let changed = self.changed.notified();
            let until = match self.delay(knock) {
                Delay::None => return,
                Delay::Silent => until,
                Delay::Undecided => until + ANSWER / 2,
            };
            if timeout_at(until, changed).await.is_err() {
                return;
            }
        }
    }

    fn delay(&self, knock: u64) -> Delay {
        let state = self.lock();
        match state.answered >= knock || state.ended || state.taken {
            true => Delay::None,
            false if state.decided => Delay::Silent,
            false => Delay::Undecided,
        }
    }

    /// Whether it has answered.
    pub(super) fn has_answered(&self, knock: u64) -> bool {
        self.lock().answered >= knock
    }

    /// Where its client is known to be, if it does not answer and nobody stands in its
    /// place.
    pub(super) fn place_of_silent(&self, knock: u64) -> Option<Offset> {
        let mut state = self.lock();
        state.presume(ANSWER);
        let silent = state.answered < knock && state.decided && !state.ended && !state.taken;
        silent.then_some(state.confirmed)
    }

    /// Somebody stands in its place, unless it answers.
    pub(super) fn take(&self) {
        self.lock().taken = true;
        self.changed.notify_waiters();
    }

    /// Whether somebody stands in its place who came so long ago that it would have
    /// answered since.
    pub(super) fn is_replaced(&self) -> bool {
        let mut state = self.lock();
        state.presume(ANSWER);
        state.taken
    }

    /// Whether somebody stands in its place.
    pub(super) fn is_taken(&self) -> bool {
        self.lock().taken
    }

    /// It ends: where its client is known to be, if nobody stands in its place.
    pub(super) fn end(&self, dies: bool) -> Option<Offset> {
        let mut state = self.lock();
        state.ended = true;
        if dies && !state.taken {
            // Who came and got no answer is this client, come back.
            state.presume(Duration::ZERO);
        }
        (dies && !state.taken).then_some(state.confirmed)
    }

    /// By whose rules entries up to `here` were for it.
    pub(super) fn past(&self, here: Offset) -> Past {
        let state = self.lock();
        let (older, generation) = (state.older.clone(), state.generation);
        drop(state);
        let last = self.outbox.subscriber();
        last.map(|last| Past::until(older, here, last, generation))
            .unwrap_or_default()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whoever came so long ago and got no answer until now is this client. Where one
    /// is already, the others may be those of other sessions.
    fn presume(&mut self, ago: Duration) {
        let mut claims = self.claims.iter();
        self.taken =
            self.taken || claims.any(|claim| claim.at.elapsed() >= ago && claim.turn.spend());
    }
}

/// A session's stand among those of its key. Dropped, it leaves an orphan, unless its
/// client has said goodbye or somebody stands in its place.
#[derive(Debug)]
pub(in crate::session) struct Stand {
    adoptions: Arc<Adoptions>,
    pub(super) standing: Arc<Standing>,
    /// Where it begins, until somebody wants to know.
    pub(super) begins: Option<Begins>,
    /// How long its orphan lasts; not at all, if there is to be none.
    window: Duration,
    past: Past,
}

impl Stand {
    pub(super) fn new(
        adoptions: Arc<Adoptions>,
        (standing, window): (Arc<Standing>, Duration),
        begins: Begins,
    ) -> Self {
        // Who took a place and never gets its 101 leaves it as it was; who took none
        // leaves none.
        let (window, past) = match &begins {
            Begins::There(Beginning::Adopted(adopted)) => {
                standing.lock().confirmed = adopted.at;
                (window, adopted.past.clone())
            }
            // What it took, if anything, is known to other nodes.
            Begins::Among(_) => (window, Past::default()),
            Begins::There(_) | Begins::Asked(_) => (Duration::ZERO, Past::default()),
        };
        Self {
            adoptions,
            standing,
            begins: Some(begins),
            window,
            past,
        }
    }

    /// Waits until other nodes can know of it, but not for long.
    pub(in crate::session) async fn announced(&self) {
        if let Some(Begins::Among(arriving)) = &self.begins {
            arriving.announced().await;
        }
    }

    pub(super) fn adoptions(&self) -> &Arc<Adoptions> {
        &self.adoptions
    }

    /// It follows a table: if it dies, its orphan lasts so long.
    pub(in crate::session) fn follow(&mut self, window: Duration, generation: u64, older: Rules) {
        self.window = window;
        let mut state = self.standing.lock();
        (state.generation, state.older) = (generation, older);
    }

    /// It begins here, and reads by these rules before its own.
    pub(in crate::session) fn begin(&self, at: Offset, older: Rules) {
        let mut state = self.standing.lock();
        (state.confirmed, state.older, state.decided) = (at, older, true);
        drop(state);
        match &self.adoptions.nodes {
            Some(nodes) => nodes.begun(&self.standing, at),
            None => self.adoptions.mark(&self.standing, (at, self.window)),
        }
        self.standing.changed.notify_waiters();
    }

    /// Waits until somebody asks whether it is there.
    pub(in crate::session) async fn knocked(&self) {
        self.standing.knocked.notified().await;
    }

    /// What a ping carries, so that its answer can be told from that of an older one.
    pub(in crate::session) fn knocks(&self) -> u64 {
        self.standing.lock().knocks
    }

    /// A pong: everything up to here has reached the client, and it is there.
    pub(in crate::session) fn confirm(&self, confirmed: Offset, answered: u64) {
        let mut state = self.standing.lock();
        if state.decided {
            let confirmed = state.confirmed.max(confirmed);
            state.confirmed = confirmed;
            state.older.retain(|(until, _)| *until > confirmed);
        }
        let answers = answered.min(state.knocks) > state.answered;
        let (at, mut back) = (state.confirmed, false);
        if answers {
            state.answered = answered.min(state.knocks);
            back = std::mem::take(&mut state.taken);
            state.claims.retain(|claim| claim.knock > answered);
            state.callers.retain(|caller| caller.knock > answered);
        }
        let (decided, doubted) = (state.decided, !state.claims.is_empty());
        drop(state);
        match &self.adoptions.nodes {
            Some(nodes) if decided => nodes.confirmed(&self.standing, (at, answers)),
            None if back => self.adoptions.mark(&self.standing, (at, self.window)),
            None if decided => self.adoptions.mark_moved(&self.standing, at),
            Some(_) | None => {}
        }
        if answers {
            let marks = self.adoptions.feed.marks();
            marks.doubt(self.standing.name, doubted);
            self.standing.changed.notify_waiters();
        }
    }

    /// It dies: what was for it up to now is read by these rules.
    pub(in crate::session) fn leave(&mut self, past: Past) {
        self.past = past;
    }

    /// It ends by a word: there will be no orphan.
    pub(in crate::session) fn rest(&mut self) {
        self.window = Duration::ZERO;
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let past = std::mem::take(&mut self.past);
        self.adoptions.depart(&self.standing, past, self.window);
        self.standing.changed.notify_waiters();
    }
}
