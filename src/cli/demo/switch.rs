//! The page's switch: edits the config file on disk, as an editor would, and
//! watches from outside (the admin port's `/metrics`) how the edit takes effect.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, Method};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::upstream::{CallRequest, Upstream};

/// Between two looks at the generation while a change is awaited.
const LOOK: Duration = Duration::from_millis(5);
/// A reload takes milliseconds after a short quiet time; this is a broken one.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one look.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than the metrics of a demo come to, in bytes.
const MAX_METRICS: usize = 1024 * 1024;

/// The config file and the Outrigger that runs by it.
#[derive(Debug)]
pub(super) struct Switch {
    path: PathBuf,
    /// The admin port, once it is known.
    admin: OnceLock<Arc<Upstream>>,
}

/// What Outrigger says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// The generation of the running table.
    pub(super) generation: u64,
    /// Whether the file on disk was refused.
    pub(super) refused: bool,
}

/// A change of the file that took effect.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// The generation before.
    before: u64,
    /// The generation after.
    after: u64,
    /// From the write to the new generation.
    took_ms: f64,
}

/// Why a change is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwitchError {
    #[error("the config file cannot be edited: {0}")]
    File(#[from] io::Error),
    #[error("the file was changed but not taken over within {PATIENCE:?}; see Outrigger's log")]
    NotTaken,
}

impl Switch {
    /// For a file that may not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            admin: OnceLock::new(),
        }
    }

    /// Tells where the admin port is; only the first time counts.
    pub(super) fn watch(&self, admin: Arc<Upstream>) {
        self.admin.get_or_init(|| admin);
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where an operator looks in.
    pub(super) fn admin_url(&self) -> Option<String> {
        Some(self.admin.get()?.settings().address.to_string())
    }

    /// The file's text, or why it cannot be read.
    pub(super) async fn read(&self) -> String {
        let text = tokio::fs::read_to_string(&self.path).await;
        text.unwrap_or_else(|error| format!("# {error}"))
    }

    /// What Outrigger says of itself; nothing, if it cannot be asked.
    pub(super) async fn running(&self) -> Running {
        let Some(admin) = self.admin.get() else {
            return Running::default();
        };
        let metrics = admin.call(CallRequest {
            method: Method::GET,
            path: "/metrics".into(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            timeout: TIMEOUT,
            max_body: MAX_METRICS,
        });
        let text = metrics.await.map(|answer| answer.body).unwrap_or_default();
        Running::parse(&String::from_utf8_lossy(&text))
    }

    /// Writes `rollout = "<to>"` wherever the file says `rollout`, and waits
    /// until it is in force.
    pub(super) async fn turn(&self, to: &str) -> Result<Change, SwitchError> {
        let before = self.running().await.generation;
        let text = tokio::fs::read_to_string(&self.path).await?;
        let edited = with_rollout(&text, to);
        let started = Instant::now();
        let mut after = before;
        if edited != text {
            self.replace(&edited).await?;
            while after == before {
                if started.elapsed() > PATIENCE {
                    return Err(SwitchError::NotTaken);
                }
                sleep(LOOK).await;
                after = self.running().await.generation;
            }
        }
        let took_ms = started.elapsed().as_secs_f64() * 1000.0;
        Ok(Change {
            before,
            after,
            took_ms: took_ms.round(),
        })
    }

    /// Writes a new file and renames it over the old one, so that nobody ever
    /// reads half of it.
    async fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.path.with_extension("toml.new");
        tokio::fs::write(&new, text).await?;
        tokio::fs::rename(&new, &self.path).await
    }
}

impl Running {
    fn parse(metrics: &str) -> Self {
        let value = |name: &str| {
            let mut lines = metrics.lines();
            lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Self {
            generation: value("outrigger_config_generation ").unwrap_or(0),
            refused: value("outrigger_config_stale ") == Some(1),
        }
    }
}

fn with_rollout(text: &str, to: &str) -> String {
    let edit = |line: &str| match line.starts_with("rollout ") {
        true => format!("rollout = \"{to}\"\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(edit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rollouts_are_edited() {
        let text = "# rollout\n[[endpoint]]\nname = \"a\"\nrollout = { percent = 5 }\n";
        let edited = with_rollout(text, "on");
        let expected = "# rollout\n[[endpoint]]\nname = \"a\"\nrollout = \"on\"\n";
        assert_eq!(edited, expected);
        assert_eq!(with_rollout(&edited, "on"), edited);
    }

    #[test]
    fn the_generation_is_read_from_the_metrics() {
        let text = "# TYPE outrigger_config_generation gauge\noutrigger_config_generation 4\n\
                    outrigger_config_stale 1\n# EOF\n";
        let running = Running {
            generation: 4,
            refused: true,
        };
        assert_eq!(Running::parse(text), running);
        assert_eq!(Running::parse(""), Running::default());
    }
}
