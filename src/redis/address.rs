//! Where a Redis is and how it is logged in to, as the config says.

use std::{fmt, sync::Arc};

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    TlsCertificates, TlsMode,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use super::cluster;
use crate::secret::Secret;

/// A server: by its address, or by what Sentinels or the nodes of a Cluster know of it.
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
    Cluster(Cluster),
}

/// Nodes of a Cluster that can be asked, and the key whose node is wanted.
#[derive(Clone, Debug, PartialEq)]
struct Cluster {
    nodes: Vec<ConnectionAddr>,
    key: String,
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

    /// The Cluster that these are nodes of, with the login of the first.
    ///
    /// # Errors
    /// There is none, or one is not named by its address.
    pub fn by_cluster(servers: Vec<Self>) -> Result<Self, NotAServer> {
        let addresses = servers.iter().map(|server| match &server.place {
            Place::At(address) if server.db == 0 && has_port(address) => Ok(address.clone()),
            Place::At(_) | Place::Sentinel(_) | Place::Cluster(_) => Err(NotAServer),
        });
        let nodes = addresses.collect::<Result<_, _>>()?;
        let first = servers.into_iter().next().ok_or(NotAServer)?;
        let key = String::new();
        Ok(Self {
            place: Place::Cluster(Cluster { nodes, key }),
            ..first
        })
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
    pub fn for_key(mut self, key: &str) -> Self {
        if let Place::Cluster(cluster) = &mut self.place {
            key.clone_into(&mut cluster.key);
        }
        self
    }

    /// Whether a password is written where it can be read.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        match &self.place {
            Place::At(address) => is_tls(address),
            Place::Cluster(cluster) => cluster.nodes.first().is_some_and(is_tls),
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
            Place::Cluster(cluster) => self.client_in(cluster).await,
        }
    }

    /// Asks one node after the other, beginning anywhere, until one knows.
    async fn client_in(&self, cluster: &Cluster) -> RedisResult<Client> {
        let count = cluster.nodes.len().max(1);
        let first = usize::try_from(super::random() % count as u64).unwrap_or_default();
        let mut trouble = RedisError::from((
            ErrorKind::InvalidClientConfig,
            "no node of the Cluster knows who has the keys",
        ));
        for node in cluster.nodes.iter().cycle().skip(first).take(count) {
            match cluster::owner(&self.client_at(node.clone())?, &cluster.key).await {
                Ok(Some(owner)) => return self.client_at(beside(node, owner)),
                Ok(None) => {}
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
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

fn is_tls(address: &ConnectionAddr) -> bool {
    matches!(address, ConnectionAddr::TcpTls { .. })
}

fn has_port(address: &ConnectionAddr) -> bool {
    is_tls(address) || matches!(address, ConnectionAddr::Tcp(..))
}

/// Another node of the Cluster that this one is of, reached in the same way.
fn beside(node: &ConnectionAddr, (host, port): (Option<String>, u16)) -> ConnectionAddr {
    let mut address = node.clone();
    if let ConnectionAddr::Tcp(its, its_port)
    | ConnectionAddr::TcpTls {
        host: its,
        port: its_port,
        ..
    } = &mut address
    {
        *its = host.unwrap_or_else(|| its.clone());
        *its_port = port;
    }
    address
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::At(address) => write!(f, "{address}/{}", self.db),
            Place::Sentinel(sentinel) => {
                write!(f, "sentinel master {}/{}", sentinel.master, self.db)
            }
            Place::Cluster(cluster) => match cluster.nodes.first() {
                Some(node) => write!(f, "cluster of {node}"),
                None => f.write_str("cluster"),
            },
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
