//! The address of a server, as it is written in the config.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `http://host:port`
    Tcp {
        /// Name or IP address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// `https://host:port`
    Tls {
        /// Name or IP address, which the certificate must be for.
        host: String,
        /// The port.
        port: u16,
    },
    /// `unix:/path/to.sock`
    Unix(PathBuf),
}

/// A text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: write http://127.0.0.1:8000, https://host or unix:/path/to.sock")]
pub struct NotAnAddress(String);

impl Address {
    /// The `Host` of a request that does not come from a client.
    pub fn authority(&self) -> String {
        let bracketed = |host: &str| match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        match self {
            Self::Tcp { host, port: 80 } | Self::Tls { host, port: 443 } => bracketed(host),
            Self::Tcp { host, port } | Self::Tls { host, port } => {
                format!("{}:{port}", bracketed(host))
            }
            Self::Unix(_) => "localhost".into(),
        }
    }

    /// Splits a URL into its server and its path with query (`/` if none).
    ///
    /// # Errors
    /// It is no `http`, `https` or `unix` URL.
    pub fn split_url(url: &str) -> Result<(Self, String), NotAnAddress> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Ok((url.parse()?, "/".into()));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let address = format!("{scheme}://{authority}").parse()?;
        Ok((address, format!("{slash}{path}")))
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let wrong = |why: &str| NotAnAddress(format!("`{text}` {why}"));
        if let Some(path) = text.strip_prefix("unix:") {
            let absolute = path.starts_with('/');
            return absolute
                .then(|| Self::Unix(path.into()))
                .ok_or_else(|| wrong("is not an absolute path"));
        }
        let (scheme, authority) = text
            .split_once("://")
            .ok_or_else(|| wrong("has no scheme"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority =
            authority.parse().map_err(|_| wrong("is not an address"))?;
        if authority.contains('@') || authority.contains(['/', '?']) {
            return Err(wrong("says more than host and port"));
        }
        if parsed.port().is_none()
            && authority.ends_with(|c: char| c == ':' || c.is_ascii_digit())
            && authority
                .rsplit_once(':')
                .is_some_and(|(host, _)| !host.contains(':'))
        {
            return Err(wrong("has a port that is none"));
        }
        let host = parsed.host().trim_matches(['[', ']']).to_owned();
        match scheme {
            "http" => Ok(Self::Tcp {
                host,
                port: parsed.port_u16().unwrap_or(80),
            }),
            "https" => Ok(Self::Tls {
                host,
                port: parsed.port_u16().unwrap_or(443),
            }),
            _ => Err(wrong("has an unknown scheme")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::Tls { .. } => write!(f, "https://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_text() {
        for text in [
            "http://127.0.0.1:8000",
            "http://app",
            "https://app.example:8443",
            "http://[::1]:8000",
            "unix:/run/app.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "127.0.0.1:8000",
            "ftp://x",
            "unix:app.sock",
            "http://u:p@x",
            "http://x:99999",
            "http:// x",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_split_at_its_path() {
        let (address, path) = Address::split_url("https://keys.example/jwks.json?v=1").unwrap();
        assert_eq!(address.to_string(), "https://keys.example");
        assert_eq!(path, "/jwks.json?v=1");
        assert_eq!(Address::split_url("http://x").unwrap().1, "/");
    }
}
