//! Letting events in: the signed webhook, the app's own SSE stream, its channel
//! layer, HTTP exchanges that pass.
//!
//! Whatever brings them, events are read by [`wire`], appended to the feed in the
//! order they came, and counted by source and result. Nothing here knows who listens.

pub mod body;
pub mod channel_layer;
mod cloudevents;
pub mod exchange;
pub mod signature;
pub mod sse;
pub mod webhook;
pub mod wire;
