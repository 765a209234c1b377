//! What is decided before a config is written: from flags, from what was found in the
//! project, from answers, else by default.

use std::net::SocketAddr;

use super::{
    InitArgs,
    ask::Ask,
    found::{self, Found, Jwt, Kind, Layer},
};
use crate::{cli::output::Failure, upstream::Address};

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Events {
    /// The app posts them, signed
    Webhook,
    /// Outrigger joins the groups of Channels in the app's Redis
    ChannelLayer,
    /// Nowhere yet
    None,
}

/// How users are known.
#[derive(Clone, Debug)]
pub(super) enum Auth {
    Jwt(Jwt),
    App { url: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Method {
    /// Outrigger verifies the app's JWTs
    Jwt,
    /// The app says who a client is: sessions, any kind of token
    App,
}

/// All that is decided.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) kind: Kind,
    pub(super) app: Address,
    pub(super) listen: SocketAddr,
    pub(super) auth: Auth,
    pub(super) token: Vec<String>,
    pub(super) events: Events,
    /// The app's channel layer, if events come from it.
    pub(super) layer: Option<Layer>,
}

/// Where an app asks who somebody is, if nothing else is known.
const ME: &str = "/api/me/";

impl Choices {
    /// Decides, and asks for what no flag says.
    pub(super) fn make(
        args: &InitArgs,
        found: Option<&Found>,
        ask: &mut Ask<'_>,
    ) -> Result<Self, Failure> {
        let kind = kind(args, found, ask)?;
        let app = match &args.app {
            Some(app) => app.clone(),
            None => ask.value("Where is the app?", "http://127.0.0.1:8000")?,
        };
        let listen = match args.listen {
            Some(listen) => listen,
            None => ask.value("Where shall clients connect?", "127.0.0.1:8080")?,
        };
        let known = found.map(|found| &found.auth);
        let method = method(args, found, ask)?;
        let auth = auth(args, known, (kind, method), ask)?;
        let mut token = known.map(|known| known.token.clone()).unwrap_or_default();
        if known.is_none_or(|known| known.jwt.is_none()) && method == Method::Jwt {
            // The cookie of a session is no token.
            token.retain(|place| place != "cookie:sessionid");
        }
        if token.is_empty() && method == Method::Jwt {
            token.push("query:token".into());
        }
        let events = match args.events {
            Some(events) => events,
            None => {
                let redis = found
                    .and_then(|found| found.layer.as_ref())
                    .is_some_and(Layer::is_redis);
                let usual = if redis {
                    Events::ChannelLayer
                } else {
                    Events::Webhook
                };
                ask.choice("Where do events come from?", &usual)?
            }
        };
        let layer = found
            .and_then(|found| found.layer.clone())
            .filter(Layer::is_redis);
        Ok(Self {
            kind,
            app,
            listen,
            auth,
            token,
            events,
            layer,
        })
    }

    /// The variables that must be set before the config can be used.
    pub(super) fn variables(&self) -> Vec<&str> {
        let secret = match &self.auth {
            Auth::Jwt(jwt) if jwt.has_secret() => Some(jwt.secret_env.as_str()),
            Auth::Jwt(_) | Auth::App { .. } => None,
        };
        let hook = (self.events == Events::Webhook).then_some("OUTRIGGER_WEBHOOK_SECRET");
        let layer = self
            .layer
            .as_ref()
            .filter(|_| self.events == Events::ChannelLayer);
        let key = layer.and_then(|layer| layer.key_env.as_deref());
        secret.into_iter().chain(hook).chain(key).collect()
    }
}

fn auth(
    args: &InitArgs,
    known: Option<&found::Auth>,
    (kind, method): (Kind, Method),
    ask: &mut Ask<'_>,
) -> Result<Auth, Failure> {
    Ok(match method {
        Method::App => Auth::App {
            url: match &args.ask_url {
                Some(url) => url.clone(),
                None => {
                    ask.value::<AppPath>("Which URL of the app says who a user is?", ME)?
                        .0
                }
            },
        },
        Method::Jwt => {
            let mut jwt = known
                .and_then(|known| known.jwt.clone())
                .unwrap_or_else(|| usual(kind));
            jwt.secret_env = match &args.secret_env {
                Some(_) if !jwt.has_secret() => {
                    let what = format!("the project's tokens are signed with {}", jwt.algorithm);
                    return Err(Failure::new(
                        what,
                        "that has a public key and no secret: leave out --secret-env",
                    ));
                }
                Some(name) => name.clone(),
                None if !jwt.has_secret() => jwt.secret_env,
                None => {
                    ask.value::<Variable>(
                        "Which variable holds the secret of the tokens?",
                        &jwt.secret_env,
                    )?
                    .0
                }
            };
            Auth::Jwt(jwt)
        }
    })
}

fn kind(args: &InitArgs, found: Option<&Found>, ask: &mut Ask<'_>) -> Result<Kind, Failure> {
    match (args.kind, found) {
        (Some(kind), _) => Ok(kind),
        (None, Some(found)) => Ok(found.kind),
        (None, None) if ask.is_silent() => Err(Failure::new(
            "nobody can be asked which kind of app this is",
            "say --kind django or --kind fastapi, or --from with the folder of the project",
        )),
        (None, None) => ask.choice("Which kind of app is it?", &Kind::Django),
    }
}

fn method(args: &InitArgs, found: Option<&Found>, ask: &mut Ask<'_>) -> Result<Method, Failure> {
    let seen = found.is_some_and(|found| found.auth.jwt.is_none());
    let usual = if seen { Method::App } else { Method::Jwt };
    match (args.auth, &args.secret_env, &args.ask_url) {
        (Some(method), _, _) => Ok(method),
        (None, Some(_), _) => Ok(Method::Jwt),
        (None, None, Some(_)) => Ok(Method::App),
        (None, None, None) => ask.choice("How are users known?", &usual),
    }
}

/// What most apps of a kind do.
fn usual(kind: Kind) -> Jwt {
    let (secret_env, require) = match kind {
        Kind::Django => (
            "DJANGO_SECRET_KEY",
            Some(("token_type".into(), "access".into())),
        ),
        Kind::Fastapi => ("JWT_SECRET", None),
    };
    Jwt {
        algorithm: "HS256".into(),
        jwks_url: None,
        secret_env: secret_env.into(),
        user_claim: "user_id".into(),
        require,
        issuer: None,
        audience: None,
    }
}

/// A name for a variable of the environment.
#[derive(Clone, Debug)]
pub(super) struct Variable(pub(super) String);

impl std::str::FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match first && text.len() < 100 && text.chars().all(letters) {
            true => Ok(Self(text.to_owned())),
            false => Err(
                "this is no name for a variable: write DJANGO_SECRET_KEY, and never the secret"
                    .into(),
            ),
        }
    }
}

/// A path of the app.
#[derive(Clone, Debug)]
pub(super) struct AppPath(pub(super) String);

impl std::str::FromStr for AppPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_graphic() && !"{}\"\\#".contains(c);
        match text.starts_with('/') && text.len() < 500 && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err("this is no path of the app: write /api/me/".into()),
        }
    }
}
