//! A client that is cut again and again, and always comes back.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Sky,
    dice::Dice,
    record::{Heard, Record, Sitting, Way},
    wire::{Frame, Wire},
};
use crate::harness::handshake;

/// A socket that nobody reads is given up after so long; its connection stands until then.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// One client.
pub(crate) struct Client {
    pub(crate) modern: bool,
    pub(crate) room: usize,
    pub(crate) token: String,
    pub(crate) dice: Dice,
    /// As the server said it last.
    pub(crate) position: String,
    pub(crate) record: Record,
}

impl Client {
    /// Lives until it has heard the last word of its room, or it is too late.
    pub(crate) async fn live(mut self, sky: Arc<Sky>) -> Record {
        while !sky.is_over() {
            let Some(wire) = self.open(&sky).await else {
                sleep(self.dice.millis(20..200)).await;
                continue;
            };
            sky.opened();
            self.record.sittings.push(Sitting::default());
            if self.sit(wire, &sky).await {
                break;
            }
            let now = sky.now();
            let sitting = self.record.sittings.last_mut().unwrap();
            sitting.ended.get_or_insert(now);
            let away = if sky.is_calm() { 20..21 } else { 0..1500 };
            sleep(self.dice.millis(away)).await;
        }
        self.record
    }

    async fn open(&mut self, sky: &Sky) -> Option<Wire> {
        let node = sky.node(&mut self.dice)?;
        let mut target = format!("/ws/rooms/{}?token={}", self.room, self.token);
        let mut headers = vec![];
        if self.modern {
            target += &format!("&since={}", self.position);
            headers.push(("Sec-WebSocket-Protocol", "outrigger.v1"));
        }
        match Wire::open(node, &handshake(&target, &headers)).await {
            Ok(wire) => Some(wire),
            Err(None | Some(503)) => None,
            Err(Some(status)) => panic!("the handshake was answered with {status}"),
        }
    }

    /// Reads until something ends it. Whether the last word was heard.
    async fn sit(&mut self, mut wire: Wire, sky: &Sky) -> bool {
        let way = self.way();
        let leaves_at = Instant::now() + self.dice.millis(200..8000);
        loop {
            tokio::select! {
                frame = wire.frame() => {
                    let Some(frame) = frame else { return false };
                    if self.take(frame, &mut wire, sky).await {
                        return true;
                    }
                }
                () = sleep_until(leaves_at), if !sky.is_calm() => {
                    self.leave(way, wire, sky).await;
                    return false;
                }
                () = sleep(Duration::from_secs(1)), if sky.is_over() => return false,
            }
        }
    }

    fn way(&mut self) -> Way {
        match self.dice.within(0..10) {
            0..5 => Way::Reset,
            5..8 => Way::HalfOpen,
            // Whoever says goodbye is not expected back: only those who say where they were.
            8..9 if self.modern => Way::Close,
            _ => Way::Vanish,
        }
    }

    async fn leave(&mut self, way: Way, wire: Wire, sky: &Sky) {
        let sitting = self.record.sittings.last_mut().unwrap();
        sitting.ended = Some(sky.now());
        sitting.way = way;
        match way {
            Way::Ended | Way::Vanish => drop(wire),
            Way::Reset => wire.reset(),
            Way::Close => wire.close().await,
            Way::HalfOpen => sky.leave_open(async move {
                sleep(FORGOTTEN).await;
                wire.reset();
            }),
        }
    }

    async fn take(&mut self, frame: Frame, wire: &mut Wire, sky: &Sky) -> bool {
        let record = &mut self.record;
        match frame {
            Frame::Text(text) => {
                if self.modern {
                    record.told_lost += usize::from(text.contains("\"history_lost\""));
                    self.position = part(&text, "\"position\":\"", '"').unwrap().to_owned();
                }
                let Some(n) = part(&text, "\"n\":", '}') else {
                    return false;
                };
                let heard = Heard {
                    n: n.parse().unwrap(),
                    sitting: record.sittings.len() - 1,
                    at: sky.now(),
                };
                record.heard.push(heard);
                sky.is_last(heard.n)
            }
            Frame::Ping(payload) => {
                wire.pong(&payload).await;
                let sitting = record.sittings.last_mut().unwrap();
                sitting.pongs.push((record.heard.len(), sky.now()));
                false
            }
            Frame::Close(code) => {
                record.closed.push(code);
                false
            }
        }
    }
}

/// What stands between a beginning and an end.
fn part<'a>(text: &'a str, begin: &str, end: char) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split(end).next()
}
