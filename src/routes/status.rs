//! How the file on disk and the running table stand to each other.

use std::{path::Path, time::SystemTime};

/// Told by the reloader, shown to operators.
#[derive(Clone, Debug)]
pub struct FileStatus {
    /// The file that is watched, if there is one.
    pub file: Option<String>,
    /// Since when the table runs.
    pub since: SystemTime,
    /// Why the file on disk is not what runs.
    pub refused: Option<String>,
    /// What the file says and only a restart brings into force.
    pub needs_restart: Vec<&'static str>,
}

impl FileStatus {
    /// The table of this moment is what the file says.
    pub fn in_force(file: Option<&Path>) -> Self {
        Self {
            file: file.map(|file| file.display().to_string()),
            since: SystemTime::now(),
            refused: None,
            needs_restart: Vec::new(),
        }
    }
}
