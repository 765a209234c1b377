//! Reaching a running Outrigger: by where its config says it listens, and its second port
//! by plain HTTP.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method, Request};

use super::{
    file::{self, ConfigArg},
    output::Failure,
};
use crate::{
    config::Overrides,
    metrics::Metrics,
    upstream::{Address, CallRequest, CallResponse, RequestBody, Settings, Upstream},
};

/// For a whole answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;
/// A tail says something more often than that.
const QUIET: Duration = Duration::from_secs(20);

/// Whose second port is asked.
#[derive(Args, Debug)]
pub(super) struct AdminArg {
    /// The admin port, as in 127.0.0.1:9464 [default: where the config says]
    #[arg(long, value_name = "ADDRESS", value_parser = address, conflicts_with = "config")]
    pub(super) admin: Vec<Address>,
    #[command(flatten)]
    config: ConfigArg,
}

impl AdminArg {
    /// The ports that are named, else the one of the config.
    pub(super) fn addresses(self) -> Result<Vec<Address>, Failure> {
        if !self.admin.is_empty() {
            return Ok(self.admin);
        }
        let loaded = match file::find(self.config.config) {
            Some(path) => file::read(&path)?,
            None => file::load(None, &Overrides::default())?,
        };
        let admin = loaded.settings.admin.ok_or_else(|| {
            let what = "the config turns the admin port off";
            Failure::new(what, "it needs [admin] enabled = true")
        })?;
        Ok(vec![reach(admin.address, false)])
    }
}

/// How to reach somebody who listens there.
pub(super) fn reach(address: SocketAddr, tls: bool) -> Address {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.to_string(),
        ip => ip.to_string(),
    };
    let port = address.port();
    match tls {
        true => Address::Tls { host, port },
        false => Address::Tcp { host, port },
    }
}

fn address(text: &str) -> Result<Address, String> {
    let url = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let (address, _) = Address::split_url(&url).map_err(|error| error.to_string())?;
    Ok(address)
}

/// Asks an admin port and reads the whole answer.
pub(super) async fn ask(address: &Address, path: String) -> Result<CallResponse, String> {
    let request = CallRequest {
        method: Method::GET,
        path,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: TIMEOUT,
        max_body: LARGEST_ANSWER,
    };
    let answer = server(address).call(request).await;
    answer.map_err(|error| error.to_string())
}

/// Asks an admin port for something without an end.
pub(super) async fn follow(
    address: &Address,
    path: &str,
) -> Result<http::Response<crate::upstream::AppBody>, String> {
    let request = Request::get(path).header(http::header::HOST, address.authority());
    let request = request.body(RequestBody::Empty);
    let request = request.map_err(|error| error.to_string())?;
    let response = server(address).send(request).await;
    response.map_err(|error| error.to_string())
}

fn server(address: &Address) -> std::sync::Arc<Upstream> {
    let settings = Settings {
        address: address.clone(),
        connect_timeout: TIMEOUT,
        response_timeout: TIMEOUT,
        idle_timeout: QUIET,
        keep_alive: Duration::ZERO,
        max_connections: 1,
    };
    Upstream::new(settings, Metrics::new())
}

/// A path with what is asked for.
pub(super) fn path(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query);
    format!("{path}?{}", text.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_on_loopback() {
        let at = |text: &str| reach(text.parse().unwrap(), false).to_string();
        assert_eq!(at("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(at("[::]:8080"), "http://[::1]:8080");
        assert_eq!(at("10.0.0.1:80"), "http://10.0.0.1");
    }

    #[test]
    fn an_admin_port_needs_no_scheme() {
        for text in [
            "10.0.0.1:9464",
            "http://10.0.0.1:9464",
            "http://10.0.0.1:9464/",
        ] {
            assert_eq!(address(text).unwrap().to_string(), "http://10.0.0.1:9464");
        }
    }
}
