//! Which node of a Cluster has a key.

use std::time::Duration;

use ::redis::{AsyncConnectionConfig, Client, RedisResult, Value, cmd};

/// To ask one node. Another is asked when it does not answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Host and port of the master that has the slot of a key, as a node of the Cluster
/// knows. No host: the node itself.
pub(super) async fn owner(node: &Client, key: &str) -> RedisResult<Option<(Option<String>, u16)>> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let mut connection = node
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut question = cmd("CLUSTER");
    question.arg("KEYSLOT").arg(key);
    let slot: i64 = question.query_async(&mut connection).await?;
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    let ranges: Vec<Vec<Value>> = question.query_async(&mut connection).await?;
    Ok(ranges.iter().find_map(|range| has(range, slot)))
}

/// The master of a range of slots, if the slot is among them.
fn has(range: &[Value], slot: i64) -> Option<(Option<String>, u16)> {
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = range
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else {
        return None;
    };
    let host = super::bytes(host).and_then(|host| std::str::from_utf8(host).ok());
    let host = host.filter(|host| !host.is_empty() && *host != "?");
    let port = u16::try_from(*port).ok()?;
    (*first..=*last)
        .contains(&slot)
        .then(|| (host.map(str::to_owned), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_with_the_slot_names_its_master() {
        let node = |host: &str, port| {
            let host = Value::BulkString(host.as_bytes().to_vec());
            Value::Array(vec![host, Value::Int(port), Value::Nil])
        };
        let range = [
            Value::Int(10),
            Value::Int(20),
            node("a", 7000),
            node("b", 7001),
        ];
        let a = Some((Some("a".to_owned()), 7000));
        assert_eq!(has(&range, 10), a);
        assert_eq!(has(&range, 20), a);
        assert_eq!(has(&range, 21), None);
        let itself = [Value::Int(0), Value::Int(9), node("", 7000)];
        assert_eq!(has(&itself, 5), Some((None, 7000)));
    }
}
