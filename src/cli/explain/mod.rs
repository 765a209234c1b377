//! `outrigger explain`: what would happen to a request, and why. It decides by the
//! same table and rules as a process that serves, and asks the app nothing.

mod endpoint;
mod request;
mod words;

use std::{sync::Arc, time::SystemTime};

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Uri, request::Parts};
use tokio_util::sync::CancellationToken;

use self::request::Asked;
use super::{
    file::{self, ConfigArg},
    output::{Failure, print},
};
use crate::{
    config::{Overrides, Settings},
    jwks::{self, Jwks},
    metrics::Metrics,
    routes::{Route, RouteTable},
    session::{
        Who,
        preview::{Shown, shown},
    },
    upstream::Upstream,
};

/// Say what would happen to a request, and why
///
/// Says where a request goes, who it comes from, on which leg a socket stands and why,
/// what it hears and may say, and how it would be turned away. GET on an endpoint's
/// path is taken for a WebSocket handshake. The app is not asked; keys of a jwks_url
/// are fetched.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// GET, POST, ...
    #[arg(value_name = "METHOD", value_parser = request::method)]
    method: Method,
    /// The path with its query, or a URL
    #[arg(value_name = "PATH", value_parser = request::target)]
    path: Uri,
    /// A token, put where the config looks first; - reads it from standard input
    #[arg(long)]
    token: Option<String>,
    /// As if the app knew the client as this user
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    user: Option<String>,
    /// A header of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = request::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    config: ConfigArg,
}

const EXAMPLES: &str = "\
Examples:
  outrigger explain GET /ws/notifications/ --user 42
  outrigger explain GET '/ws/messages/7?token=eyJ...'
  outrigger token --user 42 | outrigger explain GET /ws/messages/7 --token -
  outrigger explain POST /api/login/";

/// What a request comes to, a line each: a word, and what it is.
type Lines = Vec<(&'static str, String)>;

pub(super) fn run(args: ExplainArgs) -> Result<(), Failure> {
    let path = file::find(args.config.config.clone());
    let settings = match &path {
        Some(path) => file::read(path)?.settings,
        None => file::load(None, &Overrides::default())?.settings,
    };
    let asked = request::asked(args, &settings.auth.tokens)?;
    let mut lines = Lines::new();
    if path.is_none() {
        let none = "no outrigger.toml in this folder: everything is forwarded";
        lines.push(("config", none.into()));
    }
    lines.extend(explain(settings, &asked));
    print(&format!("{} {}\n", asked.head.method, asked.hidden))?;
    let lines = lines
        .iter()
        .map(|(word, text)| format!("  {word:<10}  {text}").trim_end().to_owned());
    print(&lines.collect::<Vec<_>>().join("\n"))
}

#[tokio::main(flavor = "current_thread")]
async fn explain(settings: Settings, asked: &Asked) -> Lines {
    let metrics = Metrics::new();
    let mut lines = Lines::new();
    if let Some(jwks) = &settings.jwks {
        lines.push(("keys", fetch(jwks, &metrics).await));
    }
    let table = table(settings, metrics);
    lines.extend(route(&table, asked));
    lines
}

/// Fetches the keys once, as a process that serves does when it starts.
async fn fetch(settings: &jwks::Settings, metrics: &Arc<Metrics>) -> String {
    let upstream = Upstream::new(settings.upstream(), metrics.clone());
    let jwks = Jwks::new(settings.clone(), upstream, metrics.clone());
    let loaded = tokio::select! {
        () = jwks.run(CancellationToken::new()) => false,
        loaded = jwks.refresh_for_unknown_key() => loaded,
    };
    match loaded {
        true => format!("fetched from {}", settings.address),
        false => format!(
            "could not be fetched from {}: no token verifies",
            settings.address
        ),
    }
}

/// The table of a process that serves by these settings.
fn table(settings: Settings, metrics: Arc<Metrics>) -> RouteTable {
    RouteTable {
        exchanges: settings.exchanges.into_iter().map(Arc::new).collect(),
        keys: None,
        generation: 1,
        swaps: Vec::new(),
        app: Upstream::new(settings.app, metrics),
        trusted: settings.trusted,
        auth: settings.auth,
        endpoints: settings.endpoints.into_iter().map(Arc::new).collect(),
        webhook: settings.webhook,
        flags: settings.flags,
        jwks: None,
        spread: settings.stop.spread,
    }
}

fn route(table: &RouteTable, asked: &Asked) -> Lines {
    let head = &asked.head;
    match table.find(head.uri.path(), head.method == Method::GET) {
        Route::Forward => forward(table, head),
        Route::Session(endpoint, params) => endpoint::session(table, (&endpoint, params), asked),
        Route::Webhook => webhook(table, head),
        Route::Flags => flags(table, asked),
    }
}

fn forward(table: &RouteTable, head: &Parts) -> Lines {
    let app = &table.app.settings().address;
    let mut lines = vec![
        ("route", format!("forwarded to the app at {app}")),
        ("path", "as it is written: with or without a slash at the end counts for the app".into()),
        ("adds", "Forwarded, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id if it has none; what [trust] proxies said is kept".into()),
    ];
    let as_socket = table.find(head.uri.path(), true);
    if let Route::Session(endpoint, _) = as_socket {
        let text = format!(
            "a handshake on this path, or a GET that accepts text/event-stream, is endpoint {}",
            endpoint.name
        );
        lines.push(("socket", text));
    } else if head.method == Method::GET {
        lines.push(("socket", no_endpoint(table)));
    }
    lines
}

fn no_endpoint(table: &RouteTable) -> String {
    let paths: Vec<_> = table
        .endpoints
        .iter()
        .map(|endpoint| endpoint.path.source())
        .collect();
    match paths.is_empty() {
        true => "a handshake is passed on to the app: there are no endpoints".into(),
        false => format!(
            "a handshake is passed on to the app: no endpoint has this path, they have {}",
            paths.join(", ")
        ),
    }
}

fn webhook(table: &RouteTable, head: &Parts) -> Lines {
    let mut lines = vec![("route", "the webhook: events from the app".to_owned())];
    if let Some(rules) = &table.webhook {
        let (count, tolerance) = (rules.secrets.len(), rules.tolerance);
        let secrets = if count == 1 {
            "the secret"
        } else {
            "one of the secrets"
        };
        let text =
            format!("signed with {secrets} as Standard Webhooks says, at most {tolerance:?} ago");
        lines.push(("takes", text));
        lines.push(("limit", format!("{} bytes", rules.max_body)));
    }
    let result = match head.method {
        Method::POST => "202 once the event is in the feed; try it with `outrigger publish`",
        _ => "405: send events with POST",
    };
    lines.push(("result", result.into()));
    lines
}

fn flags(table: &RouteTable, asked: &Asked) -> Lines {
    let client = client(table, asked);
    let user = words::user_of(client.who.as_ref());
    let mut lines = vec![
        ("route", "the frontend's flags".to_owned()),
        ("user", words::who(table, &client, asked)),
    ];
    if client.who.is_none() {
        lines.push((
            "",
            "what follows is for nobody; say who it is with --user ID".into(),
        ));
    }
    for endpoint in &table.endpoints {
        let (leg, why) = endpoint.rollout.decide(user);
        lines.push(("endpoint", format!("{}: {leg} leg, {why}", endpoint.name)));
    }
    for flag in &table.flags {
        let (leg, why) = flag.rollout.decide(user);
        let value = if leg == crate::rollout::Leg::Feed {
            &flag.on
        } else {
            &flag.off
        };
        lines.push(("flag", format!("{} = {value}: {why}", flag.name)));
    }
    lines
}

/// Who the request comes from, or is said to come from.
fn client(table: &RouteTable, asked: &Asked) -> Shown {
    let client = shown(&table.auth, &asked.head, SystemTime::now());
    match &asked.user {
        Some(user) => Shown {
            who: Some(Who::User(Box::new(user.clone()))),
            ..client
        },
        None => client,
    }
}
