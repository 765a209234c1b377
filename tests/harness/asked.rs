//! A request on its way: an app that is yet to answer, a client that waits, and Outrigger
//! between them as a plain proxy.

use super::{App, Client, Connection, Outrigger};

/// Both sides of a request that was sent.
pub async fn asked(request: &str) -> (Outrigger, App, Client, Connection) {
    asked_with("", request).await
}

/// The same with more lines in the config.
pub async fn asked_with(config: &str, request: &str) -> (Outrigger, App, Client, Connection) {
    let app = App::start().await;
    let outrigger = Outrigger::start(&(app.config() + config)).await;
    let mut client = outrigger.connect().await;
    client.send(request).await;
    let connection = app.accept().await;
    (outrigger, app, client, connection)
}
