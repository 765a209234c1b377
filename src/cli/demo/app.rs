//! The demo's app: a small HTTP API, the page, and WebSockets of its own, as an
//! app without Outrigger has them. It knows of Outrigger only where to send its
//! webhooks and, for the page's switch, which config file to edit.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    people::{USERS, User, sender},
    sockets,
    switch::Switch,
    world::{CHAT, World},
};
use crate::secret::Secret;

/// The largest body the API reads, in bytes.
const MAX_BODY: usize = 8 * 1024;
/// The longest text of a message, in characters.
const MAX_TEXT: usize = 500;
/// For a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// After an accept error that is not the peer's fault (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// Only what the app itself serves may run, and only our own sockets be opened.
const POLICY: &str = "default-src 'self'; img-src data:; connect-src 'self' ws:";

/// The whole app.
#[derive(Debug)]
pub(super) struct DemoApp {
    /// Signs and checks tokens; Outrigger has the same one.
    pub(super) secret: Secret,
    /// What happened.
    pub(super) world: Mutex<World>,
    /// Edits the config file and watches it take effect.
    pub(super) switch: Switch,
    /// Ends all connections.
    pub(super) stop: CancellationToken,
    /// All connections and sockets.
    pub(super) tasks: TaskTracker,
}

/// What an API call answers, or the status that says why not.
type Answer = Result<Response<Full<Bytes>>, StatusCode>;

impl DemoApp {
    /// Serves until it is told to stop.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let stop = self.stop.clone();
        let accept = async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        self.tasks.spawn(self.clone().connection(stream));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop.cancelled() => {}
        }
    }

    /// The world, for a moment.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // Nothing in it is left half done, so a panic elsewhere does no harm.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let stop = self.stop.clone();
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            // How a peer ends its connection is its own affair.
            _ = connection => {}
            () = stop.cancelled() => {}
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let answer = self.route(request).await;
        Ok(answer.unwrap_or_else(|status| {
            let text = status.canonical_reason().unwrap_or_default();
            reply(status, &json!({ "detail": text }))
        }))
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["ws", place @ ..]) => sockets::upgrade(self, request, place),
            (&Method::GET, [""]) => Ok(file("text/html", include_str!("page.html"))),
            (&Method::GET, ["page.css"]) => Ok(file("text/css", include_str!("page.css"))),
            (&Method::GET, ["page.js"]) => Ok(file("text/javascript", include_str!("page.js"))),
            (&Method::GET, ["demo", "state"]) => self.state().await,
            (&Method::POST, ["demo", "rollout"]) => self.rollout(request).await,
            (&Method::POST, ["api", "login"]) => self.login(request).await,
            (_, ["api", place @ ..]) => {
                let (head, body) = request.into_parts();
                let user = sender(&head.headers, head.uri.query(), &self.secret);
                let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
                self.api(user, &head, place, body).await
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// What the signed-in may do.
    async fn api(
        &self,
        user: User,
        head: &http::request::Parts,
        place: &[&str],
        body: Incoming,
    ) -> Answer {
        let created = |value: &Value| Ok(reply(StatusCode::CREATED, value));
        match (&head.method, place) {
            (&Method::GET, ["me"]) => Ok(reply(StatusCode::OK, &json!(user_json(user)))),
            (&Method::GET, ["chats", chat]) => members(chat),
            (&Method::POST, ["chats", chat, "messages"]) => {
                members(chat)?;
                let content = text(&read(body).await?, "content")?;
                created(&self.world().write(user, &content))
            }
            (&Method::POST, ["friend-requests"]) => {
                let to = addressee(&read(body).await?)?;
                created(&self.world().request_friend(user, to))
            }
            (&Method::POST, ["notifications"]) => {
                let body = read(body).await?;
                let (to, text) = (addressee(&body)?, text(&body, "text")?);
                created(&self.world().notify(user, to, &text))
            }
            (&Method::POST, ["notifications", id, "read"]) => {
                let id = id.parse().map_err(|_| StatusCode::NOT_FOUND)?;
                let marked = self.world().mark_as_read(user, id);
                Ok(reply(StatusCode::OK, &marked.ok_or(StatusCode::NOT_FOUND)?))
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    async fn login(&self, request: Request<Incoming>) -> Answer {
        let body = read_json(request).await?;
        let user = body["user"].as_str().and_then(User::by_login);
        let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
        let token = user.token(&self.secret);
        let answer = json!({ "access": token, "user": user_json(user), "chat": CHAT });
        Ok(reply(StatusCode::OK, &answer))
    }

    /// What the page shows besides frames.
    async fn state(&self) -> Answer {
        let running = self.switch.running().await;
        let file = self.switch.read().await;
        let world = self.world();
        let state = json!({
            "generation": running.generation, "refused": running.refused,
            "toml": file, "path": self.switch.path(), "admin": self.switch.admin_url(),
            "held": world.held(), "webhooks": world.webhooks(), "users": USERS,
        });
        Ok(reply(StatusCode::OK, &state))
    }

    /// Edits the config file, and tells how long it took to be in force.
    async fn rollout(&self, request: Request<Incoming>) -> Answer {
        let body = read_json(request).await?;
        let to = match body["rollout"].as_str() {
            Some(to @ ("on" | "off")) => to,
            _ => return Err(StatusCode::UNPROCESSABLE_ENTITY),
        };
        match self.switch.turn(to).await {
            Ok(change) => Ok(reply(StatusCode::OK, &json!(change))),
            Err(error) => {
                let detail = json!({ "detail": error.to_string() });
                Ok(reply(StatusCode::INTERNAL_SERVER_ERROR, &detail))
            }
        }
    }
}

fn user_json(user: User) -> Value {
    json!({ "id": user.id, "login": user.login, "username": user.name })
}

/// The conversation and who is in it; both users are.
fn members(chat: &str) -> Answer {
    if chat != CHAT.to_string() {
        return Err(StatusCode::NOT_FOUND);
    }
    let members = USERS.map(user_json);
    Ok(reply(
        StatusCode::OK,
        &json!({ "id": CHAT, "members": members }),
    ))
}

fn addressee(body: &Value) -> Result<User, StatusCode> {
    let to = body["to"].as_u64().and_then(User::by_id);
    to.ok_or(StatusCode::UNPROCESSABLE_ENTITY)
}

fn text(body: &Value, name: &str) -> Result<String, StatusCode> {
    let text = body[name].as_str().unwrap_or_default().trim();
    let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT;
    fits.then(|| text.to_owned())
        .ok_or(StatusCode::UNPROCESSABLE_ENTITY)
}

/// Reads a body that must say that it is JSON: a foreign page cannot send that
/// without being asked first (CORS), so it cannot turn the switch.
async fn read_json(request: Request<Incoming>) -> Result<Value, StatusCode> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/json") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    read(request.into_body()).await
}

async fn read(body: Incoming) -> Result<Value, StatusCode> {
    let body = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let body = body
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| StatusCode::BAD_REQUEST)
}

fn reply(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = file("application/json", value.to_string());
    *response.status_mut() = status;
    response
}

fn file(kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    response
}
