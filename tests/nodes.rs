//! Several Outriggers on one Redis, and clients that come back to another one than they
//! were on, while nodes are stopped and killed one at a time and Redis holds its breath.
//!
//! `STORM=60 SESSIONS=2000 cargo test --release --test outrigger nodes:: -- --nocapture --test-threads 1`

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    harness::{Outrigger, Redis},
    storm::{Crowd, Size, Sky, config, dice::Dice, publisher, replace},
};

#[tokio::test]
async fn a_storm_over_two_nodes_loses_nothing() {
    storm_over(2).await;
}

#[tokio::test]
async fn a_storm_over_three_nodes_loses_nothing() {
    storm_over(3).await;
}

async fn storm_over(count: usize) {
    let size = Size::asked();
    let redis = Redis::start().await;
    let config = config(&format!("[feed.redis]\nurl = \"{}\"", redis.url()));
    let sky = Sky::new(size);
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = Outrigger::start(&config).await;
        sky.appears(node.addr());
        nodes.push(node);
    }
    let crowd = Crowd::gather(&sky).await;
    let publishing = publisher::publish(sky.clone(), size.a_second, size.lasting);
    let mut dice = Dice::new(sky.seed + 11);
    let mut happened = Happened::default();
    let weather = async {
        let fair = u64::try_from(size.lasting.as_millis()).unwrap() / 8;
        while sky
            .stays_rough_for(dice.millis(fair / 2..fair * 3 / 2))
            .await
        {
            match dice.within(0..3) {
                0 => hold(&redis, dice.millis(200..1000), &mut happened).await,
                way => {
                    let at = dice.index(count);
                    replace(&mut nodes[at], &sky, &config, way == 1).await;
                    happened.killed += usize::from(way == 1);
                    happened.stopped += usize::from(way == 2);
                }
            }
        }
    };
    let (posted, ()) = tokio::join!(publishing, weather);
    let outcome = crowd.come_home(&sky).await;
    println!("{happened:?}");
    let what = format!("storm over {count} nodes on one Redis");
    outcome.judge(&what, size, posted);
}

/// What befell the nodes.
#[derive(Debug, Default)]
struct Happened {
    stopped: usize,
    killed: usize,
    redis_held: Vec<Duration>,
}

/// Redis answers nobody for so long.
async fn hold(redis: &Redis, time: Duration, happened: &mut Happened) {
    let began = Instant::now();
    let millis = time.as_millis().to_string();
    redis.cli(&["CLIENT", "PAUSE", &millis, "ALL"]).await;
    tokio::time::sleep_until(began + time).await;
    happened.redis_held.push(time);
}
