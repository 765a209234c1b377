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
/// Daphne sometimes waits forever for a request that was under way.
const TIME_TO_STOP: Duration = Duration::from_secs(10);
/// What the apps sign tokens with.
pub(crate) const TOKEN_SECRET: &str = "a-secret-of-the-tests-0123456789abcdef";
/// What the apps sign webhooks with: the bytes of "a webhook secret of the tests".
pub(crate) const WEBHOOK_SECRET: &str = "whsec_YSB3ZWJob29rIHNlY3JldCBvZiB0aGUgdGVzdHM=";

/// Which example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    Django,
    /// The same app, with the config for its conversations.
    Inbox,
    /// The same app, as its second frontend has it.
    Friends,
    FastApi,
}

impl Example {
    /// Its config for Outrigger.
    pub(crate) fn config(self) -> PathBuf {
        folder(self).join(match self {
            Self::Django | Self::FastApi => "outrigger.toml",
            Self::Inbox => "inbox.toml",
            Self::Friends => "friends.toml",
        })
    }

    /// What its server is given.
    fn asgi(self) -> &'static str {
        match self {
            Self::Django | Self::Inbox => "backend.asgi:application",
            Self::Friends => "backend.asgi_friends:application",
            Self::FastApi => "backend.main:app",
        }
    }
}

/// What an example runs under; FastAPI has uvicorn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Daphne,
    Uvicorn,
    /// uvicorn with two processes, each with sockets and memory of its own.
    TwoWorkers,
}

/// Which channel layer the Django example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Core,
    PubSub,
}

impl Layer {
    /// As the example's environment and Outrigger's config call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::PubSub => "pubsub",
        }
    }
}

/// How an app runs.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) example: Example,
    pub(crate) server: Server,
    /// Of the Django example: the layer, and Redis' URL. Else it is in memory.
    pub(crate) layer: Option<(Layer, String)>,
    /// Outrigger's URL, for an app that posts to its webhook.
    pub(crate) webhook: Option<String>,
}

impl Setting {
    /// By itself, as the example's own page says.
    pub(crate) fn plain(example: Example) -> Self {
        Self {
            example,
            server: Server::Daphne,
            layer: None,
            webhook: None,
        }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let mut environment = vec![];
        if let Some((layer, redis)) = &self.layer {
            environment.extend([
                ("CHANNEL_LAYER", layer.name()),
                ("REDIS_URL", redis.as_str()),
            ]);
        }
        if let Some(url) = &self.webhook {
            environment.extend([
                ("OUTRIGGER_URL", url.as_str()),
                ("OUTRIGGER_WEBHOOK_SECRET", WEBHOOK_SECRET),
                ("DJANGO_SETTINGS_MODULE", "backend.settings_webhook"),
            ]);
        }
        environment
    }
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

    fn database(&self) -> PathBuf {
        self.0.path().join("db.sqlite3")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }
}

/// A running app.
#[derive(Debug)]
pub(crate) struct App {
    server: Option<Child>,
    place: Place,
    setting: Setting,
}

impl App {
    /// Starts an example with fresh data and waits until it answers.
    pub(crate) fn start(place: Place, setting: Setting) -> Self {
        if setting.example != Example::FastApi {
            fs::write(place.database(), &*SEEDED_DATABASE).expect("the database");
        }
        let mut app = Self {
            server: None,
            place,
            setting,
        };
        app.start_again();
        app
    }

    /// Starts it at its old place, with its data.
    pub(crate) fn start_again(&mut self) {
        fs::remove_file(self.place.socket()).ok();
        let mut log = File::options();
        let log = log.create(true).append(true).open(self.place.log());
        let mut command = self.python();
        let command = match (self.setting.example, self.setting.server) {
            (Example::FastApi, _) | (_, Server::Uvicorn | Server::TwoWorkers) => {
                command.args(["-m", "uvicorn", "--log-level", "warning", "--uds"])
            }
            (_, Server::Daphne) => command.args(["-m", "daphne", "-v", "0", "-u"]),
        };
        let command = command
            .arg(self.place.socket())
            .arg(self.setting.example.asgi());
        if self.setting.server == Server::TwoWorkers {
            command.args(["--workers", "2"]);
        }
        let server = command
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        self.server = Some(server.expect("the app's server starts"));
        self.wait_until_it_answers();
    }

    /// Stops it as a service manager does: told first, killed if it does not end.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("the app runs");
        let id = server.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(told.expect("kill runs").success(), "kill -s TERM {id}");
        let deadline = Instant::now() + TIME_TO_STOP;
        while server.try_wait().expect("the server's state").is_none() {
            if Instant::now() > deadline {
                eprintln!("the app does not end, and is killed:\n{}", self.log());
                server.kill().expect("the app can be killed");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a command of the Django example beside it, to its end.
    pub(crate) fn manage(&self, arguments: &[&str]) {
        let mut command = self.python();
        manage(command.arg("manage.py").args(arguments));
    }

    /// Python in the example's folder, with the app's own environment.
    fn python(&self) -> Command {
        let mut command = python(self.setting.example);
        command
            .env("DJANGO_DATABASE", self.place.database())
            .envs(self.setting.environment());
        command
    }

    /// The way to the app past Outrigger.
    pub(crate) fn door(&self) -> Door {
        self.place.door()
    }

    pub(crate) fn example(&self) -> Example {
        self.setting.example
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.log()).unwrap_or_default()
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + TIME_TO_START;
        while exchange(&self.door(), "GET", "/", None, None).is_err() {
            let server = self.server.as_mut().expect("a server");
            let ended = server.try_wait().expect("the server's state");
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
        if self.server.is_some() && self.setting.server == Server::TwoWorkers {
            // Killed, it would leave its workers behind.
            return self.stop();
        }
        let Some(server) = &mut self.server else {
            return;
        };
        let killed = server.kill().and_then(|()| server.wait());
        if let Err(error) = killed {
            eprintln!("the app could not be stopped: {error}");
        }
    }
}

/// The folder of an example.
pub(crate) fn folder(example: Example) -> PathBuf {
    let name = match example {
        Example::FastApi => "fastapi",
        _ => "django-channels",
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
        .env_remove("DJANGO_SETTINGS_MODULE")
        .env_remove("REDIS_URL")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("JWT_SECRET", TOKEN_SECRET)
        .env("DJANGO_SECRET_KEY", TOKEN_SECRET);
    command
}

/// The Django example's tables and users, made once and copied for each app.
static SEEDED_DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("db.sqlite3");
    for step in [["migrate", "-v0"], ["seed", "-v0"]] {
        let mut command = python(Example::Django);
        command.env("DJANGO_DATABASE", &database);
        manage(command.arg("manage.py").args(step));
    }
    fs::read(database).expect("the database")
});

fn manage(command: &mut Command) {
    let made = command.output().expect("manage.py runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{command:?}:\n{said}");
}
