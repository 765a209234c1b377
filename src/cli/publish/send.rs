//! Where to send a signed event, and sending it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};

use super::{super::reach::reach, Failure};
use crate::{
    metrics::Metrics,
    routes::WEBHOOK_PATH,
    secret::Secret,
    source::signature,
    upstream::{self, Address, CallRequest, CallResponse, Upstream},
};

/// For the whole exchange; Outrigger answers in a millisecond.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// A server and a path on it.
pub(super) type Server = (Address, String);

/// The webhook of somebody who listens there.
pub(super) fn server_of(address: SocketAddr, tls: bool) -> Server {
    (reach(address, tls), WEBHOOK_PATH.into())
}

/// A server by its URL; one without a path has the webhook at its usual place.
pub(super) fn server(url: &str) -> Result<Server, String> {
    let (address, path) = Address::split_url(url).map_err(|error| error.to_string())?;
    let path = match path.as_str() {
        "/" => WEBHOOK_PATH.to_owned(),
        _ => path,
    };
    Ok((address, path))
}

/// The headers of a body, signed now as Standard Webhooks says.
pub(super) fn signed(secret: &Secret, id: &str, body: &str) -> Result<HeaderMap, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    let signature = signature::sign(secret, id, seconds, body.as_bytes())
        .map_err(|error| Failure::new(error, "use the secret that Outrigger runs with"))?;
    let value = |text: String| {
        let bad = |_| Failure::new("this id cannot be sent", "use letters, digits and -_.");
        HeaderValue::try_from(text).map_err(bad)
    };
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            HeaderName::from_static(signature::ID),
            value(id.to_owned())?,
        ),
        (
            HeaderName::from_static(signature::TIMESTAMP),
            seconds.into(),
        ),
        (
            HeaderName::from_static(signature::SIGNATURE),
            value(signature)?,
        ),
    ]))
}

/// Posts a body and reads the answer.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn send(
    (address, path): &Server,
    headers: HeaderMap,
    body: String,
) -> Result<CallResponse, Failure> {
    let settings = upstream::Settings {
        address: address.clone(),
        connect_timeout: TIMEOUT,
        response_timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
        keep_alive: Duration::ZERO,
        max_connections: 1,
    };
    let request = CallRequest {
        method: Method::POST,
        path: path.clone(),
        headers,
        body: Bytes::from(body),
        timeout: TIMEOUT,
        max_body: LARGEST_ANSWER,
    };
    let answer = Upstream::new(settings, Metrics::new()).call(request).await;
    answer.map_err(|error| {
        let what = format!("nothing was published to {address}: {error}");
        Failure::new(
            what,
            "is it running there? If elsewhere, say where: --url URL",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_alone_has_the_webhook_at_its_usual_path() {
        let (address, path) = server("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            (address.to_string().as_str(), path.as_str()),
            ("http://127.0.0.1:8080", WEBHOOK_PATH)
        );
        assert_eq!(server("https://x/in/events").unwrap().1, "/in/events");
        assert!(server("127.0.0.1:8080").is_err());
    }
}
