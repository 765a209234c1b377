//! Real workers.
