//! The pool.
use std::sync::Arc;

use super::{CallError, CallRequest, CallResponse, Settings};
use crate::metrics::Metrics;

/// A server and its idle connections.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
}

impl Upstream {
    /// Makes it; nothing is dialled yet.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        drop(metrics);
        Arc::new(Self { settings })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks one thing and reads the whole answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(&self, request: CallRequest) -> Result<CallResponse, CallError> {
        Err(CallError::Timeout(request.timeout))
    }
}
