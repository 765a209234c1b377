//! The example apps, each with the server it runs with in production, on a Unix
//! socket of its own and with fresh data. Stopped when dropped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::plain::{Door, exchange};

/// Python has much to read before an app's first answer, and the machine may be busy.
const TIME_TO_START: Duration = Duration::from_secs(60);
/// What the apps sign tokens with.
pub(crate) const TOKEN_SECRET: &str = "a-secret-of-the-tests-0123456789abcdef";
/// What the apps sign webhooks with: the bytes of "a webhook secret of the tests".
pub(crate) const WEBHOOK_SECRET: &str = "whsec_YSB3ZWJob29rIHNlY3JldCBvZiB0aGUgdGVzdHM=";

/// Which example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    Django,
    FastApi,
}

/// How the app publishes.
#[derive(Clone, Debug)]
pub(crate) struct Publishing {
    /// Outrigger's URL.
    pub(crate) url: String,
    /// `OUTRIGGER_VIA` of the Django example: `layer` or `publish`.
    pub(crate) via: &'static str,
}

/// A place for an app that is not running yet: its address is known before it
/// starts, so Outrigger can be started first.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.path().join("app.sock")
    }

    pub(crate) fn door(&self) -> Door {
        Door::Unix(self.socket())
    }
}

/// A running app.
#[derive(Debug)]
pub(crate) struct App {
    server: Child,
    place: Place,
}

impl App {
    /// Starts an example and waits until it answers.
    pub(crate) fn start(example: Example, place: Place, publishing: Option<&Publishing>) -> Self {
        let mut command = match example {
            Example::Django => daphne(&place),
            Example::FastApi => uvicorn(&place),
        };
        if let Some(publishing) = publishing {
            command
                .env("OUTRIGGER_URL", &publishing.url)
                .env("OUTRIGGER_VIA", publishing.via)
                .env("OUTRIGGER_WEBHOOK_SECRET", WEBHOOK_SECRET);
        }
        let log = File::create(place.0.path().join("log")).expect("a log file");
        let server = command
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the app's server starts");
        let mut app = Self { server, place };
        app.wait_until_it_answers();
        app
    }

    /// The way to the app past Outrigger.
    pub(crate) fn door(&self) -> Door {
        self.place.door()
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.0.path().join("log")).unwrap_or_default()
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + TIME_TO_START;
        while exchange(&self.door(), "GET", "/", None, None).is_err() {
            let ended = self.server.try_wait().expect("the server's state");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the app does not answer ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let killed = self.server.kill().and_then(|()| self.server.wait());
        if let Err(error) = killed {
            eprintln!("the app could not be stopped: {error}");
        }
    }
}

/// The folder of an example.
pub(crate) fn folder(example: Example) -> PathBuf {
    let name = match example {
        Example::Django => "django-channels",
        Example::FastApi => "fastapi",
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn python(example: Example) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(
        program.exists(),
        "no {}: run ./tests/run, which makes it",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .current_dir(folder(example))
        .env_remove("OUTRIGGER_URL")
        .env_remove("REDIS_URL")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("JWT_SECRET", TOKEN_SECRET)
        .env("DJANGO_SECRET_KEY", TOKEN_SECRET);
    command
}

fn daphne(place: &Place) -> Command {
    let database = place.0.path().join("db.sqlite3");
    fs::write(&database, &*SEEDED_DATABASE).expect("the database");
    let mut command = python(Example::Django);
    command
        .env("DJANGO_DATABASE", database)
        .args(["-m", "daphne", "-v", "0", "-u"])
        .arg(place.socket())
        .arg("backend.asgi:application");
    command
}

fn uvicorn(place: &Place) -> Command {
    let mut command = python(Example::FastApi);
    command
        .args(["-m", "uvicorn", "--log-level", "warning", "--uds"])
        .arg(place.socket())
        .arg("backend.main:app");
    command
}

/// The Django example's tables and users, made once and copied for each app.
static SEEDED_DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("db.sqlite3");
    for step in [["migrate", "-v0"], ["seed", "-v0"]] {
        let mut command = python(Example::Django);
        let made = command
            .env("DJANGO_DATABASE", &database)
            .arg("manage.py")
            .args(step)
            .output()
            .expect("manage.py runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "manage.py {step:?}:\n{said}");
    }
    fs::read(database).expect("the database")
});
