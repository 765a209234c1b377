//! The hub against a model: each session hears exactly what it was a member of at that
//! place in the feed, once and in order, however slowly it reads.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use outrigger::{
    config,
    event::{Event, Offset, SessionId, Topic},
    feed::{Feed, Page, Settings},
    frame::Client,
    hub::{Due, Form, Hub, Outbox, Subscriber},
    metrics::Metrics,
    routes::Endpoint,
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

const SESSIONS: usize = 3;
const TOPICS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// One batch: publish to a topic, or a user's sessions join or leave one.
    Batch(Vec<Said>),
    /// A client's own doing, after the app was asked and the feed said this meanwhile.
    Grant(usize, usize, Vec<Said>),
    Withdraw(usize, usize),
    /// A client reads what there is.
    Read(usize),
    /// The endpoint of a session changes.
    Replace(usize),
    FallBehind(usize),
}

#[derive(Clone, Debug)]
enum Said {
    Publish(usize),
    Join(usize, usize),
    Leave(usize, usize),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => (0..TOPICS).prop_map(Said::Publish),
        1 => (0..SESSIONS, 0..TOPICS).prop_map(|(user, topic)| Said::Join(user, topic)),
        1 => (0..SESSIONS, 0..TOPICS).prop_map(|(user, topic)| Said::Leave(user, topic)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let few = || prop::collection::vec(said(), 0..3);
    prop_oneof![
        6 => prop::collection::vec(said(), 1..8).prop_map(Step::Batch),
        1 => (0..SESSIONS, 0..TOPICS, few()).prop_map(|(s, t, said)| Step::Grant(s, t, said)),
        1 => (0..SESSIONS, 0..TOPICS).prop_map(|(s, t)| Step::Withdraw(s, t)),
        2 => (0..SESSIONS).prop_map(Step::Read),
        1 => (0..SESSIONS).prop_map(Step::Replace),
        1 => (0..SESSIONS).prop_map(Step::FallBehind),
    ]
}

fn topic(number: usize) -> Topic {
    format!("t{number}").into()
}

fn endpoint() -> Arc<Endpoint> {
    let text = "[app]\naddress = \"http://127.0.0.1:1\"\n[[endpoint]]\nname = \"inbox\"\npath = \"/ws\"\nanonymous = true\n\
                topics = [\"t0\"]\nframes = { \"*\" = \"{data}\" }\n\
                [endpoint.limits]\noutbox_frames = 2\n";
    let loaded = config::parse(text, Path::new("x.toml"), &Default::default(), &|_| None);
    let loaded = loaded.unwrap_or_else(|report| panic!("{}", report));
    Arc::new(loaded.settings.endpoints[0].clone())
}

/// A session with a client that reads now and then, and what it should have read.
struct Reader {
    subscriber: Arc<Subscriber>,
    sent: Offset,
    read: Vec<u64>,
    member: BTreeSet<usize>,
    expected: Vec<u64>,
}

struct World {
    feed: Arc<Feed>,
    hub: Arc<Hub>,
    readers: Vec<Reader>,
    said: u64,
}

fn subscriber(number: usize, endpoint: &Arc<Endpoint>, outbox: Arc<Outbox>) -> Arc<Subscriber> {
    Arc::new(Subscriber {
        session: SessionId(number as u64 + 1),
        client: Arc::new(Client {
            user: Some(format!("u{number}").into()),
            ..Client::default()
        }),
        endpoint: endpoint.clone(),
        topics: [topic(0)].into(),
        form: Form::Bare,
        outbox,
    })
}

impl World {
    fn new() -> Self {
        let metrics = Metrics::new();
        let settings = Settings::memory(Duration::from_secs(3600), 100_000, 100_000_000);
        let feed = Feed::new(settings, metrics.clone());
        let hub = Hub::new(feed.clone(), metrics);
        let endpoint = endpoint();
        let reader = |number| {
            let outbox = Arc::new(Outbox::new(Offset::ZERO, 2, 1000));
            let subscriber = subscriber(number, &endpoint, outbox);
            hub.join(&subscriber);
            Reader {
                subscriber,
                sent: Offset::ZERO,
                read: Vec::new(),
                member: [0].into(),
                expected: Vec::new(),
            }
        };
        let readers = (0..SESSIONS).map(reader).collect();
        Self {
            feed,
            hub,
            readers,
            said: 0,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Batch(said) => self.say(said).await,
            Step::Grant(session, number, meanwhile) => {
                let question = self.hub.ask(&self.readers[*session].subscriber.outbox);
                self.say(meanwhile).await;
                let granted = self.hub.grant(&question, vec![topic(*number)], "client");
                granted.await.unwrap();
                let about = |said: &Said| match said {
                    Said::Join(user, topic) | Said::Leave(user, topic) => {
                        user == session && topic == number
                    }
                    Said::Publish(_) => false,
                };
                if !meanwhile.iter().any(about) {
                    self.readers[*session].member.insert(*number);
                }
            }
            Step::Withdraw(session, number) => {
                let reader = &mut self.readers[*session];
                reader.member.remove(number);
                let outbox = reader.subscriber.outbox.clone();
                self.hub
                    .withdraw(&outbox, &[topic(*number)], "client")
                    .await;
            }
            Step::Read(session) => self.readers[*session].read(&self.feed, &self.hub),
            Step::Replace(session) => {
                let reader = &mut self.readers[*session];
                let old = reader.subscriber.clone();
                let new = subscriber(*session, &old.endpoint, old.outbox.clone());
                self.hub.replace(&old, &new);
                reader.subscriber = new;
            }
            Step::FallBehind(session) => {
                self.readers[*session].subscriber.outbox.fall_behind();
            }
        }
    }

    /// Appends a batch and waits until it is handed out.
    async fn say(&mut self, said: &[Said]) {
        let mut events = Vec::new();
        for one in said {
            self.said += 1;
            let n = self.said;
            let (kind, topics, users, data) = match one {
                Said::Publish(number) => {
                    for reader in &mut self.readers {
                        if reader.member.contains(number) {
                            reader.expected.push(n);
                        }
                    }
                    ("news", vec![topic(*number)], vec![], n.to_string())
                }
                Said::Join(user, number) | Said::Leave(user, number) => {
                    let joins = matches!(one, Said::Join(..));
                    match joins {
                        true => self.readers[*user].member.insert(*number),
                        false => self.readers[*user].member.remove(number),
                    };
                    let kind = if joins {
                        "outrigger.join"
                    } else {
                        "outrigger.leave"
                    };
                    let data = format!(r#"{{"topics": ["t{number}"]}}"#);
                    (kind, vec![], vec![format!("u{user}").into()], data)
                }
            };
            events.push(Event {
                id: n.to_string().into(),
                kind: kind.into(),
                topics: topics.into(),
                users: users.into(),
                except: Default::default(),
                data: RawValue::from_string(data).unwrap(),
                ephemeral: false,
            });
        }
        self.feed.append(events).await.unwrap();
        while self.hub.handed_out() != self.feed.head().offset {
            tokio::task::yield_now().await;
        }
    }
}

impl Reader {
    /// As a session does it.
    fn read(&mut self, feed: &Feed, hub: &Hub) {
        let outbox = self.subscriber.outbox.clone();
        loop {
            let offered = hub.handed_out();
            match outbox.take() {
                Due::Frames(frames) => {
                    for frame in frames {
                        if frame.offset > self.sent {
                            self.sent = frame.offset;
                            self.read.push(frame.text.parse().unwrap());
                        }
                    }
                }
                Due::CatchUp => {
                    let Some(Page::Entries { entries, reached }) = feed.recent(self.sent, 1000)
                    else {
                        panic!("lost");
                    };
                    for entry in entries {
                        if let Some(text) = self.subscriber.frame(&entry) {
                            self.read.push(text.parse().unwrap());
                        }
                    }
                    self.sent = reached;
                }
                Due::Nothing => {
                    self.sent = self.sent.max(offered);
                    outbox.settle(self.sent, &self.subscriber.topics);
                    return;
                }
            }
            outbox.settle(self.sent, &self.subscriber.topics);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_session_hears_what_it_was_a_member_of_at_that_place(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let stop = CancellationToken::new();
            let running = tokio::spawn(world.hub.clone().run(stop.clone()));
            for step in &steps {
                world.step(step).await;
            }
            for reader in &mut world.readers {
                reader.read(&world.feed, &world.hub);
            }
            stop.cancel();
            running.await.unwrap();
            for reader in &world.readers {
                assert_eq!(reader.read, reader.expected);
            }
        });
    }
}
