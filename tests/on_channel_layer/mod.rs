//! The channel layer against a real Redis and the real `channels_redis`: what the app
//! sends is heard, whatever happens to Redis or to Outrigger, and nobody is disturbed.

mod burst;
mod faults;
mod groups;
mod python;
mod refusals;
mod sending;
mod sentinel;
mod stops;
mod ways;

use crate::harness::{App, Outrigger, Redis, Socket, ok, redis::channels};

/// One endpoint without tokens: `/ws/chat_1` hears the group `chat_1`.
const ENDPOINT: &str = "[[endpoint]]\nname = \"chat\"\npath = \"/ws/{group}\"\nanonymous = true\n\
    topics = [\"{group}\"]\nframes = { chat_message = \"{data}\", other = \"{data}\" }\n\
    [[endpoint.actions]]\nwhen = { action = \"send\" }\n\
    group_send = { group = \"{group}\", message = { type = \"chat.message\", \"...\" = \"{message.data}\" } }\n";

/// The kinds of layers, as Outrigger's config and as Python write them.
const LAYERS: [(&str, &str); 6] = [
    ("", "RedisChannelLayer(hosts=[URL])"),
    (
        "prefix = \"my app\"\n",
        "RedisChannelLayer(hosts=[URL], prefix='my-app')",
    ),
    (
        "serializer = \"json\"\n",
        "RedisChannelLayer(hosts=[URL], serializer_format='json')",
    ),
    (
        "encryption_keys_env = [\"NEW_KEY\", \"OLD_KEY\"]\n",
        "RedisChannelLayer(hosts=[URL], symmetric_encryption_keys=['the old key'])",
    ),
    (
        "layer = \"pubsub\"\n",
        "RedisPubSubChannelLayer(hosts=[URL])",
    ),
    (
        "layer = \"pubsub\"\nserializer = \"json\"\nencryption_keys_env = [\"OLD_KEY\"]\n",
        "RedisPubSubChannelLayer(hosts=[URL], serializer_format='json', symmetric_encryption_keys=['the old key'])",
    ),
];

/// The config of an Outrigger that hears a Redis, with further lines of its layer.
fn config(app: &App, redis: &str, lines: &str) -> String {
    format!(
        "[app]\naddress = \"http://{}\"\n[stop]\nnotice = \"0s\"\nspread = \"0s\"\n\
         [source.channel_layer]\nredis = {redis}\n{lines}\n{ENDPOINT}",
        app.addr()
    )
}

/// Everything up and running.
struct Stage {
    app: App,
    redis: Redis,
    outrigger: Outrigger,
    python: String,
}

impl Stage {
    /// With the core layer as it is by default.
    async fn new() -> Self {
        Self::with(LAYERS[0].0, LAYERS[0].1).await
    }

    async fn with(lines: &str, python: &str) -> Self {
        let app = App::answering(|_| ok("{}")).await;
        let redis = Redis::start().await;
        let env = [("NEW_KEY", "the new key"), ("OLD_KEY", "the old key")];
        let lines = lines.replace("my app", "my-app");
        let url = format!("\"{}\"", redis.url());
        let outrigger = Outrigger::start_with(&config(&app, &url, &lines), &env, &[]).await;
        let python = python.replace("URL", &format!("'{}'", redis.url()));
        Self {
            app,
            redis,
            outrigger,
            python,
        }
    }

    async fn open(&self, group: &str) -> Socket {
        Socket::open(self.outrigger.addr(), &format!("/ws/{group}")).await
    }

    /// Runs Python that finds the app's `layer`.
    async fn python(&self, code: &str) -> String {
        channels(&self.python, code).await
    }

    /// The app's `group_send`.
    async fn send(&self, group: &str, message: &str) {
        self.python(&format!("await layer.group_send('{group}', {message})"))
            .await;
    }
}

#[tokio::test]
async fn what_the_app_sends_to_a_group_is_heard_by_its_sockets_and_no_others() {
    for (lines, python) in LAYERS {
        let stage = Stage::with(lines, python).await;
        let mut sockets = [stage.open("chat_1").await, stage.open("chat_1").await];
        let mut other = stage.open("chat_2").await;
        let message = r#"{"type": "chat.message", "id": 2**64 - 1, "price": 1.0, "by": None, "text": "hé \"1\"", "l": [True, {"a": 1e-7}]}"#;
        stage.send("chat_1", message).await;
        stage.send("chat_2", r#"{"type": "other", "n": 2}"#).await;
        for socket in &mut sockets {
            let expected = r#"{"id":18446744073709551615,"price":1.0,"by":null,"text":"hé \"1\"","l":[true,{"a":1e-07}]}"#;
            assert_eq!(socket.text().await, expected, "{lines}");
        }
        assert_eq!(other.text().await, r#"{"n":2}"#);
        let taken = "outrigger_events_total{source=\"channel_layer\",result=\"accepted\"}";
        stage.outrigger.metric_becomes(taken, 2.0).await;
    }
}

#[tokio::test]
async fn the_app_s_own_consumers_hear_what_they_always_heard() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    let heard = stage
        .python(
            "mine = await layer.new_channel()\n\
             await layer.group_add('chat_1', mine)\n\
             for n in range(50):\n    await layer.group_send('chat_1', {'type': 'other', 'n': n})\n\
             print([(await layer.receive(mine))['n'] for _ in range(50)] == list(range(50)))",
        )
        .await;
    assert_eq!(heard, "True");
    for n in 0..50 {
        assert_eq!(socket.text().await, format!(r#"{{"n":{n}}}"#));
    }
}

#[tokio::test]
async fn several_hosts_are_used_as_the_library_uses_them() {
    for (lines, class) in [
        ("", "RedisChannelLayer"),
        ("layer = \"pubsub\"", "RedisPubSubChannelLayer"),
    ] {
        let app = App::answering(|_| ok("{}")).await;
        let redis = [
            Redis::start().await,
            Redis::start().await,
            Redis::start().await,
        ];
        let urls: Vec<_> = redis
            .iter()
            .map(|one| format!("\"{}\"", one.url()))
            .collect();
        let urls = format!("[{}]", urls.join(", "));
        let outrigger = Outrigger::start(&config(&app, &urls, lines)).await;
        let mut sockets = Vec::new();
        for n in 0..12 {
            sockets.push(Socket::open(outrigger.addr(), &format!("/ws/room_{n}")).await);
        }
        let code = "for n in range(12):\n    await layer.group_send(f'room_{n}', {'type': 'other', 'n': n})";
        channels(&format!("{class}(hosts={urls})"), code).await;
        for (n, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.text().await, format!(r#"{{"n":{n}}}"#), "{class}");
        }
    }
}
