//! A headless Chromium, spoken to by its own protocol (CDP), so that a test can
//! wait for what the page shows and hear what its console says.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::harness::{DEADLINE, within};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
    "--remote-debugging-port=0",
];

/// A page in a browser of its own; both are gone when it is dropped.
pub(crate) struct Browser {
    socket: WebSocketStream<TcpStream>,
    session: Value,
    last: u64,
    errors: Vec<String>,
    _child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page at 1280x800.
    ///
    /// # Panics
    /// There is no browser.
    pub(crate) async fn open(url: &str) -> Self {
        let profile = TempDir::new().unwrap();
        let mut child = launch(&profile);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = within("the browser to start", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the browser ended");
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return address.to_owned();
                }
            }
        });
        let address = address.await;
        // Chromium must be able to write what it has to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let host = address.split('/').nth(2).unwrap();
        let stream = TcpStream::connect(host).await.unwrap();
        let (socket, _) = client_async(&address, stream).await.unwrap();
        let mut browser = Self {
            socket,
            session: Value::Null,
            last: 0,
            errors: Vec::new(),
            _child: child,
            _profile: profile,
        };
        browser.visit(url).await;
        browser
    }

    async fn visit(&mut self, url: &str) {
        let target = self
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        self.session = self.call("Target.attachToTarget", attach).await["sessionId"].take();
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.call(domain, json!({})).await;
        }
        let size = json!({ "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    /// Evaluates an expression in the page.
    ///
    /// # Panics
    /// It throws.
    pub(crate) async fn run(&mut self, expression: &str) -> Value {
        let question = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", question).await;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Waits until an expression has a value.
    ///
    /// # Panics
    /// It does not get it in time.
    pub(crate) async fn becomes(&mut self, expression: &str, value: impl Into<Value>) {
        let value = value.into();
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let is = self.run(expression).await;
            if is == value {
                return;
            }
            let left = deadline > tokio::time::Instant::now();
            assert!(left, "{expression} is {is}, not {value}; {:?}", self.errors);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// What the console and the page complained of so far.
    pub(crate) fn errors(&self) -> &[String] {
        &self.errors
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        let text = Message::text(call.to_string());
        within("the browser to listen", self.socket.send(text))
            .await
            .unwrap();
        loop {
            let mut said = self.next().await;
            if said["id"] == id {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].take();
            }
            self.note(&said);
        }
    }

    async fn next(&mut self) -> Value {
        let message = within("the browser to speak", self.socket.next()).await;
        let message = message.expect("the browser ended").unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap_or_default()
    }

    fn note(&mut self, said: &Value) {
        let params = &said["params"];
        let bad = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] != "log",
            Some("Log.entryAdded") => params["entry"]["level"] == "error",
            _ => false,
        };
        if bad {
            self.errors.push(params.to_string());
        }
    }
}

fn launch(profile: &TempDir) -> Child {
    let start = |name: &str| {
        let mut command = Command::new(name);
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().ok()
    };
    let found = NAMES.iter().find_map(|name| start(name));
    found.expect("Chromium is not installed: ./tests/run installs it and runs all tests")
}
