//! One life of the process: all its rooms, but for the sockets of its doors.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use tokio::io::{DuplexStream, duplex};

use super::super::{App, Ends, StartError, stop};
use crate::{
    admin::{Phase, Readiness},
    config::{self, Overrides},
    feed::Feed,
    listen::converse,
    metrics::{Metrics, OnEndpoint, Shared},
    reload::Reloader,
    routes::Method,
    service::Service,
    upstream::Stream,
    wire::{Interim, Peer, Wire},
};

/// The most there are in a run.
pub(super) const USERS: u64 = 8;

/// A running Outrigger.
#[derive(Clone)]
pub(super) struct World {
    pub(super) feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    reloader: Arc<Reloader>,
    service: Arc<Service>,
    readiness: Arc<Readiness>,
    ends: Ends,
}

impl World {
    /// Starts everything.
    pub(super) fn begin(config: &str) -> Self {
        let app = built(config);
        let world = Self {
            feed: app.feed.clone(),
            metrics: app.metrics.clone(),
            reloader: app.reloader.clone(),
            service: app.service.clone(),
            readiness: app.readiness.clone(),
            ends: app.ends.clone(),
        };
        world.readiness.enter(Phase::Running);
        drop(app.start());
        world
    }

    /// A client comes to the front door by a pipe that holds so many bytes either way.
    pub(super) fn connect(&self, holds: usize) -> DuplexStream {
        let (client, server) = duplex(holds);
        let (interim, activity) = (
            Arc::new(Interim::default()),
            self.service.watchdog().watch(),
        );
        let wire = Wire::new(Stream::Memory(server), interim.clone(), activity.clone());
        let peer = Arc::new(Peer {
            address: ([127, 0, 0, 1], 1).into(),
            secure: false,
            interim,
            activity,
            slot: Arc::new(()),
        });
        let limits = self.reloader.door().borrow().limits.clone();
        let (service, door) = (self.service.clone(), self.ends.door.clone());
        let connection = async move { converse(wire, peer, &limits, service, door).await };
        self.ends.connections.spawn(connection);
        client
    }

    /// The file changes.
    pub(super) fn reload(&self, config: &str) {
        self.reloader
            .reload(config.as_bytes(), self.service.watchdog());
        let refused = self.reloader.status().borrow().refused.clone();
        assert_eq!(refused, None);
    }

    /// How often a session has read the feed.
    pub(super) fn falls_behind(&self) -> u64 {
        let endpoint = Shared("news".into());
        let catch_ups = &self.metrics.catch_ups;
        catch_ups.get_or_create(&OnEndpoint { endpoint }).get()
    }

    /// A stop in phases.
    pub(super) async fn stop(&self) {
        stop::in_phases(
            &self.reloader.stop(),
            &self.feed,
            &self.readiness,
            &self.ends,
        )
        .await;
    }
}

fn built(config: &str) -> App {
    // In a folder that is not there, so that nothing is watched.
    let path = PathBuf::from("/nowhere/outrigger.toml");
    let mut patience = 2000;
    loop {
        let loaded = config::parse(config, &path, &Overrides::default(), &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{}", report.render(false)));
        match App::build(loaded, Some(path.clone()), Overrides::default()) {
            Ok(app) => return app,
            // The thread of the life before may not have let go of the folder.
            Err(StartError::Feed(_)) if patience > 0 => {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A token of a user. They are made once: signing takes its time.
pub(super) fn token(user: u64) -> String {
    static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
    let tokens = TOKENS.get_or_init(|| {
        let overrides = Overrides::default();
        let config = config::parse(&config_of(""), Path::new("t"), &overrides, &|_| None);
        let Method::Jwt(verifier) = config.unwrap().settings.auth.method else {
            panic!("the config has keys")
        };
        let (day, now) = (Duration::from_secs(86_400), SystemTime::now());
        let token = |user: u64| {
            verifier
                .development_token(user.into(), &[], day, now)
                .unwrap()
        };
        (0..USERS)
            .map(|user| token(user).expose().to_owned())
            .collect()
    });
    tokens[usize::try_from(user).unwrap()].clone()
}

/// A config with these tables.
pub(super) fn config_of(tables: &str) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\nenabled = false\n[app]\naddress = \"http://127.0.0.1:9\"\n\
         [auth]\ntoken = [\"query:token\"]\n\
         [auth.jwt]\nalgorithms = [\"HS256\"]\nsecret = \"a-secret-of-tests-that-is-long-enough\"\nuser_claim = \"user_id\"\n\
         {tables}"
    )
}
