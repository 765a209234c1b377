//! Clients that are cut again and again while events come in: by resets, by
//! connections that fall silent, by a process that is stopped or killed. Those that
//! say where they were hear all once; those that cannot, miss nothing.
//!
//! `STORM=60 SESSIONS=2000 cargo test --release --test outrigger storm:: -- --nocapture`

pub(crate) mod client;
pub(crate) mod dice;
pub(crate) mod publisher;
pub(crate) mod record;
pub(crate) mod wire;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::{
    client::Client,
    dice::Dice,
    publisher::Posted,
    record::{Record, Tally},
};
use crate::harness::{HOOK_SECRET, Outrigger, TOKEN_SECRET, token};

/// After the last word everybody has so long to hear it.
const AFTERMATH: Duration = Duration::from_secs(40);

/// How large a storm is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    pub(crate) lasting: Duration,
    pub(crate) a_second: u64,
}

impl Size {
    /// As the environment says, or small.
    pub(crate) fn asked() -> Self {
        let number = |name, or| std::env::var(name).map_or(or, |text| text.parse().unwrap());
        Self {
            clients: usize::try_from(number("SESSIONS", 100)).unwrap(),
            lasting: Duration::from_secs(number("STORM", 6)),
            a_second: number("EVENTS", 200),
        }
    }
}

/// What all who are in a storm share.
pub(crate) struct Sky {
    pub(crate) seed: u64,
    pub(crate) rooms: usize,
    begun: Instant,
    nodes: Mutex<Vec<SocketAddr>>,
    /// The room of each event.
    said: Mutex<Vec<usize>>,
    /// From this number on each is the last word to its room.
    last: AtomicUsize,
    calm: AtomicBool,
    over: AtomicBool,
    handshakes: AtomicUsize,
    left_open: Mutex<JoinSet<()>>,
}

impl Sky {
    pub(crate) fn new(size: Size) -> Arc<Self> {
        let seed = std::env::var("SEED").map_or(1, |text| text.parse().unwrap());
        Arc::new(Self {
            seed,
            rooms: size.clients / 2,
            begun: Instant::now(),
            nodes: Mutex::default(),
            said: Mutex::default(),
            last: AtomicUsize::new(usize::MAX),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
            handshakes: AtomicUsize::new(0),
            left_open: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Where somebody may knock, if anywhere.
    pub(crate) fn node(&self, dice: &mut Dice) -> Option<SocketAddr> {
        let nodes = self.nodes.lock().unwrap();
        (!nodes.is_empty()).then(|| nodes[dice.index(nodes.len())])
    }

    pub(crate) fn appears(&self, node: SocketAddr) {
        self.nodes.lock().unwrap().push(node);
    }

    pub(crate) fn vanishes(&self, node: SocketAddr) {
        self.nodes.lock().unwrap().retain(|other| *other != node);
    }

    /// Numbers for one event to each of these rooms.
    fn say(&self, rooms: &[usize]) -> Vec<usize> {
        let mut said = self.said.lock().unwrap();
        let first = said.len();
        said.extend_from_slice(rooms);
        (first..said.len()).collect()
    }

    fn calm_down(&self) {
        self.last.store(self.said.lock().unwrap().len(), Relaxed);
        self.calm.store(true, Relaxed);
    }

    /// Waits, and tells whether it still storms.
    pub(crate) async fn stays_rough_for(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_calm() && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
        }
        !self.is_calm()
    }

    /// Nobody is cut any more.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn is_last(&self, n: usize) -> bool {
        n >= self.last.load(Relaxed)
    }

    fn opened(&self) {
        self.handshakes.fetch_add(1, Relaxed);
    }

    /// Somebody's connection that nobody looks after.
    fn leave_open(&self, until: impl Future<Output = ()> + Send + 'static) {
        let mut left_open = self.left_open.lock().unwrap();
        while left_open.try_join_next().is_some() {}
        left_open.spawn(until);
    }
}

/// Clients that wait to be let loose.
pub(crate) struct Crowd {
    clients: JoinSet<(bool, usize, Record)>,
}

impl Crowd {
    /// Two of them in each room: one says where it was, one cannot. All are there when
    /// this returns.
    pub(crate) async fn gather(sky: &Arc<Sky>) -> Self {
        let mut clients = JoinSet::new();
        for id in 0..2 * sky.rooms {
            let (modern, room) = (id % 2 == 0, id / 2);
            let client = Client {
                modern,
                room,
                token: token(id as u64),
                dice: Dice::new(sky.seed * 100_000 + id as u64),
                position: String::new(),
                record: Record::default(),
            };
            let sky = sky.clone();
            clients.spawn(async move { (modern, room, client.live(sky).await) });
        }
        let all = async {
            while sky.handshakes.load(Relaxed) < 2 * sky.rooms {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(AFTERMATH, all)
            .await
            .expect("all clients are let in");
        Self { clients }
    }

    /// Waits for all of them, and looks at what they heard.
    pub(crate) async fn come_home(mut self, sky: &Sky) -> Outcome {
        let mut records = Vec::new();
        let late = sleep(AFTERMATH);
        tokio::pin!(late);
        loop {
            tokio::select! {
                client = self.clients.join_next() => match client {
                    Some(client) => records.push(client.unwrap()),
                    None => break,
                },
                () = &mut late, if !sky.is_over() => sky.over.store(true, Relaxed),
            }
        }
        let mut expected = vec![Vec::new(); sky.rooms];
        let said = sky.said.lock().unwrap();
        for (n, room) in said[..sky.last.load(Relaxed)].iter().enumerate() {
            expected[*room].push(n);
        }
        let (mut modern, mut legacy) = (Tally::default(), Tally::default());
        for (is_modern, room, record) in &mut records {
            record.heard.retain(|heard| !sky.is_last(heard.n));
            let (tally, name) = match is_modern {
                true => (&mut modern, "modern"),
                false => (&mut legacy, "legacy"),
            };
            tally.add(&format!("{name} {room}"), record, &expected[*room]);
        }
        Outcome { modern, legacy }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) modern: Tally,
    pub(crate) legacy: Tally,
}

impl Outcome {
    /// Prints it, and demands that nothing is lost, that nothing comes twice to who says
    /// where it was, and to the others nothing that a pong had confirmed.
    pub(crate) fn judge(&self, what: &str, size: Size, posted: Posted) {
        let Self { modern, legacy } = self;
        let sockets = modern.sockets + legacy.sockets;
        println!(
            "{what}: {} clients for {:?}, {} events ({} posts made again, {} found to be duplicates), {sockets} sockets",
            size.clients, size.lasting, posted.events, posted.again, posted.duplicates,
        );
        for (name, tally) in [("modern", modern), ("legacy", legacy)] {
            let (longest, mean) = tally.window();
            println!(
                "  {name}: {} frames, {} lost, {} doubled ({} of them confirmed before), {} out of order, \
                 {} told that history is lost; doubled were heard at most {longest:.1?} before the cut, {mean:.1?} on the average",
                tally.frames,
                tally.lost,
                tally.doubled,
                tally.confirmed,
                tally.disordered,
                tally.told_lost,
            );
        }
        let faults = modern.faults.iter().chain(&legacy.faults);
        let faults: Vec<_> = faults.take(10).map(String::as_str).collect();
        let whole = |tally: &Tally| {
            [
                tally.lost,
                tally.disordered,
                tally.told_lost,
                tally.confirmed,
            ]
        };
        assert_eq!(whole(modern), [0; 4], "{}", faults.join("\n"));
        assert_eq!(modern.doubled, 0, "{}", faults.join("\n"));
        assert_eq!(whole(legacy), [0; 4], "{}", faults.join("\n"));
    }
}

/// What every node's config has.
pub(crate) fn config(feed: &str) -> String {
    format!(
        "[app]\naddress = \"http://127.0.0.1:9\"\n[auth]\ntoken = [\"query:token\"]\n\
         [auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"{TOKEN_SECRET}\"\nuser_claim = \"user_id\"\n\
         [source.webhook]\nsecret = \"{HOOK_SECRET}\"\n\
         [stop]\nnotice = \"50ms\"\nspread = \"500ms\"\ndeadline = \"1s\"\n{feed}\n\
         [[endpoint]]\nname = \"rooms\"\npath = \"/ws/rooms/{{room}}\"\ntopics = [\"room_{{room}}\"]\nheartbeat = \"2s\"\nresume = {{ window = \"60s\" }}\n\
         frames = {{ item = {{ n = \"{{data.n}}\" }} }}\n"
    )
}

/// Ends a node, in either way, and starts the next on what it has left.
pub(crate) async fn replace(node: &mut Outrigger, sky: &Sky, config: &str, kill: bool) {
    sky.vanishes(node.addr());
    node.signal(if kill { "KILL" } else { "TERM" }).await;
    node.exit().await;
    *node = Outrigger::start(config).await;
    sky.appears(node.addr());
}

#[tokio::test]
async fn a_storm_of_cuts_loses_nothing() {
    let size = Size::asked();
    let sky = Sky::new(size);
    let outrigger = Outrigger::start(&config("[feed.memory]")).await;
    sky.appears(outrigger.addr());
    let crowd = Crowd::gather(&sky).await;
    let posted = publisher::publish(sky.clone(), size.a_second, size.lasting).await;
    let outcome = crowd.come_home(&sky).await;
    outcome.judge("storm of cuts", size, posted);
}

#[tokio::test]
async fn a_storm_of_cuts_and_restarts_loses_nothing_of_a_disk_feed() {
    let size = Size::asked();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    let config = config(&format!("[feed.disk]\npath = \"{}\"", path.display()));
    let sky = Sky::new(size);
    let mut outrigger = Outrigger::start(&config).await;
    sky.appears(outrigger.addr());
    let crowd = Crowd::gather(&sky).await;
    let publishing = publisher::publish(sky.clone(), size.a_second, size.lasting);
    let mut dice = Dice::new(sky.seed + 7);
    let mut restarts = [0, 0];
    let weather = async {
        let fair = u64::try_from(size.lasting.as_millis()).unwrap() / 6;
        while sky
            .stays_rough_for(dice.millis(fair / 2..fair * 3 / 2))
            .await
        {
            let kill = restarts[0] > restarts[1];
            restarts[usize::from(kill)] += 1;
            replace(&mut outrigger, &sky, &config, kill).await;
        }
    };
    let (posted, ()) = tokio::join!(publishing, weather);
    let outcome = crowd.come_home(&sky).await;
    println!("restarts: {} graceful, {} killed", restarts[0], restarts[1]);
    outcome.judge("storm with restarts on a disk feed", size, posted);
}
