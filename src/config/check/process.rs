//! `[stop]` and `[log]`.

use std::time::Duration;

use super::{
    super::{Stop, raw},
    Check,
};
use crate::logs;

pub(super) fn stop(check: &mut Check<'_>, raw: &raw::Stop) -> Stop {
    let written = raw.deadline.as_ref().map(|deadline| deadline.get_ref().0);
    let stop = Stop {
        notice: raw.notice.map_or(Duration::from_secs(5), |time| time.0),
        spread: raw.spread.map_or(Duration::from_secs(10), |time| time.0),
        // Kubernetes and systemd kill after 30 and 90 seconds.
        deadline: written.unwrap_or(Duration::from_secs(25)),
    };
    if stop.notice + stop.spread > stop.deadline {
        let (notice, spread, deadline) = (stop.notice, stop.spread, stop.deadline);
        let message = format!(
            "stopping takes {notice:?} of notice and {spread:?} of spread, but is cut after {deadline:?}"
        );
        let help = "make [stop] deadline longer than both together";
        let place = raw.deadline.as_ref().map(toml::Spanned::span);
        check
            .problems
            .push(super::Problem::error(place, message).help(help));
    }
    stop
}

pub(super) fn log(check: &mut Check<'_>, raw: &raw::Log) -> logs::Settings {
    let filter = raw.level.as_ref().map_or("info", |level| level.get_ref());
    if let Some(level) = raw.level.as_ref().filter(|_| !is_filter(filter)) {
        let message = format!("`{filter}` is not a log level");
        let help =
            "write error, warn, info, debug or trace, or by room: info,outrigger::session=debug";
        check.error(level.span(), message, help);
    }
    logs::Settings {
        json: matches!(raw.format, Some(raw::LogFormat::Json)),
        filter: filter.to_owned(),
        access: raw.access.unwrap_or(true),
    }
}

/// Levels, alone or for one room. `tracing` would take any other word for the
/// name of a room, and then nothing would be logged.
fn is_filter(filter: &str) -> bool {
    let rule = |rule: &str| {
        let level = rule.rsplit_once('=').map_or(rule, |(_, level)| level);
        level
            .parse::<tracing_subscriber::filter::LevelFilter>()
            .is_ok()
    };
    filter.split(',').all(rule)
        && filter
            .parse::<tracing_subscriber::filter::Targets>()
            .is_ok()
}
