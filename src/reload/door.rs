//! What the front door is made of, out of the settings.

use std::time::Duration;

use crate::{
    config::Settings,
    listen::{self, Door},
    wire::Timeouts,
};

pub(super) fn door(settings: &Settings) -> Result<Door, listen::TlsError> {
    let tls = settings
        .listen
        .tls
        .as_ref()
        .map(listen::acceptor)
        .transpose()?;
    let limits = settings.listen.limits.clone();
    let endpoints = settings.endpoints.iter();
    let patience = endpoints.map(|endpoint| endpoint.limits.write_timeout);
    Ok(Door {
        patience: patience.fold(limits.write_timeout, Duration::max),
        limits,
        tls,
    })
}

/// The watchdog's part of the limits.
pub fn timeouts(door: &Door) -> Timeouts {
    let limits = &door.limits;
    Timeouts {
        idle: limits.idle_timeout,
        header: limits.header_timeout,
        write: limits.write_timeout,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Overrides};

    #[test]
    fn the_kernel_cuts_no_client_before_the_most_patient_endpoint_would() {
        let config = "[listen.limits]\nwrite_timeout = \"1m\"\n\
             [auth]\ntoken = [\"query:token\"]\n[auth.jwt]\nalgorithms = [\"HS256\"]\n\
             secret = \"01234567890123456789012345678901\"\nuser_claim = \"user_id\"\n\
             [[endpoint]]\nname = \"news\"\npath = \"/ws/news\"\ntopics = [\"news\"]\n\
             frames = { news = \"{data}\" }\n[endpoint.limits]\nwrite_timeout = \"5m\"\n";
        let read = |text| {
            let path = Path::new("outrigger.toml");
            let loaded = config::parse(text, path, &Overrides::default(), &|_| None);
            loaded.unwrap_or_else(|report| panic!("{}", report.render(false)))
        };
        let patience = |text| door(&read(text).settings).unwrap().patience;
        assert_eq!(patience(config), Duration::from_secs(300));
        let shorter = config.replace("5m", "5s");
        assert_eq!(patience(&shorter), Duration::from_secs(60));
    }
}
