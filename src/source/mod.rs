//! Letting events in: the signed webhook and the app's own SSE stream.

pub mod sse;
