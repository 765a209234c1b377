//! The endpoint that a config begins with where no project is read: one of each kind
//! of app, to be changed.

use super::{follow::Place, found::Kind, propose::Draft};

pub(super) fn drafts(kind: Kind) -> Vec<Draft> {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let (name, path, keys, tables) = match kind {
        Kind::Django => (
            "notifications",
            "/ws/notifications/",
            lines(&[
                "topics = [\"notifications_{user.id}\"]  # the group that your consumer joins",
                "json = \"python\"  # spelled as json.dumps does",
                "expiry = \"keep\"",
            ]),
            lines(&[
                "[endpoint.frames]  # type of the event = what the consumer sends",
                "notification_message = { type = \"notification\", notification = \"{data.notification}\" }",
            ]),
        ),
        Kind::Fastapi => (
            "notifications",
            "/ws/notifications",
            lines(&[
                "topics = [\"notifications_{user.id}\"]  # the channel of your ConnectionManager",
                "json = \"compact\"  # spelled as send_json does",
                "expiry = \"keep\"",
            ]),
            lines(&[
                "[endpoint.frames]  # each message as the app wrote it",
                "\"*\" = \"{data}\"",
            ]),
        ),
    };
    vec![Draft {
        name: name.into(),
        path: path.into(),
        code: "An example: put your own path, group and frames in its place.".into(),
        place: Place::default(),
        keys,
        tables,
        notes: Vec::new(),
        proposals: Vec::new(),
        topics: Vec::new(),
        frames: Vec::new(),
        actions: Vec::new(),
    }]
}
