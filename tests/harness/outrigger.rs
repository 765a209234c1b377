//! The real binary in a process of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Client, Log, until, within};

/// A running Outrigger; killed when dropped, and its log shown if the test failed.
pub struct Outrigger {
    child: Child,
    dir: TempDir,
    log: Log,
    addr: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Outrigger {
    /// Runs it with a config file, to which free ports and a JSON log are added
    /// where it does not say otherwise, and waits until it is ready.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[], &[]).await
    }

    /// As [`Self::start`], with environment variables and more arguments.
    pub async fn start_with(config: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::ready(TempDir::new().unwrap(), config, |dir| spawn(dir, env, args)).await
    }

    /// As [`Self::start`], by a shell script that ends in `exec "$0" "$@"`: with limits
    /// or mounts of its own.
    pub async fn start_in(script: &str, config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        Self::ready(dir, config, |dir| {
            let mut command = Command::new("sh");
            command.args(["-c", script, env!("CARGO_BIN_EXE_outrigger")]);
            run(command, dir, &[], &[])
        })
        .await
    }

    /// Runs it, and kills it when so much time has passed, ready or not.
    pub async fn stillborn(config: &str, after: Duration) {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("outrigger.toml"), config);
        let (mut child, _log) = spawn(dir.path(), &[], &[]);
        tokio::time::sleep(after).await;
        child.kill().await.unwrap();
    }

    async fn ready(dir: TempDir, config: &str, spawn: impl FnOnce(&Path) -> (Child, Log)) -> Self {
        write(&dir.path().join("outrigger.toml"), config);
        let (child, log) = spawn(dir.path());
        let ready = |entry: &Value| entry["fields"]["message"] == "Ready";
        let Some(ready) = log.find("Ready", ready).await else {
            panic!("it ended instead of being ready\n{}", log.text());
        };
        let address = |name: &str| ready["fields"][name].as_str()?.parse().ok();
        let addr = address("listen").unwrap_or_else(|| panic!("no address in {ready}"));
        let admin = address("admin");
        Self {
            child,
            dir,
            log,
            addr,
            admin,
        }
    }

    /// Runs it with a config file that it should refuse: the exit status and
    /// what it wrote.
    pub async fn refused(config: &str) -> (ExitStatus, String) {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("outrigger.toml"), config);
        let (mut child, log) = spawn(dir.path(), &[], &[]);
        let status = within("the exit", child.wait()).await.unwrap();
        log.ended().await;
        (status, log.text())
    }

    /// The front door.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The second port.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
            .unwrap_or_else(|| panic!("no admin listener\n{}", self.log.text()))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Its config file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("outrigger.toml")
    }

    /// A connection to the front door.
    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Replaces the config file by rename, as editors do; completed as at the start.
    pub fn rewrite(&self, config: &str) {
        write(&self.config_path(), config);
    }

    /// What it logged.
    pub fn logs(&self) -> &Log {
        &self.log
    }

    /// `GET` on the second port: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let mut client = Client::connect(self.admin_addr()).await;
        let response = client.get(path).await;
        (response.status(), String::from_utf8(response.body).unwrap())
    }

    /// The sum of a metric's series that carry at least the given labels:
    /// `outrigger_requests_total{status="200"}`. What was never counted is 0.
    pub async fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.admin("/metrics").await;
        assert_eq!(status, 200, "{text}");
        let (name, labels) = series(name);
        let fits = |line: &&str| {
            let (series, _) = line.rsplit_once(' ').unwrap_or((line, ""));
            let (other, others) = self::series(series);
            other == name && labels.iter().all(|label| others.contains(label))
        };
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(fits);
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until a metric has a value.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let is = || async { (self.metric(name).await - value).abs() < 1e-9 };
        until(&format!("{name} = {value}"), is).await;
    }

    /// Sends a signal by its name: `TERM`, `HUP`, `KILL`, `STOP`, `CONT`.
    pub async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(status.unwrap().success(), "kill -s {name} {pid}");
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let status = within("the exit", self.child.wait()).await.unwrap();
        self.log.ended().await;
        status
    }
}

impl Drop for Outrigger {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the log of Outrigger\n{}\n---", self.log.text());
        }
    }
}

fn spawn(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> (Child, Log) {
    let command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    run(command, dir, env, args)
}

fn run(mut command: Command, dir: &Path, env: &[(&str, &str)], args: &[&str]) -> (Child, Log) {
    command
        .args(["run", "--config"])
        .arg(dir.join("outrigger.toml"))
        .args(args);
    command.current_dir(dir).envs(env.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let log = Log::read(child.stderr.take().unwrap());
    (child, log)
}

fn write(path: &Path, config: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, completed(config)).unwrap();
    std::fs::rename(&next, path).unwrap();
}

/// Adds what a test's config leaves out. The lines of the test's own text keep
/// their numbers as long as it names none of the three tables.
pub(super) fn completed(config: &str) -> String {
    let mut text = config.to_owned();
    for (table, key, value) in [
        ("listen", "address", "127.0.0.1:0"),
        ("admin", "address", "127.0.0.1:0"),
        ("log", "format", "json"),
    ] {
        text = with_key(&text, table, key, value);
    }
    text
}

fn with_key(text: &str, table: &str, key: &str, value: &str) -> String {
    let header = format!("[{table}]");
    let entry = format!("{key} = \"{value}\"");
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.trim() == header) else {
        return format!("{text}\n{header}\n{entry}\n");
    };
    let body = lines[at + 1..]
        .iter()
        .take_while(|line| !line.trim_start().starts_with('['));
    let is_key = |line: &str| line.split('=').next().unwrap_or_default().trim() == key;
    if !body.clone().any(|line| is_key(line)) {
        lines.insert(at + 1, &entry);
    }
    lines.join("\n") + "\n"
}

/// A series' name and its labels.
fn series(text: &str) -> (&str, Vec<&str>) {
    let Some((name, labels)) = text.split_once('{') else {
        return (text, Vec::new());
    };
    let labels = labels
        .trim_end_matches('}')
        .split(',')
        .filter(|label| !label.is_empty());
    (name, labels.collect())
}
