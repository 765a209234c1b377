//! `group_send` by an action: the app's consumers and our own sockets hear the same, once.

use serde_json::{Value, json};

use super::{LAYERS, Stage};
use crate::harness::Socket;

/// A consumer with two channels: it joins, says that it has, and prints what it hears.
const CONSUMER: &str = "both = [await layer.new_channel(), await layer.new_channel()]\n\
    for channel in both:\n    await layer.group_add('chat_1', channel)\n\
    await layer.group_send('chat_1', {'type': 'other', 'n': 0})\n\
    for channel in both:\n    for _ in range(4):\n        print(repr(await layer.receive(channel)))";

async fn say(socket: &mut Socket, data: &Value) {
    let message = json!({"action": "send", "data": data});
    socket.send(&message.to_string()).await;
}

#[tokio::test]
async fn consumers_and_sockets_hear_an_action_s_group_send_whole_once_and_in_order() {
    for (lines, python) in LAYERS {
        // What we send is encrypted with the first key: the app has to know it.
        let lines = lines.replace("\"NEW_KEY\", ", "");
        let stage = Stage::with(&lines, python).await;
        let mut anna = stage.open("chat_1").await;
        let mut bert = stage.open("chat_1").await;
        let said = [
            json!({"n": u64::MAX, "price": 1.0, "by": null, "text": "hé \"1\"\u{7f}"}),
            // As Python spells it: numbers are compared as they are written.
            serde_json::from_str(r#"{"l": [true, {"a": 1e-07, "b": []}], "n": -1, "o": {}}"#)
                .unwrap(),
            json!({"n": 3, "text": "🚣".repeat(300)}),
        ];
        let talk = async {
            assert_eq!(anna.json().await, json!({"n": 0}));
            assert_eq!(bert.json().await, json!({"n": 0}));
            for data in &said {
                say(&mut anna, data).await;
            }
            for data in &said {
                assert_eq!(anna.json().await, *data, "{lines}");
                assert_eq!(bert.json().await, *data, "{lines}");
            }
            assert!(anna.is_silent().await, "heard once: {lines}");
        };
        let (heard, ()) = tokio::join!(stage.python(CONSUMER), talk);
        let boats = "🚣".repeat(300);
        let one = [
            "{'type': 'other', 'n': 0}".to_owned(),
            "{'type': 'chat.message', 'n': 18446744073709551615, 'price': 1.0, 'by': None, 'text': 'hé \"1\"\\x7f'}".to_owned(),
            "{'type': 'chat.message', 'l': [True, {'a': 1e-07, 'b': []}], 'n': -1, 'o': {}}".to_owned(),
            format!("{{'type': 'chat.message', 'n': 3, 'text': '{boats}'}}"),
        ];
        let both = [one.join("\n"), one.join("\n")].join("\n");
        assert_eq!(heard, both, "{lines}");
        let sent = "outrigger_channel_layer_sends_total{result=\"sent\"}";
        assert_eq!(stage.outrigger.metric(sent).await, 3.0, "{lines}");
    }
}

#[tokio::test]
async fn a_consumer_that_does_not_read_keeps_nobody_else_from_hearing_and_is_counted() {
    let python = "RedisChannelLayer(hosts=[URL], capacity=3)";
    let stage = Stage::with("capacity = 3\n", python).await;
    let mut anna = stage.open("chat_1").await;
    let stuck = "await layer.group_add('chat_1', await layer.new_channel())";
    stage.python(stuck).await;
    for n in 0..5 {
        say(&mut anna, &json!({ "n": n })).await;
        assert_eq!(anna.json().await, json!({ "n": n }));
    }
    let queue = stage.redis.cli(&["KEYS", "asgispecific*"]).await;
    assert_eq!(stage.redis.cli(&["ZCARD", &queue]).await, "3");
    for (result, count) in [("over_capacity", 2.0), ("sent", 5.0)] {
        let sends = format!("outrigger_channel_layer_sends_total{{result=\"{result}\"}}");
        stage.outrigger.metric_becomes(&sends, count).await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_answered_by_nothing_and_counted() {
    let mut stage = Stage::new().await;
    let mut anna = stage.open("chat_1").await;
    // The `type` of the message is replaced by what is no type.
    say(&mut anna, &json!({"type": 7})).await;
    let failed = "outrigger_channel_layer_sends_total{result=\"failed\"}";
    stage.outrigger.metric_becomes(failed, 1.0).await;
    say(&mut anna, &json!({"__asgi_channel__": "specific.x!y"})).await;
    stage.outrigger.metric_becomes(failed, 2.0).await;
    let unusable = "outrigger_messages_dropped_total{reason=\"unusable_value\"}";
    stage.outrigger.metric_becomes(unusable, 2.0).await;
    stage.redis.stop().await;
    say(&mut anna, &json!({"n": 1})).await;
    let away = "outrigger_messages_dropped_total{reason=\"unavailable\"}";
    stage.outrigger.metric_becomes(away, 1.0).await;
}
