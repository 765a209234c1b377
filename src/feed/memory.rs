//! The feed in memory.
