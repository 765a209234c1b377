//! The wait for the app's answer, which goes on without the client once the app has
//! all of the request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use hyper::body::Incoming;

use super::{Case, Exchanges};
use crate::{
    forward::{self, Fault},
    reply::Body,
    source::exchange::Skipped,
    upstream::AppBody,
};

type Answering = Pin<Box<dyn Future<Output = Result<Response<AppBody>, Fault>> + Send>>;

/// A request of a watched exchange on its way.
pub(super) struct Asking {
    exchanges: Arc<Exchanges>,
    /// Until it is answered.
    open: Option<(Answering, Case)>,
}

impl Asking {
    pub(super) fn new(exchanges: Arc<Exchanges>, case: Case, request: Request<Incoming>) -> Self {
        let (table, peer) = (case.table.clone(), case.peer.clone());
        let copy = Some(case.copy.clone());
        let answering = Box::pin(async move {
            forward::forward(&table.app, request, &peer, &table.trusted, copy).await
        });
        Self {
            exchanges,
            open: Some((answering, case)),
        }
    }
}

impl Future for Asking {
    type Output = Result<Response<Body>, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((answering, _)) = &mut self.open else {
            return Poll::Pending;
        };
        let answer = ready!(answering.as_mut().poll(cx));
        match self.open.take() {
            Some((_, case)) => Poll::Ready(self.exchanges.take(case, answer)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Asking {
    /// The client is gone. A request that the app does not have in full ends with it.
    fn drop(&mut self) {
        let Some((answering, case)) = self.open.take() else {
            return;
        };
        let permit = self.exchanges.left.clone().try_acquire_owned();
        let (true, Ok(permit)) = (case.is_asked(), permit) else {
            return self.exchanges.skip_all(&case, &Skipped::ClientGone);
        };
        let exchanges = self.exchanges.clone();
        self.exchanges.sessions.spawn(async move {
            let answer = answering.await;
            // Room for the rest of the answer, which nobody but us reads.
            drop(permit);
            drop(exchanges.take(case, answer));
        });
    }
}

impl Exchanges {
    fn take(
        self: &Arc<Self>,
        case: Case,
        answer: Result<Response<AppBody>, Fault>,
    ) -> Result<Response<Body>, Fault> {
        if let Err(fault) = &answer {
            let why = match fault {
                Fault::Client(_) => Skipped::ClientGone,
                Fault::App(_) => Skipped::NoAnswer,
            };
            self.skip_all(&case, &why);
        }
        Ok(self.answered(case, answer?))
    }
}
