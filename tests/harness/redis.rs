//! A real `redis-server` of one's own, on a free port, that can be stopped and started
//! again; and Python with the real `channels_redis`.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use super::{until, within};

/// A server with nothing in it.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further arguments of `redis-server`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let mut redis = Self {
            child: None,
            port: 0,
            folder: tempfile::tempdir().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        // Another test may take the port between asking for it and using it.
        while redis.child.is_none() {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            redis.port = free.local_addr().unwrap().port();
            drop(free);
            redis.begin().await;
        }
        redis
    }

    /// Starts a master, and a replica that follows it.
    pub async fn start_replicated() -> (Self, Self) {
        let master = Self::start_with(&["--repl-diskless-sync-delay", "0"]).await;
        let port = master.port().to_string();
        let replica = Self::start_with(&["--replicaof", "127.0.0.1", &port]).await;
        until("the replica to follow", async || {
            replica.cli(&["ROLE"]).await.contains("connected")
        })
        .await;
        (master, replica)
    }

    /// `redis://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it; what it held is gone.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            within("the end of redis-server", child.kill())
                .await
                .unwrap();
        }
        std::fs::remove_file(self.folder.path().join("dump.rdb")).ok();
    }

    /// Kills it; what it had written to its files is there when it starts again.
    pub async fn stop_losing_what_is_not_saved(&mut self) {
        if let Some(mut child) = self.child.take() {
            within("the end of redis-server", child.kill())
                .await
                .unwrap();
        }
    }

    /// While it is stopped: its log ends within the last word of the transaction in which
    /// this stands last, as if it had been killed in the middle of the write.
    pub fn cut_transaction_of(&self, text: &str) {
        let folder = self.folder.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let is_log = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
        let path = paths.find(is_log).unwrap();
        let log = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let at = log.rfind(text).unwrap();
        let end = at + log[at..].find("EXEC").unwrap();
        std::fs::write(path, &log[..end]).unwrap();
    }

    /// Sends a signal by its name.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.as_ref().and_then(Child::id).unwrap().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(status.unwrap().success(), "kill -s {name} {pid}");
    }

    /// Stops it as a service manager does; what it held is there when it starts again.
    pub async fn stop_keeping_its_data(&mut self) {
        self.cli(&["SHUTDOWN", "SAVE"]).await;
        if let Some(mut child) = self.child.take() {
            within("the end of redis-server", child.wait())
                .await
                .unwrap();
        }
    }

    /// Starts it again on the same port, empty.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts it again on the same port after a stop.
    pub async fn start_again(&mut self) {
        within("the port of redis-server to be free", async {
            while self.child.is_none() {
                self.begin().await;
            }
        })
        .await;
    }

    /// Runs one command and gives its answer as `redis-cli` prints it.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(arguments);
        let output = within("redis-cli", command.output()).await.unwrap();
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    async fn begin(&mut self) {
        let port = self.port.to_string();
        let program = std::env::var("REDIS_SERVER");
        let mut command = Command::new(program.as_deref().unwrap_or("redis-server"));
        command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .expect("redis-server is installed: ./tests/run does it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = within("redis-server to be ready", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Ready to accept connections") {
                    return true;
                }
            }
            false
        });
        if ready.await && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            // What it prints from now on is read, so that it never waits for us.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            self.child = Some(child);
        }
    }
}

/// One Sentinel that watches a master alone.
pub struct Sentinel {
    _child: Child,
    port: String,
    _folder: tempfile::TempDir,
}

impl Sentinel {
    /// Starts one, and waits until it knows the master's replica.
    pub async fn of(master: &Redis) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let file = folder.path().join("sentinel.conf");
        let lines = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\n",
            folder.path().display(),
            master.port()
        );
        std::fs::write(&file, lines).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel").stdout(Stdio::null());
        let sentinel = Self {
            _child: command.kill_on_drop(true).spawn().unwrap(),
            port,
            _folder: folder,
        };
        until("the Sentinel to see the replica", async || {
            let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await;
            replicas.contains("master-link-status") && !replicas.contains("err")
        })
        .await;
        sentinel
    }

    /// Where it listens.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Runs one command and gives its answer.
    pub async fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &self.port]).args(words).output().await;
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }
}

/// Runs Python with the packages of the example apps. `code` finds `layer`, a channel layer
/// made of `layer_of` (an expression), and may `await`.
///
/// # Panics
/// Python says that something is wrong; its words are in the message.
pub async fn channels(layer_of: &str, code: &str) -> String {
    let indented: String = code.lines().map(|line| format!("    {line}\n")).collect();
    let program = format!(
        "import asyncio, json, sys, time\n\
         from channels_redis.core import RedisChannelLayer\n\
         from channels_redis.pubsub import RedisPubSubChannelLayer\n\
         async def main():\n    layer = {layer_of}\n{indented}\n\
         asyncio.run(main())\n"
    );
    let mut command = Command::new(python());
    command.arg("-c").arg(&program).kill_on_drop(true);
    let output = within("Python", command.output()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}\n{errors}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// The interpreter that `./tests/run` prepares.
pub fn python() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python")
}

/// Seconds since 1970, as Redis scores have them.
pub fn unix_time() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}
