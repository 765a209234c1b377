//! More messages at once than a queue holds.

use super::Stage;

#[tokio::test]
async fn a_burst_of_2000_messages_through_a_capacity_of_100_loses_nothing() {
    let stage = Stage::new().await;
    let mut socket = stage.open("chat_1").await;
    // A hundred at a time: each sending holds a connection of the app's pool.
    let code = "turn = asyncio.Semaphore(100)\n\
        async def one(n):\n    async with turn:\n        await layer.group_send('chat_1', {'type': 'other', 'n': n})\n\
        await asyncio.gather(*[one(n) for n in range(2000)])";
    stage.python(code).await;
    let mut heard = Vec::new();
    for _ in 0..2000 {
        heard.push(socket.json().await["n"].as_u64().unwrap());
    }
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..2000));
    let deepest = stage.outrigger.admin("/channel_layer").await.1;
    println!("{deepest}");
}
