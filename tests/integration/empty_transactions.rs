//! Transactions with no change for the client are passed over in silence, unless they were asked for.

use serde_json::json;

use crate::harness::{Postgres, Service, eventually};

async fn setup() -> (Postgres, Service, String) {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    (postgres, service, slot)
}

#[tokio::test]
async fn they_are_not_sent_and_hold_nothing_back() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("CREATE TABLE other ()").await;
    let done = postgres.written().await;
    assert!(client.is_silent().await);
    eventually("the slot to advance", async || (postgres.confirmed(&slot).await >= done).then_some(())).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    service.stop().await;
}

#[tokio::test]
async fn whoever_asks_gets_them_and_owes_acknowledgements() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.try_stream(&format!("slotName={slot}&emptyTransactions=true")).await.unwrap();
    postgres.execute("CREATE TABLE other ()").await;
    let (changes, position) = client.transaction().await;
    assert_eq!(changes, Vec::<serde_json::Value>::new());
    client.leave().await;
    let mut client = service.try_stream(&format!("slotName={slot}&emptyTransactions=true")).await.unwrap();
    assert_eq!(client.next().await, json!({"nextlsn": position, "change": []}), "it was not acknowledged");
    client.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn our_own_tables_never_appear() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("UPDATE pgdeltastream.stream SET created_at = now(); INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    postgres.execute("BEGIN; UPDATE pgdeltastream.stream SET created_at = now(); INSERT INTO t VALUES ('b'); COMMIT").await;
    assert_eq!(client.inserted().await.0, "b");
    service.stop().await;
}
