//! SIGTERM: told, door closed, sessions home, done.

use serde_json::json;
use tokio::{net::TcpStream, time::Instant};

use super::ENDPOINTS;
use crate::harness::{App, Stage, ok, until};

#[tokio::test]
async fn a_stop_goes_through_its_phases() {
    let stop = "[stop]\nnotice = \"1s\"\nspread = \"1s\"\ndeadline = \"15s\"\n";
    let mut stage = Stage::with(App::start().await, stop, ENDPOINTS).await;
    let mut sockets = Vec::new();
    for user in 0..30 {
        sockets.push(stage.open("/ws/news", user).await);
    }
    let mut held = stage.outrigger.connect().await;
    held.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut app = stage.app.accept().await;
    app.request().await;
    let mut idle = stage.outrigger.connect().await;
    stage.outrigger.signal("TERM").await;
    let told = || async { stage.outrigger.admin("/ready").await == (503, "draining\n".into()) };
    until("/ready to say that it is draining", told).await;
    // Everything still works: the balancer has yet to notice.
    stage.tell("news", "news", &json!("still here")).await;
    for socket in &mut sockets {
        assert_eq!(socket.text().await, "\"still here\"");
    }
    assert_eq!(stage.outrigger.admin("/live").await.0, 200);
    let mut moments = Vec::new();
    let began = Instant::now();
    for socket in &mut sockets {
        let closed = socket.closed().await;
        assert_eq!((closed.code, &*closed.reason), (1012, "service restart"));
        moments.push(began.elapsed().as_millis() / 50);
    }
    moments.dedup();
    assert!(moments.len() > 2, "all at once: {moments:?}");
    assert!(
        TcpStream::connect(stage.outrigger.addr()).await.is_err(),
        "the door is closed"
    );
    idle.end().await;
    assert_eq!(
        stage.outrigger.admin("/ready").await,
        (503, "sending sessions home\n".into())
    );
    app.send(ok("whole")).await;
    assert_eq!(held.response("GET").await.body, b"whole");
    let exit = stage.outrigger.exit().await;
    assert!(exit.success(), "{exit}");
    let home = |entry: &serde_json::Value| {
        entry["fields"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("Stop"))
    };
    let entries = stage.outrigger.logs().entries();
    let said: Vec<_> = entries.iter().filter(|entry| home(entry)).collect();
    assert_eq!(said.len(), 4, "{said:?}");
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let stop = "[stop]\nnotice = \"0s\"\nspread = \"100ms\"\ndeadline = \"1s\"\n";
    let mut stage = Stage::with(App::start().await, stop, ENDPOINTS).await;
    let mut held = stage.outrigger.connect().await;
    held.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut app = stage.app.accept().await;
    app.request().await;
    // A client that neither reads nor answers, on its socket.
    let _stuck = stage.open("/ws/news", 1).await;
    stage.outrigger.signal("TERM").await;
    let exit = stage.outrigger.exit().await;
    assert!(exit.success(), "{exit}");
    held.end().await;
    let cut = "Stopping: cutting what is left at the deadline";
    let line = stage.outrigger.logs().message(cut).await;
    assert_eq!(line["fields"]["connections"], 1, "{line}");
}
