//! What a seed stands for.

use std::time::Duration;

use super::{
    dice::Dice,
    lineage::Resume,
    model::Rules,
    world::{USERS, config_of},
};

pub(super) const ROOMS: u64 = 3;

/// One run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) lives: u64,
    pub(super) clients: u64,
    /// On the disk, or in memory.
    pub(super) folder: Option<tempfile::TempDir>,
    /// How many bytes of it are in memory as well.
    memory: u64,
    pub(super) max_events: u64,
    /// Whether an endpoint has words for who has missed what is forgotten.
    words: bool,
    /// Seconds; and a ping right after each burst.
    window: u64,
    eager: bool,
    outbox_frames: u64,
    heartbeat: u64,
}

impl Plan {
    pub(super) fn rolled(dice: &mut Dice) -> Self {
        Self {
            lives: dice.within(1..4),
            clients: dice.within(2..USERS),
            folder: dice
                .percent(40)
                .then(|| tempfile::tempdir_in("/dev/shm").unwrap()),
            memory: [4096, 1 << 20][dice.index(2)],
            max_events: [64, 200, 5000][dice.index(3)],
            words: dice.percent(50),
            window: [0, 60, 60][dice.index(3)],
            eager: dice.percent(50),
            outbox_frames: dice.within(1..12),
            heartbeat: dice.within(100..5000),
        }
    }

    /// What clients may expect that know nothing of positions.
    pub(super) fn resume(&self) -> Resume {
        Resume {
            window: Duration::from_secs(self.window),
            remembers: usize::try_from(self.max_events).unwrap(),
        }
    }

    pub(super) fn config(&self, rules: Rules) -> String {
        let Rules {
            version,
            extra,
            other,
        } = rules;
        let extra = if extra { ", \"extra\"" } else { "" };
        let frame =
            format!("{{ v = {version}, n = \"{{data.n}}\", filling = \"{{data.filling}}\" }}");
        let other = if other {
            format!("other = {frame}\n")
        } else {
            String::new()
        };
        let words = if self.words {
            "history_lost = { lost = true }\n"
        } else {
            ""
        };
        let confirm = if self.eager { "eager" } else { "heartbeat" };
        let resume = format!(
            "{{ window = \"{}s\", confirm = \"{confirm}\" }}",
            self.window
        );
        let feed = match &self.folder {
            Some(folder) => {
                let (path, memory) = (folder.path().display(), self.memory);
                format!("[feed.disk]\npath = \"{path}/feed\"\nmemory = {memory}")
            }
            None => "[feed.memory]".to_owned(),
        };
        config_of(&format!(
            "{feed}\nmax_events = {}\n[stop]\nnotice = \"10ms\"\nspread = \"200ms\"\ndeadline = \"5s\"\n\
             [[endpoint]]\nname = \"news\"\npath = \"/ws/{{room}}\"\ntopics = [\"room_{{room}}\"{extra}]\n\
             heartbeat = \"{}ms\"\nresume = {resume}\n{words}[endpoint.limits]\noutbox_frames = {}\n[endpoint.frames]\nitem = {frame}\n{other}",
            self.max_events, self.heartbeat, self.outbox_frames,
        ))
    }
}
