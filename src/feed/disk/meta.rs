//! The folder itself: who has it, which epoch it is in, how often it was opened.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::super::OpenError;

/// The form of segments and records.
const VERSION: u32 = 1;

/// What is known of the log besides its segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    version: u32,
    pub(super) epoch: u64,
    /// How often the log was opened.
    pub(super) start: u64,
}

impl Meta {
    pub(super) fn new(epoch: u64, start: u64) -> Self {
        let version = VERSION;
        Self {
            version,
            epoch,
            start,
        }
    }

    /// What the folder says; nothing, if it does not or that cannot be read.
    ///
    /// # Errors
    /// It is of another version of Outrigger, or the disk fails.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>, OpenError> {
        let path = folder.join("meta");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("read", &path, &error)),
        };
        let meta = serde_json::from_slice::<Self>(&text).ok();
        match meta {
            Some(meta) if meta.version != VERSION => Err(OpenError(format!(
                "{} is in form {}, and this version of Outrigger knows {VERSION}: use the version that wrote it, or another path",
                folder.display(),
                meta.version,
            ))),
            meta => Ok(meta),
        }
    }

    /// Replaces what the folder says, as a whole or not at all.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let next = folder.join("meta.next");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&next, folder.join("meta"))?;
        sync_folder(folder)
    }
}

/// Takes the folder, making it if need be, for as long as the file is held.
///
/// # Errors
/// Another process has it, or it cannot be made or written.
pub(super) fn take(folder: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| cannot("write", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError(format!(
            "another process has {}: stop it, or give this one another path in [feed.disk]",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(cannot("lock", &path, &error)),
    }
}

/// Makes names in the folder safe.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> OpenError {
    OpenError(format!("cannot {what} {}: {error}", path.display()))
}
