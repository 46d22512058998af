//! One transaction of ten million rows.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::end;
use crate::harness::{Postgres, Service, eventually};

const ROWS: u64 = 10_000_000;

/// Until the first part comes, Postgres reads the whole transaction.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn it_comes_in_parts_and_in_bounded_memory() {
    let postgres = Postgres::with_settings(&[("max_wal_size", "8GB"), ("shared_buffers", "128MB"), ("autovacuum", "off")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (n integer)").await;
    let slot = service.init().await;
    let url = format!("{}?slotName={slot}&includeTypes=false&includeSchemas=false", service.url("/v1/lr/stream").replacen("http", "ws", 1));
    // Not the client of the other tests, which holds each message against its schema: that would take longer than all the rest.
    let (mut socket, _) = connect_async(url).await.unwrap();
    postgres.execute(&format!("INSERT INTO t SELECT generate_series(1, {ROWS})")).await;
    let (mut next, mut position) = (1, None);
    while position.is_none() {
        let Message::Text(text) = timeout(PATIENCE, socket.next()).await.expect("a message").unwrap().unwrap() else { continue };
        for row in text.split("\"columnvalues\":[").skip(1) {
            let value: u64 = row.split(']').next().unwrap().parse().unwrap();
            assert_eq!(value, next);
            next += 1;
        }
        position = text.strip_prefix("{\"nextlsn\":\"").map(|rest| rest.split('"').next().unwrap().to_owned());
        assert_eq!(position.is_some(), next > ROWS, "only the last part has a position");
    }
    let position = position.unwrap();
    socket.send(Message::text(json!({ "lsn": position }).to_string())).await.unwrap();
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    socket.close(None).await.unwrap();
    end(service).await;
}
