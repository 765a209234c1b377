//! Where a Redis is and how it is logged in to, as the config says.

use std::{fmt, sync::Arc};

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates,
    TlsMode,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use crate::secret::Secret;

/// A server: by its address, or by what Sentinels know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    place: Place,
    db: i64,
    username: Option<String>,
    password: Option<Secret>,
    /// The authorities to believe, in PEM; those of the system if none.
    authorities: Option<Arc<[u8]>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    At(ConnectionAddr),
    Sentinel(Sentinel),
}

/// Sentinels, and what they call the master.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentinel {
    /// `host:port` of each.
    pub nodes: Vec<(String, u16)>,
    /// The master's name.
    pub master: String,
    /// The database at the master.
    pub db: i64,
    /// Whether Sentinels and master speak TLS.
    pub tls: bool,
    /// The Sentinels' own password.
    pub password: Option<Secret>,
}

/// A text is not the address of a Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the address of a Redis: write redis://host:6379/0, rediss://host:6379/0 for TLS or unix:///run/redis.sock?db=0"
)]
pub struct NotAServer;

impl Server {
    /// The server of a URL, with the name and password in it if there are any.
    ///
    /// # Errors
    /// It is no URL of a Redis.
    pub fn parse(url: &str) -> Result<Self, NotAServer> {
        let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
        if !known.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(NotAServer);
        }
        let info = url.into_connection_info().map_err(|_| NotAServer)?;
        let settings = info.redis_settings();
        Ok(Self {
            db: settings.db(),
            username: settings.username().map(Into::into),
            password: settings.password().map(Secret::new),
            place: Place::At(info.addr().clone()),
            authorities: None,
        })
    }

    /// The server that Sentinels know.
    pub fn by_sentinel(sentinel: Sentinel) -> Self {
        Self {
            db: sentinel.db,
            username: None,
            password: None,
            place: Place::Sentinel(sentinel),
            authorities: None,
        }
    }

    /// The same with a name and a password, where they are given.
    #[must_use]
    pub fn with_login(mut self, username: Option<String>, password: Option<Secret>) -> Self {
        self.username = username.or(self.username);
        self.password = password.or(self.password);
        self
    }

    /// The same, believing the authorities of this PEM only.
    #[must_use]
    pub fn with_authorities(mut self, pem: Option<Arc<[u8]>>) -> Self {
        self.authorities = pem;
        self
    }

    /// The same, or in a Cluster the one that has this key.
    #[must_use]
    pub fn for_key(self, _: &str) -> Self {
        self
    }

    /// Whether a password is written where it can be read.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        match &self.place {
            Place::At(address) => matches!(address, ConnectionAddr::TcpTls { .. }),
            Place::Sentinel(sentinel) => sentinel.tls,
        }
    }

    /// A client for the server of the moment.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        if self.is_tls() {
            // The library takes the process's; it would guess if there were none.
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.install_default().ok();
        }
        match &self.place {
            Place::At(address) => self.client_at(address.clone()),
            Place::Sentinel(sentinel) => self.client_by(sentinel).await,
        }
    }

    fn client_at(&self, address: ConnectionAddr) -> RedisResult<Client> {
        let info: ConnectionInfo = address.into_connection_info()?;
        let mut settings = info.redis_settings().clone().set_db(self.db);
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        let info = info.set_redis_settings(settings);
        match self.certificates() {
            Some(certificates) if self.is_tls() => Client::build_with_tls(info, certificates),
            _ => Client::open(info),
        }
    }

    async fn client_by(&self, sentinel: &Sentinel) -> RedisResult<Client> {
        let nodes = sentinel.nodes.iter().cloned();
        let nodes = nodes.map(|(host, port)| match sentinel.tls {
            false => ConnectionAddr::Tcp(host, port),
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        });
        let kind = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(nodes, &sentinel.master, kind)?
            .set_client_to_redis_db(self.db);
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if let Some(password) = &sentinel.password {
            builder = builder.set_client_to_sentinel_password(password.expose());
        }
        if sentinel.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            if let Some(certificates) = self.certificates() {
                builder = builder
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_certificates(certificates);
            }
        }
        builder.build()?.async_get_client().await
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        self.authorities.as_ref().map(|pem| TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.to_vec()),
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::At(address) => write!(f, "{address}/{}", self.db),
            Place::Sentinel(sentinel) => {
                write!(f, "sentinel master {}/{}", sentinel.master, self.db)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_secrets() {
        let server = Server::parse("redis://user:pass@cache.example:6380/3").unwrap();
        assert_eq!(server.to_string(), "cache.example:6380/3");
        assert!(!format!("{server:?}").contains("pass@"));
        assert!(!format!("{server:?}").contains("\"pass\""));
        assert!(server.has_password());
    }

    #[test]
    fn urls_of_all_kinds_are_read() {
        for (url, name, tls) in [
            ("redis://localhost", "localhost:6379/0", false),
            ("redis://127.0.0.1:7000/2", "127.0.0.1:7000/2", false),
            ("rediss://cache:6380/1", "cache:6380/1", true),
            ("unix:///run/redis.sock?db=4", "/run/redis.sock/4", false),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!((server.to_string().as_str(), server.is_tls()), (name, tls));
        }
        for url in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://h:port",
        ] {
            assert_eq!(Server::parse(url), Err(NotAServer), "{url}");
        }
    }
}
