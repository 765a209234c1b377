//! What happened between the demo's users, and who is connected to the app.
//!
//! Whatever happens is told twice in the same order: to the app's own sockets,
//! as such apps have always done, and to Outrigger by webhook. One lock around
//! both keeps the order the same.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    people::{USERS, User},
    publish::Publisher,
    python::dumps,
};

/// The only conversation.
pub(super) const CHAT: u64 = 7;
/// Frames a slow socket may fall behind before it loses some: such apps do.
const ROOM: usize = 64;
/// Notifications that can still be marked as read.
const REMEMBERED: usize = 200;

/// One of the app's own open sockets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Held {
    /// The name the page gave it (`?socket=`).
    pub(super) socket: String,
    /// Whose it is.
    pub(super) user: u64,
    /// Where it is connected.
    pub(super) path: String,
}

/// Everything the app remembers.
#[derive(Debug)]
pub(super) struct World {
    publisher: Publisher,
    last_id: u64,
    notifications: VecDeque<(u64, Value)>,
    requests: HashMap<u64, u64>,
    rooms: HashMap<String, broadcast::Sender<Utf8Bytes>>,
    sockets: BTreeMap<u64, Held>,
}

/// One thing that happened: an event for Outrigger, and the frame of the app's
/// own sockets.
struct Happening {
    kind: &'static str,
    topics: Vec<String>,
    data: Value,
    frame: String,
}

impl World {
    /// An empty world.
    pub(super) fn new(publisher: Publisher) -> Self {
        Self {
            publisher,
            last_id: 0,
            notifications: VecDeque::new(),
            requests: HashMap::new(),
            rooms: HashMap::new(),
            sockets: BTreeMap::new(),
        }
    }

    /// Asks to be friends.
    pub(super) fn request_friend(&mut self, from: User, to: User) -> Value {
        let id = self.next_id();
        let count = self.requests.entry(to.id).or_default();
        *count += 1;
        let count = json!({ "pending": *count });
        let request = json!({
            "id": id, "from_user": person(from), "to_user": person(to), "status": "pending",
            "created_at": now(),
        });
        let data = json!({ "action": "created", "friend_request": request, "count": count });
        self.tell(Happening {
            kind: "friend_request_message",
            topics: vec![format!("friend_requests_{}", to.id)],
            frame: dumps(&json!({
                "type": "friend_request_update", "action": "created",
                "friend_request": request, "count": count,
            })),
            data,
        });
        request
    }

    /// Sends a notification.
    pub(super) fn notify(&mut self, from: User, to: User, text: &str) -> Value {
        let notification = json!({
            "id": self.next_id(), "from_user": person(from), "text": text, "is_read": false,
            "created_at": now(),
        });
        self.notifications.truncate(REMEMBERED - 1);
        self.notifications.push_front((to.id, notification.clone()));
        self.tell_notification(to, &notification);
        notification
    }

    /// Marks a user's own notification as read; they hear of it on all their sockets.
    pub(super) fn mark_as_read(&mut self, user: User, id: u64) -> Option<Value> {
        let mut all = self.notifications.iter_mut();
        let (_, found) = all.find(|(to, one)| *to == user.id && one["id"] == id)?;
        found["is_read"] = true.into();
        let notification = found.clone();
        self.tell_notification(user, &notification);
        Some(notification)
    }

    /// Writes into the conversation.
    pub(super) fn write(&mut self, from: User, content: &str) -> Value {
        let message = json!({
            "id": self.next_id(), "sender": person(from), "content": content,
            "created_at": now(),
        });
        let topics = USERS.iter().map(|user| format!("inbox_{}", user.id));
        self.tell(Happening {
            kind: "new_message",
            topics: [format!("messages_{CHAT}")]
                .into_iter()
                .chain(topics)
                .collect(),
            data: json!({ "chat_id": CHAT, "message": message }),
            frame: dumps(&json!({ "type": "new_message", "chat_id": CHAT, "message": message })),
        });
        message
    }

    /// Hears what the app sends on a topic.
    pub(super) fn join(&mut self, topic: String) -> broadcast::Receiver<Utf8Bytes> {
        let room = self.rooms.entry(topic);
        room.or_insert_with(|| broadcast::channel(ROOM).0)
            .subscribe()
    }

    /// Notes an open socket; the number is for [`World::closed`].
    pub(super) fn opened(&mut self, socket: Held) -> u64 {
        let number = self.next_id();
        self.sockets.insert(number, socket);
        number
    }

    /// Forgets a socket.
    pub(super) fn closed(&mut self, number: u64) {
        self.sockets.remove(&number);
    }

    /// The app's own open sockets.
    pub(super) fn held(&self) -> Vec<&Held> {
        self.sockets.values().collect()
    }

    /// Events that Outrigger has accepted so far.
    pub(super) fn webhooks(&self) -> u64 {
        self.publisher.accepted()
    }

    fn tell_notification(&mut self, to: User, notification: &Value) {
        self.tell(Happening {
            kind: "notification_message",
            topics: vec![format!("notifications_{}", to.id)],
            data: json!({ "notification": notification }),
            frame: dumps(&json!({ "type": "notification", "notification": notification })),
        });
    }

    /// Tells the app's own sockets and Outrigger.
    fn tell(&mut self, happening: Happening) {
        let frame = Utf8Bytes::from(happening.frame);
        for room in happening
            .topics
            .iter()
            .filter_map(|topic| self.rooms.get(topic))
        {
            // An error means that nobody is there to hear it.
            room.send(frame.clone()).unwrap_or_default();
        }
        let id = format!("demo-{}", self.next_id());
        self.publisher.publish(json!({
            "id": id, "type": happening.kind, "topics": happening.topics, "data": happening.data,
        }));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn person(user: User) -> Value {
    json!({ "id": user.id, "username": user.name })
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::demo::publish::publisher, secret::Secret};

    #[test]
    fn a_notification_reaches_its_user_and_only_they_mark_it_as_read() {
        let (publisher, _delivery) = publisher(Secret::new("s"));
        let mut world = World::new(publisher);
        let [ada, zoe] = USERS;
        let mut hears = world.join("notifications_2".into());
        let sent = world.notify(ada, zoe, "hello");
        let id = sent["id"].as_u64().unwrap();
        let frame = hears.try_recv().unwrap();
        assert!(frame.starts_with(r#"{"type": "notification", "notification": {"id": "#));
        assert_eq!(world.mark_as_read(ada, id), None);
        assert!(hears.try_recv().is_err());
        assert_eq!(world.mark_as_read(zoe, id).unwrap()["is_read"], true);
        assert!(hears.try_recv().unwrap().contains(r#""is_read": true"#));
    }

    #[test]
    fn open_sockets_are_known_until_they_close() {
        let (publisher, _delivery) = publisher(Secret::new("s"));
        let mut world = World::new(publisher);
        let number = world.opened(Held {
            socket: "a".into(),
            user: 1,
            path: "/ws/notifications/".into(),
        });
        assert_eq!(world.held().len(), 1);
        world.closed(number);
        assert!(world.held().is_empty());
    }
}
