//! The demo's temporary folder: the config file that is edited live, and the two
//! secrets it names. Only its owner may look in; it goes when the demo goes.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::secret::Secret;

/// The config file, written as an operator would write it.
const CONFIG: &str = include_str!("demo.toml");

/// A folder that removes itself.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, under the system's folder for such things.
    pub(super) fn new() -> io::Result<Self> {
        let [a, b, c, d] = random()?;
        let name = format!("outrigger-demo-{a:02x}{b:02x}{c:02x}{d:02x}");
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where the config file is.
    pub(super) fn config(&self) -> PathBuf {
        self.0.join("outrigger.toml")
    }

    /// Writes the config file for these addresses.
    pub(super) fn write_config(&self, listen: &str, app: &str, admin: &str) -> io::Result<()> {
        let text = CONFIG
            .replace("{listen}", listen)
            .replace("{app}", app)
            .replace("{admin}", admin);
        fs::write(self.config(), text)
    }

    /// Makes a secret and writes it where the config file says it is. The prefix
    /// of a webhook's says that base64 follows (Standard Webhooks).
    pub(super) fn write_secret(&self, name: &str, prefix: &str) -> io::Result<Secret> {
        let text = format!("{prefix}{}", BASE64_STANDARD.encode(random::<32>()?));
        fs::write(self.0.join(name), &text)?;
        Ok(Secret::new(text))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    // Left behind, it costs a few kilobytes until the next restart.
    fs::remove_dir_all(path).unwrap_or_default();
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness to be had"))?;
    Ok(bytes)
}
