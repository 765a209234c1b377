//! What is counted, under typed labels, in the Prometheus text format.
//!
//! One [`Metrics`] per process, shared by all rooms. Every drop, refusal and
//! fallback has its counter here, so that nothing is lost in silence.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::rollout::Leg;

/// Labels of what happens on an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OnEndpoint {
    /// The endpoint's name.
    pub endpoint: Shared,
}

/// Labels of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OnLeg {
    /// The endpoint's name.
    pub endpoint: Shared,
    /// How it is served.
    pub leg: Leg,
}

/// Labels of what was refused, dropped or closed on an endpoint, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Because {
    /// The endpoint's name.
    pub endpoint: Shared,
    /// Why: one of a few fixed words.
    pub reason: &'static str,
}

/// Labels of what is done for sessions when their clients say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AtMoment {
    /// The endpoint's name.
    pub endpoint: Shared,
    /// `on_connect`, `on_disconnect`, `every`, `online` or `offline`.
    pub moment: &'static str,
    /// How it ended: one of a few fixed words.
    pub result: &'static str,
}

/// Labels of what sessions came to hear or ceased to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Moved {
    /// The endpoint's name.
    pub endpoint: Shared,
    /// `join`, `leave` or `disconnect`.
    pub change: &'static str,
    /// `connect`, `event` or `client`.
    pub cause: &'static str,
}

/// Labels of forwarded requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The status the client got.
    pub status: u16,
    /// Whose doing an error was: `app`, `client`, `outrigger`, or `none`.
    pub fault: &'static str,
}

/// Labels of what is of one of few kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfKind {
    /// Which: one of a few fixed words.
    pub kind: &'static str,
}

/// Labels of what came to one of few ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// How: one of a few fixed words.
    pub result: &'static str,
}

/// Labels of what became of the exchanges of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByRule {
    /// The rule's name.
    pub rule: Shared,
    /// `accepted`, `duplicate`, or why there is no event.
    pub result: &'static str,
}

/// Labels of events that came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Taken {
    /// `webhook`, `sse`, `channel_layer`, `exchange` or `action`.
    pub source: &'static str,
    /// `accepted`, `duplicate`, or why it was rejected.
    pub result: &'static str,
}

impl Because {
    /// Counts one more, on an endpoint and for a reason.
    pub fn count(family: &Family<Self, Counter>, endpoint: &Arc<str>, reason: &'static str) {
        let endpoint = Shared(endpoint.clone());
        family.get_or_create(&Self { endpoint, reason }).inc();
    }
}

/// A label value that many sessions share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared(pub Arc<str>);

impl EncodeLabelValue for Shared {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        (&*self.0).encode(encoder)
    }
}

impl EncodeLabelValue for Leg {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.to_string().as_str().encode(encoder)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $make:expr, $text:literal;)*) => {
        /// All counters of the process.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Metrics {
            /// A fresh set, everything at zero.
            pub fn new() -> Arc<Self> {
                let mut registry = Registry::with_prefix("outrigger");
                $(
                    let $name: $type = $make;
                    registry.register(stringify!($name), $text, $name.clone());
                )*
                Arc::new(Self { registry, $($name),* })
            }
        }
    };
}

metrics! {
    /// Open client connections.
    connections: Gauge = Gauge::default(), "Open client connections";
    /// Connections turned away or cut by a limit.
    connections_refused: Family<Ended, Counter> = Family::default(), "Client connections turned away or cut, by reason";
    /// Finished requests.
    requests: Family<Answered, Counter> = Family::default(), "Finished requests by status and by whose fault";
    /// Requests refused for how they were written.
    requests_refused: Family<Ended, Counter> = Family::default(), "Requests refused before the app saw them, by reason";
    /// Headers of requests that were left out.
    headers_dropped: Counter = Counter::default(), "Headers of requests left out for an underscore in their name";
    /// Requests on their way.
    requests_in_flight: Gauge = Gauge::default(), "Requests that have begun and not ended";
    /// From a request's head to its response's head.
    response_seconds: Histogram = seconds(), "Seconds from the head of a request to the head of its response";
    /// Requests sent a second time, because they never left on a reused connection.
    requests_retried: Counter = Counter::default(), "Requests sent again because they never left on a reused connection";
    /// Open connections to the app.
    app_connections: Gauge = Gauge::default(), "Open connections to the app";
    /// Open tunnels that are no endpoint's.
    tunnels: Gauge = Gauge::default(), "Open tunnels on paths that are no endpoint";
    /// Open sessions.
    sessions: Family<OnLeg, Gauge> = Family::default(), "Open sessions";
    /// Sessions that were opened.
    sessions_opened: Family<OnLeg, Counter> = Family::default(), "Sessions opened";
    /// Clients turned away.
    sessions_refused: Family<Because, Counter> = Family::default(), "Clients turned away, by reason";
    /// Sessions that ended.
    sessions_closed: Family<Because, Counter> = Family::default(), "Sessions closed, by reason";
    /// Frames put on sockets.
    frames_sent: Family<OnEndpoint, Counter> = Family::default(), "Frames written to clients";
    /// Messages from clients.
    messages_received: Family<OnEndpoint, Counter> = Family::default(), "Messages from clients";
    /// Messages from clients that caused nothing.
    messages_dropped: Family<Because, Counter> = Family::default(), "Messages from clients that caused nothing, by reason";
    /// Calls to the app for clients.
    calls: Family<Because, Counter> = Family::default(), "Calls to the app on behalf of clients, by result";
    /// Lists of steps that no message caused.
    moments: Family<AtMoment, Counter> = Family::default(), "Lists of steps done when clients connect, are connected or have left, by result";
    /// Who is online.
    presence_online: Family<OnEndpoint, Gauge> = Family::default(), "Users online (or sockets, where these are counted), by the endpoint where they came";
    /// What became of comings and leavings.
    presence: Family<Because, Counter> = Family::default(), "What presence did: online, offline, back in time, not counted, list cut";
    /// Nodes on a shared feed.
    nodes: Gauge = Gauge::default(), "Outriggers on the shared feed that this one knows of, itself too; 0 where the feed is not shared";
    /// What they said.
    node_facts: Family<OfKind, Counter> = Family::default(), "What nodes of a shared feed told each other, by kind";
    /// Nodes that fell silent.
    nodes_lost: Counter = Counter::default(), "Nodes of a shared feed that fell silent, and whose members this one sees to";
    /// Times the others did not know this one.
    node_rejoins: Family<Ended, Counter> = Family::default(), "Times this node began anew among the others, by reason";
    /// Events that came in.
    events: Family<Taken, Counter> = Family::default(), "Events by source and result";
    /// Exchanges with the app that were for a rule.
    exchanges: Family<ByRule, Counter> = Family::default(), "Events out of HTTP exchanges, and exchanges that were skipped, by rule and result";
    /// Events nobody heard.
    events_unheard: Family<Ended, Counter> = Family::default(), "Events no session was sent, by reason";
    /// Deliveries that did not happen although the session was subscribed.
    deliveries_dropped: Family<Because, Counter> = Family::default(), "Deliveries that did not happen, by reason";
    /// Topics that open sessions joined and left, and sessions that were disconnected.
    memberships: Family<Moved, Counter> = Family::default(), "Topics that sessions joined and left, and sessions disconnected, by cause";
    /// Topics that sessions could not join.
    memberships_refused: Family<Because, Counter> = Family::default(), "Joins that were refused, by reason";
    /// Where sessions began whose clients cannot say where they were.
    adoptions: Family<Because, Counter> = Family::default(), "Places of dead sessions that came to somebody or to nobody, by result";
    /// Places that may be taken over.
    orphans: Gauge = Gauge::default(), "Places of dead sessions whose clients may come back";
    /// Reads from the feed by sessions.
    catch_ups: Family<OnEndpoint, Counter> = Family::default(), "Times a session read on from the feed, because it fell behind or its endpoint changed";
    /// Clients that said where they were.
    resumes: Family<Because, Counter> = Family::default(), "Clients that said where they were, by what became of that";
    /// From an event's acceptance to the end of handing it out.
    dispatch_seconds: Histogram = seconds(), "Seconds from an event's acceptance to its being handed to all sessions";
    /// Events the feed remembers.
    feed_events: Gauge = Gauge::default(), "Events the feed remembers";
    /// How long a group of events took to be safe on the disk.
    feed_sync_seconds: Histogram = seconds(), "Seconds that the feed's disk took to write and sync a group of events";
    /// How many events were made safe together.
    feed_group_events: Histogram = amounts(), "Events that the feed's disk wrote and synced together";
    /// What the store did not take.
    feed_write_failures: Family<Ended, Counter> = Family::default(), "Writes that the feed's disk or Redis did not take, by reason; places: where clients are";
    /// Files of the feed.
    feed_disk_bytes: Gauge = Gauge::default(), "Bytes of the feed on the disk";
    /// Writes that a crash had cut off.
    feed_torn_tails: Counter = Counter::default(), "Writes to the feed's disk found cut off at the start";
    /// Reads before the window.
    feed_reads: Family<Ended, Counter> = Family::default(), "Reads of what is no longer in memory from where the feed is kept, by result";
    /// History that was lost.
    feed_epoch_changes: Family<Ended, Counter> = Family::default(), "Times the feed had lost history and began a new epoch, by reason";
    /// From an entry's being put into the shared stream to its being in memory here.
    feed_lag_seconds: Histogram = seconds(), "Seconds from an entry's being put into the shared stream to its being read here, as far as the clocks agree";
    /// Connections to the shared stream, and how they ended.
    feed_connects: Family<Ended, Counter> = Family::default(), "Connections to the shared stream and their ends, by result";
    /// Stretches of the shared stream that were gone before they were read.
    feed_gaps: Counter = Counter::default(), "Stretches of the shared stream that were gone before this node had read them";
    /// What lies in the shared stream and is no event.
    feed_undecodable: Counter = Counter::default(), "Entries of the shared stream that are no events, or that Redis brought back, skipped";
    /// Who reads along on the admin port.
    tails: Family<Ended, Counter> = Family::default(), "Tails on the admin port, by result";
    /// What tails did not show.
    tail_skipped: Counter = Counter::default(), "Events that tails skipped because they did not keep up";
    /// Attempts to change the routing.
    reloads: Family<Ended, Counter> = Family::default(), "Reloads of the config, by result";
    /// Whether the file on disk is not what runs.
    config_stale: Gauge = Gauge::default(), "1 while the file on disk is refused and an older table runs";
    /// The running table.
    config_generation: Gauge = Gauge::default(), "The generation of the running table";
    /// Attempts to read the app's event stream, and how it ended.
    sse_connects: Family<Ended, Counter> = Family::default(), "Attempts to read the app's event stream and its ends, by result";
    /// What came on the app's event stream and was no event.
    sse_rejected: Family<Ended, Counter> = Family::default(), "Events of the app's event stream that were skipped, by reason";
    /// Groups of the channel layer that are joined.
    channel_layer_groups: Gauge = Gauge::default(), "Groups of the channel layer that are joined";
    /// Joining and leaving groups.
    channel_layer_joins: Family<Ended, Counter> = Family::default(), "Groups joined, not joined, left, joined again, not joinable, and handshakes that did not wait longer, by result";
    /// Messages that lay in the own mailbox when it was last emptied.
    channel_layer_depth: Gauge = Gauge::default(), "Messages that lay in the own queue in Redis when it was last looked at";
    /// Times the own mailbox was found full.
    channel_layer_full: Counter = Counter::default(), "Times the own queue was found at its capacity, when senders drop messages";
    /// Connections to the channel layer, and how they ended.
    channel_layer_connects: Family<Ended, Counter> = Family::default(), "Connections to the channel layer's Redis and their ends, by result";
    /// Messages that could not be read.
    channel_layer_unreadable: Family<Ended, Counter> = Family::default(), "Messages of the channel layer that could not be read, by reason";
    /// Values for which JSON has no spelling.
    channel_layer_replaced: Family<Ended, Counter> = Family::default(), "Values in messages that JSON cannot spell and what stands for them, by what they were";
    /// Messages sent to groups.
    channel_layer_sends: Family<Ended, Counter> = Family::default(), "Messages sent to groups of the channel layer, by result; over_capacity counts queues that were full";
    /// Fetches of the key set.
    jwks_fetches: Family<Ended, Counter> = Family::default(), "Fetches of the JWKS, by result";
    /// How far the stop has come.
    stop_phase: Gauge = Gauge::default(), "0 running, 1 draining, 2 door closed, 3 sessions sent home, 4 done";
}

impl Metrics {
    /// All of it as Prometheus reads it (OpenMetrics text).
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        encode(&mut out, &self.registry).unwrap_or_default();
        out
    }
}

/// From 100 microseconds to a good 13 seconds, each bucket twice the last.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

/// From 1 to 32,768, each bucket twice the last.
fn amounts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 16))
}
