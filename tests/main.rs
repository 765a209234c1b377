//! The tests of what can be seen from outside: the real binary, real sockets.
//! One binary, built once.

// A test ends with its own runtime, so there is no tracker to spawn on; and a
// harness offers more than each test takes. Figures are printed.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used
)]

mod burst;
mod chaos;
mod checklists;
mod cli;
mod config;
mod demo;
mod docs;
mod durability;
mod event_streams;
mod examples;
mod exchange;
mod fleet;
mod floors;
mod forwarding;
mod fuzz;
mod harness;
mod init;
mod legacy_resume;
mod limits;
mod membership;
mod never_reading;
mod nodes;
mod on_channel_layer;
mod operations;
mod parity;
mod presence;
mod reload;
mod resume;
mod selftest;
mod sessions;
mod shared_feed;
mod smuggling;
mod steps;
mod storm;
mod stream;
mod trace;
mod tunnels;
mod webhook;
