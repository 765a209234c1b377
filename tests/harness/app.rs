//! The app as a script: either a test takes its connections one by one and says
//! what happens on them, or a function answers every request.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::{
    net::{TcpListener, UnixListener},
    task::AbortHandle,
};

use super::{Connection, End, Message, within};

/// What to answer to a request: the exact bytes.
pub type Responder = Arc<dyn Fn(&Message) -> Vec<u8> + Send + Sync>;

/// A scripted app. It stops with the value, and so do the tasks that serve it.
pub struct App {
    listener: Option<Listener>,
    place: Place,
    seen: Arc<Mutex<Vec<Message>>>,
    server: Option<AbortHandle>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Place {
    Tcp(SocketAddr),
    Unix(TempDir),
}

impl App {
    /// Listens on a free port; connections wait until they are accepted.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Listens where another app was.
    pub async fn start_at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let place = Place::Tcp(listener.local_addr().unwrap());
        Self::over(Listener::Tcp(listener), place)
    }

    /// Listens on a Unix socket.
    pub fn start_unix() -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(socket_path(dir.path())).unwrap();
        Self::over(Listener::Unix(listener), Place::Unix(dir))
    }

    /// Listens on a free port and answers every request by a function, for as
    /// long as its connection stays framed. What came is in [`Self::seen`].
    pub async fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let mut app = Self::start().await;
        let listener = app.listener.take().unwrap();
        let server = serve(listener, Arc::new(answer), app.seen.clone());
        app.server = Some(tokio::spawn(server).abort_handle());
        app
    }

    /// An app at an address where nobody listens any more.
    pub async fn gone() -> Self {
        let mut app = Self::start().await;
        app.listener = None;
        app
    }

    fn over(listener: Listener, place: Place) -> Self {
        let seen = Arc::default();
        Self {
            listener: Some(listener),
            place,
            seen,
            server: None,
        }
    }

    /// As the config's `[app] address` wants it.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Tcp(addr) => format!("http://{addr}"),
            Place::Unix(dir) => format!("unix:{}", socket_path(dir.path()).display()),
        }
    }

    /// The smallest config with this app in it.
    pub fn config(&self) -> String {
        format!("[app]\naddress = \"{}\"\n", self.address())
    }

    /// Where it listens, if on TCP.
    pub fn addr(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(addr) => *addr,
            Place::Unix(_) => panic!("on a Unix socket"),
        }
    }

    /// The next connection.
    ///
    /// # Panics
    /// None came in time.
    pub async fn accept(&self) -> Connection {
        let listener = self.listener.as_ref().expect("it serves by itself");
        within("a connection to the app", accept(listener)).await
    }

    /// The next connection, whenever it comes.
    pub async fn accept_ever(&self) -> Connection {
        accept(self.listener.as_ref().expect("it serves by itself")).await
    }

    /// The next connection, if one is already waiting or comes within a short
    /// time: for showing that none comes.
    pub async fn accept_soon(&self) -> Option<Connection> {
        let listener = self.listener.as_ref().expect("it serves by itself");
        let soon = std::time::Duration::from_millis(300);
        tokio::time::timeout(soon, accept(listener)).await.ok()
    }

    /// What was asked so far, when it answers by itself. A request that broke
    /// off is in it with its [`End`], and so is what was none when its
    /// connection ended.
    pub fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what was asked so far, and returns it.
    pub fn take_seen(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn socket_path(dir: &Path) -> PathBuf {
    dir.join("app.sock")
}

async fn accept(listener: &Listener) -> Connection {
    match listener {
        Listener::Tcp(listener) => Connection::tcp(listener.accept().await.unwrap().0),
        Listener::Unix(listener) => Connection::unix(listener.accept().await.unwrap().0),
    }
}

async fn serve(listener: Listener, answer: Responder, seen: Arc<Mutex<Vec<Message>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let connection = accept(&listener).await;
        connections.spawn(converse(connection, answer.clone(), seen.clone()));
    }
}

async fn converse(mut connection: Connection, answer: Responder, seen: Arc<Mutex<Vec<Message>>>) {
    loop {
        let Some(request) = connection.next_request().await else {
            let garbage = connection.unread();
            if !garbage.is_empty() {
                seen.lock().unwrap().push(Message::garbage(garbage));
            }
            return;
        };
        seen.lock().unwrap().push(request.clone());
        if request.end != End::Complete {
            return;
        }
        let response = answer(&request);
        let last = ends_the_connection(&response);
        if connection.try_send(response).await.is_err() || last {
            return;
        }
    }
}

/// Whether a response is ended by the end of the connection, or announces it.
fn ends_the_connection(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let interim = |head: &&str| head.starts_with("http/1.1 1");
    let head = text.split("\r\n\r\n").find(|head| !interim(head));
    let Some(head) = head else { return true };
    let framed = head.contains("\r\ncontent-length:")
        || head.contains("\r\ntransfer-encoding:")
        || head.starts_with("http/1.1 204")
        || head.starts_with("http/1.1 304");
    let old = head.starts_with("http/1.0") && !head.contains("\r\nconnection: keep-alive");
    !framed || old || head.contains("\r\nconnection: close")
}
