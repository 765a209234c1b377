//! What the folder holds when the process starts: read, checked, and repaired where a
//! write was cut off. What cannot be repaired ends the epoch.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::time::Instant;
use tracing::{error, warn};

use super::{
    super::{OpenError, Settings, recent::Recent, window::ENTRY_COST},
    Place,
    cold::{self, Found},
    ids::Ids,
    meta::{self, Meta, cannot},
    progress::Progress,
    record::{self, Kind, Record},
    segment::{Log, Segment, Shared, instant, moment},
};
use crate::{
    event::{Offset, Position},
    metrics::Ended,
};

/// More than a segment's first record takes.
const HEAD: u64 = 256;

/// An open folder.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) shared: Arc<Shared>,
    pub(super) ids: Ids,
    /// The last event that is safe, or the beginning of this life.
    pub(super) durable: Offset,
    /// Where this life begins: before its first event.
    pub(super) begin: Offset,
    /// No segment holds the cursors.
    pub(super) stale: bool,
}

/// Takes the folder, reads it, and fills the window.
pub(super) fn open(
    place: &Place,
    settings: &Settings,
    recent: &Recent,
) -> Result<Opened, OpenError> {
    let folder = &place.path;
    let lock = meta::take(folder)?;
    let known = Meta::load(folder)?;
    let mut reading = Reading::new(settings);
    let whole = reading.read(folder, recent)?;
    let starts = reading.log.segments.iter().map(|segment| segment.last.0);
    let start = known
        .as_ref()
        .map_or(0, |meta| meta.start)
        .max(starts.max().unwrap_or(0))
        + 1;
    let begin = Offset(start, 0);
    let fresh = recent.position(begin).epoch;
    let why = match (&known, whole) {
        (None, _) if !reading.found => Ok(fresh),
        (None, _) => Err("no_meta"),
        (Some(_), Err(why)) => Err(why),
        (Some(meta), Ok(())) => Ok(meta.epoch),
    };
    let epoch = why.unwrap_or(fresh);
    if let Err(reason) = why {
        set_aside(folder).map_err(|error| cannot("set aside the files of", folder, &error))?;
        reading.forget();
        error!(folder = %folder.display(), reason, "History in the feed on disk is lost: its files are set aside as *.damaged, clients that resume are told");
        recent
            .metrics
            .feed_epoch_changes
            .get_or_create(&Ended { result: reason })
            .inc();
    }
    let saved = Meta::new(epoch, start).save(folder);
    saved.map_err(|error| cannot("write into", folder, &error))?;
    Ok(reading.done(lock, (epoch, begin), recent))
}

/// Keeps the files for whoever wants to look into them: those of one time.
fn set_aside(folder: &Path) -> io::Result<()> {
    for path in files(folder, "damaged")? {
        fs::remove_file(path)?;
    }
    for path in files(folder, "log")? {
        fs::rename(&path, path.with_extension("damaged"))?;
    }
    meta::sync_folder(folder)
}

/// The files of a kind, in the order of their names.
fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|other| other == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What has been read so far.
struct Reading {
    log: Log,
    ids: Ids,
    /// There was something.
    found: bool,
    /// The newest events and what they cost, as many as fit in memory.
    newest: VecDeque<(Offset, usize)>,
    cost: usize,
    bounds: (usize, usize),
}

impl Reading {
    fn new(settings: &Settings) -> Self {
        Self {
            log: Log::default(),
            ids: Ids::default(),
            found: false,
            newest: VecDeque::new(),
            cost: 0,
            bounds: (settings.max_events, settings.memory.min(settings.max_bytes)),
        }
    }

    /// Reads all segments. Inside: why something is missing that was safe once.
    fn read(
        &mut self,
        folder: &Path,
        recent: &Recent,
    ) -> Result<Result<(), &'static str>, OpenError> {
        let paths = files(folder, "log").map_err(|error| cannot("read", folder, &error))?;
        self.found = !paths.is_empty();
        let mut heads = Vec::new();
        for path in paths {
            let head = head(&path).map_err(|error| cannot("read", &path, &error))?;
            heads.push((head, path));
        }
        let mut progress = Progress::new(folder, heads.len());
        for at in 0..heads.len() {
            let (head, path) = &heads[at];
            let next = heads[at + 1..].iter().find_map(|(head, _)| *head);
            let checked = self.segment(path, *head, next, recent);
            if let Err(why) = checked.map_err(|error| cannot("repair", path, &error))? {
                return Ok(Err(why));
            }
            progress.advance();
        }
        Ok(Ok(()))
    }

    /// Reads one segment. What its successor does not know of was never answered.
    fn segment(
        &mut self,
        path: &Path,
        head: Option<Offset>,
        next: Option<Offset>,
        recent: &Recent,
    ) -> io::Result<Result<(), &'static str>> {
        let data = fs::read(path)?;
        let Some(after) = head else {
            if record::was_safe(&data, 0) {
                return Ok(Err("damaged"));
            }
            torn(path, 0, data.len(), recent);
            return fs::remove_file(path).map(Ok);
        };
        let before = self.log.segments.back().map(|segment| segment.last);
        if before.is_some_and(|last| last != after) {
            return Ok(Err("missing"));
        }
        let mut segment = Segment::new(path.to_owned(), after, Instant::now());
        let good = self.records(&data, &mut segment, next);
        if next.is_some_and(|next| segment.last != next) {
            let is_cut = good < data.len();
            return Ok(Err(if is_cut { "damaged" } else { "missing" }));
        }
        if good < data.len() {
            if record::read(&data, good).is_err() && record::was_safe(&data, good) {
                return Ok(Err("damaged"));
            }
            torn(path, good, data.len() - good, recent);
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(good as u64)?;
            file.sync_all()?;
        }
        segment.length = good as u64;
        self.log.segments.push_back(segment);
        Ok(Ok(()))
    }

    /// Notes the records that can be read and are not disowned; says up to where.
    fn records(&mut self, data: &[u8], segment: &mut Segment, next: Option<Offset>) -> usize {
        let (mut at, mut newest) = (0, 0);
        while let Ok((record, end)) = record::read(data, at) {
            match record.kind {
                Kind::Event if next.is_some_and(|next| record.offset > next) => break,
                Kind::Event => {
                    segment.note(record.offset, at as u64);
                    newest = record.at;
                    self.event(&record);
                }
                Kind::Cursor => {
                    let cursors = &mut self.log.cursors;
                    cursors.insert(record.name.into(), record.body.into());
                }
                Kind::Head | Kind::End => {}
            }
            at = end;
        }
        segment.newest = instant(moment(newest));
        segment.began = segment.newest;
        at
    }

    fn event(&mut self, record: &Record<'_>) {
        self.ids.put(record.name, record.offset);
        let cost = record.body.len() + ENTRY_COST;
        self.newest.push_back((record.offset, cost));
        self.cost += cost;
        let (events, bytes) = self.bounds;
        while self.newest.len() > events || self.cost > bytes {
            let oldest = self.newest.pop_front();
            self.cost -= oldest.map_or(self.cost, |(_, cost)| cost);
        }
    }

    /// Nothing of it is told to anybody; ids and cursors still hold.
    fn forget(&mut self) {
        self.log.segments.clear();
        self.newest.clear();
    }

    fn done(mut self, lock: File, (epoch, begin): (u64, Offset), recent: &Recent) -> Opened {
        let stale = self.log.segments.is_empty() && !self.log.cursors.is_empty();
        let ends = [self.log.segments.front(), self.log.segments.back()];
        let [floor, durable] = match ends {
            [Some(first), Some(last)] => [first.after, last.last],
            _ => [begin; 2],
        };
        self.log.floor = floor;
        let shared = Shared::new(self.log);
        let at = |offset| Position { epoch, offset };
        match self.newest.front() {
            Some((first, _)) => match cold::read(&shared, epoch, before(*first), usize::MAX) {
                Ok(Found::Entries(entries)) => recent.restore(at(before(*first)), entries, begin),
                _ => recent.begin(at(begin)),
            },
            None => recent.begin(at(begin)),
        }
        Opened {
            lock,
            shared,
            ids: self.ids,
            durable,
            begin,
            stale,
        }
    }
}

/// A place before an event and after the one before it. Events count from 1.
fn before(offset: Offset) -> Offset {
    Offset(offset.0, offset.1.saturating_sub(1))
}

/// What a segment's first record says.
fn head(path: &Path) -> io::Result<Option<Offset>> {
    let mut data = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut data)?;
    let head = record::read(&data, 0).ok();
    let head = head.filter(|(record, _)| record.kind == Kind::Head);
    Ok(head.map(|(record, _)| record.offset))
}

fn torn(path: &Path, at: usize, bytes: usize, recent: &Recent) {
    warn!(file = %path.display(), at, bytes, "A write to the feed on disk was cut off: what nobody was told of is dropped");
    recent.metrics.feed_torn_tails.inc();
}
