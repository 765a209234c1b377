//! The app's body on its way to the client, with a copy for whoever wants to look at
//! it after its end. What becomes of it then is not known here.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::upstream::{AppBody, BodyError, Kept};

/// How the way of a body ended.
#[derive(Debug)]
pub enum Passed {
    /// The app said all of it.
    Whole(Kept),
    /// The app broke off.
    Broken,
    /// The client wanted no more; the rest is still to be read.
    Left(AppBody, Kept),
}

type Then = Box<dyn FnOnce(Passed) + Send + Sync>;

/// A body that somebody watches.
pub struct Watched {
    /// What is needed at the end.
    rest: Option<(AppBody, Kept, Then)>,
    broken: bool,
}

impl Watched {
    /// A body of which `kept` keeps a copy; `then` is called once, when it has ended or
    /// nobody wants it any more. It is called by the task of the client: it must not wait.
    pub fn new(
        body: AppBody,
        kept: Kept,
        then: impl FnOnce(Passed) + Send + Sync + 'static,
    ) -> Self {
        Self {
            rest: Some((body, kept, Box::new(then))),
            broken: false,
        }
    }

    pub(super) fn body(&self) -> Option<&AppBody> {
        self.rest.as_ref().map(|(body, ..)| body)
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some((body, kept, _)) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => frame
                .data_ref()
                .into_iter()
                .for_each(|data| kept.pass(data)),
            Some(Err(_)) => self.broken = true,
            None => kept.end(),
        }
        Poll::Ready(frame)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((body, mut kept, then)) = self.rest.take() {
            // A reader that knows the length stops before it is told the end.
            if body.has_ended() && !self.broken {
                kept.end();
            }
            then(match (self.broken, kept.has_ended()) {
                (true, _) => Passed::Broken,
                (false, true) => Passed::Whole(kept),
                (false, false) => Passed::Left(body, kept),
            });
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
