//! What is sent while Outrigger stops.

use super::{LAYERS, Stage, config};
use crate::harness::{Socket, until};

/// Sends a message the short way, as the library would have written it in JSON.
async fn publish(stage: &Stage, pubsub: bool, n: u32) {
    let message = format!(r#"{{"type": "other", "n": {n}}}"#);
    if pubsub {
        let heard = ["PUBLISH", "asgi__group__chat_1", &message];
        assert_eq!(stage.redis.cli(&heard).await, "1");
        return;
    }
    let range = ["ZRANGE", "asgi:group:chat_1", "0", "-1"];
    let channel = stage.redis.cli(&range).await;
    let (queue, _) = channel.split_once('!').expect("still a member");
    let to = format!(r#", "__asgi_channel__": ["{channel}"]}}"#);
    let message = format!("random-12345{}", message.replace('}', &to));
    let score = n.to_string();
    let add = ["ZADD", &format!("asgi{queue}!"), &score, &message];
    assert_eq!(stage.redis.cli(&add).await, "1");
}

#[tokio::test]
async fn a_socket_hears_until_its_own_close() {
    for (lines, python) in [LAYERS[2], LAYERS[4]] {
        let pubsub = lines.contains("pubsub");
        let lines = match pubsub {
            true => format!("{lines}serializer = \"json\"\n"),
            false => lines.to_owned(),
        };
        let mut stage = Stage::with(&lines, python).await;
        let url = format!("\"{}\"", stage.redis.url());
        let changed =
            config(&stage.app, &url, &lines).replace("spread = \"0s\"", "spread = \"2s\"");
        stage.outrigger.rewrite(&changed);
        stage.outrigger.logs().message("Reloaded").await;
        let mut sockets: Vec<Socket> = Vec::new();
        for _ in 0..20 {
            sockets.push(stage.open("chat_1").await);
        }
        publish(&stage, pubsub, 1).await;
        for socket in &mut sockets {
            assert_eq!(socket.text().await, r#"{"n":1}"#);
        }
        stage.outrigger.signal("TERM").await;
        stage
            .outrigger
            .logs()
            .message("Stopping: sending sessions home")
            .await;
        publish(&stage, pubsub, 2).await;
        let mut heard = 0;
        for mut socket in sockets {
            while let Some(frame) = socket.frame().await {
                heard += usize::from(frame.into_data() == br#"{"n":2}"#[..]);
            }
        }
        assert!(heard >= 1, "{lines}: nobody heard");
        assert!(stage.outrigger.exit().await.success());
        until("nothing to be left", async || {
            stage.redis.cli(&["KEYS", "*"]).await.is_empty()
        })
        .await;
    }
}
