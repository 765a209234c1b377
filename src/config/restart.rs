//! What a running process cannot take up.

use super::Settings;

/// The keys that differ and that only a restart brings into force. All others are live.
pub fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let admin = |settings: &Settings| settings.admin.as_ref().map(|admin| admin.address);
    let differs = [
        ("listen.address", old.listen.address != new.listen.address),
        ("admin.address", admin(old) != admin(new)),
        ("feed", old.feed != new.feed),
        ("log.format", old.log.json != new.log.json),
        ("log.level", old.log.filter != new.log.filter),
        ("log.access", old.log.access != new.log.access),
    ];
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(key, _)| key).collect()
}
