//! Outrigger: a reverse-proxy sidecar that adds realtime to the Django or FastAPI
//! app you already have.
//!
//! Everything that happens is an entry in one [`feed`]; everything that decides is
//! one immutable [`routes::RouteTable`]; a session is where the two meet.
//! `docs/architecture.md` shows the rooms and what each may import.

pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demand;
pub mod event;
pub mod feed;
pub mod forward;
pub mod frame;
pub mod hub;
pub mod jwks;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod order;
pub mod presence;
pub mod redis;
pub mod reload;
pub mod reply;
pub mod rollout;
pub mod routes;
pub mod secret;
pub mod service;
pub mod session;
pub mod source;
pub mod upstream;
pub mod watch;
pub mod wire;
