//! Letting events in: the signed webhook and the app's own SSE stream.
//!
//! Whatever brings them, events are read by [`wire`], appended to the feed in the
//! order they came, and counted by source and result. Nothing here knows who listens.

mod body;
mod cloudevents;
pub mod signature;
pub mod sse;
pub mod webhook;
pub mod wire;
