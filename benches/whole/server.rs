//! The servers that are measured: started on free ports, asked for their processor
//! time and memory by /proc, stopped when dropped.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::{Failure, signing};

/// Where an app is expected that no test talks to.
const NOWHERE: u16 = 9;

/// A running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    child: Child,
    _files: Files,
}

/// A folder that is gone with its server.
struct Files(PathBuf);

impl Files {
    fn new(port: u16) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("outrigger-bench-{port}"));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

impl Server {
    /// The app behind the proxies.
    pub(crate) fn origin() -> Result<Self, Failure> {
        Self::ourselves("direct", "origin")
    }

    /// A send per socket and nothing else: the floor of fan-out.
    pub(crate) fn raw() -> Result<Self, Failure> {
        Self::ourselves("raw send", "raw")
    }

    fn ourselves(name: &'static str, mode: &str) -> Result<Self, Failure> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([mode, &port.to_string()]);
        Self::start(name, port, command, Files::new(port)?)
    }

    /// Outrigger with one endpoint, in front of an app (0: none).
    pub(crate) fn outrigger(app: u16) -> Result<Self, Failure> {
        Self::build("outrigger", env!("CARGO_BIN_EXE_outrigger"), app)
    }

    /// Another build of Outrigger, where BASELINE names one.
    pub(crate) fn baseline(app: u16) -> Result<Option<Self>, Failure> {
        let path = std::env::var("BASELINE").ok();
        path.map(|path| Self::build("baseline", &path, app))
            .transpose()
    }

    /// Outrigger without an app, with the feed in a place.
    pub(crate) fn ingest(name: &'static str, feed: &str) -> Result<Self, Failure> {
        Self::build_with(name, env!("CARGO_BIN_EXE_outrigger"), 0, feed)
    }

    /// A Redis that keeps nothing on the disk; none, if there is no such program.
    pub(crate) fn redis() -> Result<Option<Self>, Failure> {
        Self::redis_with(&["--appendonly", "no"])
    }

    /// A Redis that writes all to its log, and syncs that each second.
    pub(crate) fn redis_on_disk() -> Result<Option<Self>, Failure> {
        Self::redis_with(&["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    fn redis_with(arguments: &[&str]) -> Result<Option<Self>, Failure> {
        let version = Command::new("redis-server").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        let port = free_port()?;
        let files = Files::new(port)?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--dir"]).arg(&files.0);
        command.args(arguments).stdout(Stdio::null());
        Self::start("redis", port, command, files).map(Some)
    }

    /// Outrigger with a feed in this Redis, and an admin listener on a port.
    pub(crate) fn sharing(redis: u16, admin: u16) -> Result<Self, Failure> {
        let feed = format!("[feed.redis]\nurl = \"redis://127.0.0.1:{redis}\"\n");
        let tables = format!("[admin]\naddress = \"127.0.0.1:{admin}\"\n{feed}");
        let server = Self::build_with("outrigger", env!("CARGO_BIN_EXE_outrigger"), 0, &tables)?;
        // It answers 503 until it has reached its Redis, at once as a rule.
        sleep(Duration::from_millis(300));
        Ok(server)
    }

    fn build(name: &'static str, path: &str, app: u16) -> Result<Self, Failure> {
        Self::build_with(name, path, app, "")
    }

    fn build_with(name: &'static str, path: &str, app: u16, tables: &str) -> Result<Self, Failure> {
        let port = free_port()?;
        let files = Files::new(port)?;
        let config = files.0.join("outrigger.toml");
        let app = if app == 0 { NOWHERE } else { app };
        let mut text = outrigger_config(port, app);
        if tables.contains("[admin]") {
            text = text.replace("[admin]\nenabled = false\n", "");
        }
        text = format!("{text}\n{tables}");
        fs::write(&config, text)?;
        let mut command = Command::new(path);
        command.arg("run").arg("--config").arg(&config);
        command.env("JWT_SECRET", signing::JWT_SECRET);
        command.env("WEBHOOK_SECRET", signing::WEBHOOK_SECRET);
        Self::start(name, port, command, files)
    }

    /// nginx with keep-alive to the app.
    pub(crate) fn nginx(app: u16, workers: usize) -> Result<Self, Failure> {
        let port = free_port()?;
        let files = Files::new(port)?;
        let config = files.0.join("nginx.conf");
        fs::write(&config, nginx_config(&files.0, (port, app), workers))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(&files.0);
        command.arg("-e").arg(files.0.join("error.log"));
        let name = if workers == 1 { "nginx-1" } else { "nginx-2" };
        Self::start(name, port, command, files)
    }

    fn start(
        name: &'static str,
        port: u16,
        mut command: Command,
        files: Files,
    ) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
        let server = Self {
            name,
            port,
            child,
            _files: files,
        };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            sleep(Duration::from_millis(10));
        }
        Err(format!("{name} does not listen").into())
    }

    /// Seconds of processor time, user and system, of the process and its children.
    pub(crate) fn cpu(&self) -> Result<f64, Failure> {
        self.tree()?.into_iter().map(cpu_of).sum()
    }

    /// Resident bytes of the process and its children.
    pub(crate) fn resident(&self) -> Result<f64, Failure> {
        self.tree()?.into_iter().map(resident_of).sum()
    }

    fn tree(&self) -> Result<Vec<u32>, Failure> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let children = children.split_whitespace().map(str::parse);
        Ok(std::iter::once(Ok(id))
            .chain(children)
            .collect::<Result<_, _>>()?)
    }
}

impl Drop for Server {
    /// nginx's workers end only if their master is asked to.
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if !asked.is_ok_and(|status| status.success()) || !self.name.starts_with("nginx") {
            self.child.kill().unwrap_or_default();
        }
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn cpu_of(id: u32) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // USER_HZ is 100 on every Linux there is.
    Ok(ticks / 100.0)
}

fn resident_of(id: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<f64>()? * 1024.0)
}

pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What the figures were taken on.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = model.unwrap_or("unknown processor");
    format!("{cores} cores, {model}, Linux {}\n", kernel.trim())
}

fn outrigger_config(port: u16, app: u16) -> String {
    format!(
        r#"
[listen]
address = "127.0.0.1:{port}"
limits = {{ max_connections = 20000, max_connections_per_address = 20000 }}
[app]
address = "http://127.0.0.1:{app}"
[admin]
enabled = false
[auth]
token = ["query:token"]
[auth.jwt]
algorithms = ["HS256"]
secret_env = "JWT_SECRET"
[source.webhook]
secret_env = "WEBHOOK_SECRET"
[[endpoint]]
name = "news"
path = "/ws/news/"
topics = ["news"]
heartbeat = "10m"
frames = {{ news = {{ type = "news", data = "{{data}}" }} }}
limits = {{ max_sessions = 20000 }}
[log]
access = false
level = "warn"
"#
    )
}

fn nginx_config(folder: &Path, (port, app): (u16, u16), workers: usize) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .concat();
    format!(
        r#"
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; {temporary}
  keepalive_requests 100000000;
  client_body_buffer_size 64k;
  proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;
  upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    location /tunnel {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_read_timeout 600s;
      proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 8k;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }}
  }}
}}
"#
    )
}
