//! What Python can send, and what becomes of it: equal to `json.dumps` wherever that is
//! JSON.

use super::Stage;

/// Messages that both serializers can carry, and how each is printed.
const SEND: &str = r#"
async def send(message):
    await layer.group_send('chat_1', {'type': 'other', **message})
    print(json.dumps(message, separators=(',', ':'), ensure_ascii=False))
deep = 1
for n in range(95):
    deep = [deep] if n % 2 else {'d': deep}
await send({'ints': [0, -1, 127, -128, 2**31, -2**31, 2**53 + 1, 2**63, 2**64 - 1, -2**63]})
await send({'floats': [0.1, 1.0, -0.0, 1e15, 1e16, 1e22, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 1/3]})
await send({'text': ''.join(map(chr, range(32))) + '"\\/\x7f\x80\u00e9\u2028\ufeff\U0001f600'})
await send({'keys': {1: 1, -1.5: 2, None: 3, True: 4, False: 5, '': 6, '\u00e9"': 7, 10**17: 8}})
await send({'deep': deep})
await send({'long': list(range(2000)), 'wide': {str(n): 'x' * n for n in range(300)}})
await send({'empty': [[], {}, '', None], 'tuple': (1, (2,)), '': 1})
await send({})
"#;

#[tokio::test]
async fn what_python_sends_is_heard_as_python_prints_it() {
    for (lines, python) in [super::LAYERS[0], super::LAYERS[2], super::LAYERS[4]] {
        let stage = Stage::with(lines, python).await;
        let mut socket = stage.open("chat_1").await;
        let printed = stage.python(SEND.trim()).await;
        assert_eq!(printed.lines().count(), 8);
        for line in printed.lines() {
            assert_eq!(socket.text().await, line, "{python}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_has_a_stand_in_and_is_counted() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    let message = "{'type': 'other', 'nan': [float('nan'), float('-inf')], 'bytes': b'\\0\\xff'}";
    stage.send("chat_1", message).await;
    let expected = r#"{"nan":[null,null],"bytes":"AP8="}"#;
    assert_eq!(socket.text().await, expected);
    for (word, count) in [("nan", 2.0), ("bytes", 1.0)] {
        let replaced = format!("outrigger_channel_layer_replaced_total{{result=\"{word}\"}}");
        stage.outrigger.metric_becomes(&replaced, count).await;
    }
}

#[tokio::test]
async fn json_carries_what_msgpack_cannot() {
    let stage = Stage::with(super::LAYERS[2].0, super::LAYERS[2].1).await;
    let mut socket = stage.open("chat_1").await;
    let message = "{'type': 'other', 'n': 2**70, 'nan': float('nan')}";
    stage.send("chat_1", message).await;
    let expected = r#"{"n":1180591620717411303424,"nan":null}"#;
    assert_eq!(socket.text().await, expected);
    // Half a character: no frame can hold it, and the next message is heard.
    stage
        .send("chat_1", r"{'type': 'other', 'half': '\ud800'}")
        .await;
    stage.send("chat_1", r#"{"type": "other", "n": 1}"#).await;
    let heard = socket.text().await;
    println!("{heard}");
    if heard != r#"{"n":1}"# {
        assert_eq!(socket.text().await, r#"{"n":1}"#);
    }
}
