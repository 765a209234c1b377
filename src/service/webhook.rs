//! The webhook's body, read whole within its limits before the source sees it.

use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{BODY_TIMEOUT, Service};
use crate::{
    feed::Unavailable,
    reply::{self, Body},
    routes::RouteTable,
    source::webhook::{self, Refusal},
};

/// Another process, or this one after its restart, will take it.
const STOPPING: Unavailable = Unavailable {
    reason: "Outrigger is stopping",
    retry_after: Duration::from_secs(5),
};

impl Service {
    pub(super) async fn webhook(
        &self,
        table: &RouteTable,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let Some(rules) = &table.webhook else {
            return reply::text(http::StatusCode::NOT_FOUND, "No webhook is configured.\n");
        };
        let (head, body) = request.into_parts();
        // What had begun before the door closed is still taken: the feed is open as
        // long as there are sessions to hear it.
        let admitted = match self.door.is_cancelled() {
            true => Err(Refusal::Unavailable(STOPPING)),
            false => webhook::admit(rules, &head),
        };
        if let Err(refusal) = admitted {
            return webhook::refuse(&refusal, &self.metrics).map(Body::from);
        }
        let reading = Limited::new(body, rules.max_body).collect();
        let response = match timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(body)) => {
                let now = SystemTime::now();
                webhook::receive(
                    rules,
                    &self.feed,
                    &self.metrics,
                    &head,
                    body.to_bytes(),
                    now,
                )
                .await
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                webhook::refuse(&Refusal::TooLarge(rules.max_body), &self.metrics)
            }
            Ok(Err(_)) | Err(_) => webhook::refuse(&Refusal::TooSlow(BODY_TIMEOUT), &self.metrics),
        };
        response.map(Body::from)
    }
}
