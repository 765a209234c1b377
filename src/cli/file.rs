//! Which config file a command reads, and reading it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::output::Failure;
use crate::config::{self, Loaded, Overrides, Report};

/// The file that is taken where none is named.
const USUAL: &str = "outrigger.toml";

#[derive(clap::Args, Debug)]
pub(super) struct ConfigArg {
    /// The config file [default: outrigger.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// The named file, else the one of this folder, else none.
pub(super) fn find(named: Option<PathBuf>) -> Option<PathBuf> {
    let usual = || Path::new(USUAL).exists().then(|| USUAL.into());
    named.or_else(usual)
}

/// What a process that serves would read, with what its command line says.
pub(super) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Loaded, Report> {
    match path {
        Some(path) => config::load(path, overrides),
        None => config::without_file(overrides),
    }
}

/// Reads a file that must be there.
pub(super) fn read(path: &Path) -> Result<Loaded, Failure> {
    match fs::metadata(path) {
        Ok(_) => Ok(config::load(path, &Overrides::default())?),
        Err(error) => Err(Failure::new(
            format!("{} cannot be read: {error}", path.display()),
            "name the config file, such as outrigger.toml",
        )),
    }
}

/// Reads the file that a command needs.
pub(super) fn read_found(named: Option<PathBuf>) -> Result<Loaded, Failure> {
    match find(named) {
        Some(path) => read(&path),
        None => Err(Failure::new(
            "there is no outrigger.toml in this folder",
            "name the config file with --config",
        )),
    }
}
