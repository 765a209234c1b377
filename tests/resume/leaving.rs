//! A session that ends while it is far behind is still given what was for it before.

use serde_json::{Value, json};

use super::endpoint;
use crate::{
    harness::Stage,
    sessions::slow::{burst, frame, slow_reader},
};

#[tokio::test]
async fn who_is_sent_away_while_it_is_behind_gets_all_that_came_before() {
    let few = "[endpoint.limits]\noutbox_frames = 4\n";
    let stage = Stage::new(&endpoint(few)).await;
    let mut slow = slow_reader(&stage, 1).await;
    let mut quick = stage.open("/ws/news", 2).await;
    burst(&stage, &mut quick, 100).await;
    let end = json!({"type": "outrigger.disconnect", "users": [1], "data": {"code": 4321}});
    stage.publish(&end).await;
    stage.tell("news", "news", &json!({"n": "after"})).await;
    for n in 0..100 {
        let (first, payload) = frame(&mut slow).await;
        assert_eq!(first, 0x81, "at {n}");
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["n"]["at"], n);
    }
    let (_, close) = frame(&mut slow).await;
    assert_eq!(close[..2], 4321_u16.to_be_bytes());
}
