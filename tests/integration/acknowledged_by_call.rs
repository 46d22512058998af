//! `POST /v1/lr/ack`: acknowledgements without a connection to say them over.

use std::time::Duration;

use futures_util::future::join_all;
use pgdeltastream::lsn::Lsn;
use serde_json::json;

use crate::harness::{Postgres, Service, eventually, start};

/// A slot with three transactions that its client got and did not acknowledge: their positions.
async fn setup() -> (Postgres, Service, String, Vec<String>) {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id serial PRIMARY KEY, name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    let mut positions = vec![];
    for name in ["a", "b", "c"] {
        postgres.execute(&format!("INSERT INTO t (name) VALUES ('{name}')")).await;
        positions.push(client.inserted().await.1);
    }
    client.leave().await;
    (postgres, service, slot, positions)
}

fn lsn(position: &str) -> Lsn {
    position.parse().unwrap()
}

#[tokio::test]
async fn with_a_connection_it_counts_as_if_it_came_over_that() {
    let (postgres, service, slot, positions) = setup().await;
    let mut source = service.events(&format!("slotName={slot}"), "").await.unwrap();
    assert_eq!(source.inserted().await, "a");
    assert_eq!(source.inserted().await, "b");
    assert_eq!(service.acknowledge(&slot, &positions[0]).await.status, 204);
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == lsn(&positions[0])).then_some(())).await;
    assert_eq!(service.acknowledge(&slot, &positions[0].to_lowercase()).await.status, 204, "once more");
    assert_eq!(source.inserted().await, "c");

    let mut socket = service.stream(&slot).await;
    assert_eq!(socket.inserted().await.0, "b");
    assert_eq!(service.acknowledge(&slot, &positions[2]).await.status, 204);
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == lsn(&positions[2])).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn without_a_connection_postgres_knows_it_when_the_answer_comes() {
    let (postgres, service, slot, positions) = setup().await;
    assert_eq!(service.acknowledge(&slot, &positions[1]).await.status, 204);
    assert_eq!(postgres.confirmed(&slot).await, lsn(&positions[1]), "that, and nothing beyond it");
    assert_eq!(service.acknowledge(&slot, &positions[0]).await.status, 204, "lower than before");
    assert_eq!(postgres.confirmed(&slot).await, lsn(&positions[1]));
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "c");
    service.stop().await;
}

#[tokio::test]
async fn a_claim_outlives_the_service() {
    let (postgres, service, slot, positions) = setup().await;
    service.kill().await;
    let service = Service::start(&postgres).await;
    assert_eq!(service.acknowledge(&slot, &positions[0]).await.status, 204);
    service.kill().await;
    let service = Service::start(&postgres).await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b");
    service.stop().await;
}

#[tokio::test]
async fn messages_between_do_not_stand_for_what_was_passed() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    // More of them than may wait for a client.
    for statement in [
        "INSERT INTO t VALUES ('a')",
        "SELECT pg_logical_emit_message(false, 'p', 'x') FROM generate_series(1, 2000)",
        "INSERT INTO t VALUES ('b')",
    ] {
        postgres.execute(statement).await;
    }
    let position = postgres.written().await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;
    assert_eq!(service.acknowledge(&slot, &position.to_string()).await.status, 204);
    let mut client = service.try_stream(&format!("slotName={slot}&messages=false")).await.unwrap();
    assert_eq!(client.inserted().await.0, "c");
    service.stop().await;
}

#[tokio::test]
async fn inside_a_transaction_it_counts_for_those_wholly_before() {
    let (postgres, service, slot, positions) = setup().await;
    let inside = Lsn::from(lsn(&positions[1]).to_u64() - 1).to_string();
    assert_eq!(service.acknowledge(&slot, &inside).await.status, 204);
    assert_eq!(postgres.confirmed(&slot).await, lsn(&positions[0]));
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b", "as a whole");
    service.stop().await;
}

#[tokio::test]
async fn what_the_stream_is_not_about_is_passed_and_nothing_else() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text); CREATE TABLE other (name text)").await;
    let made = service.create(json!({"tables": ["t"]})).await;
    let slot = made["slotName"].as_str().unwrap();
    let before = postgres.confirmed(slot).await;
    postgres.execute("INSERT INTO other SELECT 'x' FROM generate_series(1, 1000)").await;
    let written = postgres.written().await;
    postgres.execute("INSERT INTO other VALUES ('x')").await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(service.acknowledge(slot, &written.to_string()).await.status, 204);
    assert!(postgres.confirmed(slot).await <= written);
    assert!(postgres.confirmed(slot).await > before);
    let mut client = service.stream(slot).await;
    assert_eq!(client.inserted().await.0, "a");
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let (postgres, service, slot, positions) = setup().await;
    let before = postgres.confirmed(&slot).await;
    let client = service.stream(&slot).await;
    for ahead in ["7FFFFFFF/0", "FFFFFFFF/FFFFFFFF"] {
        assert_eq!(service.acknowledge(&slot, ahead).await.refusal(), (400, String::from("lsn_ahead")), "with a connection");
    }
    client.leave().await;
    assert_eq!(service.acknowledge(&slot, "7FFFFFFF/0").await.refusal(), (400, String::from("lsn_ahead")), "without one");
    assert_eq!(service.acknowledge("nobody", &positions[0]).await.refusal(), (404, String::from("no_such_stream")));
    for body in
        ["", "{}", r#"{"lsn":"0/1"}"#, r#"{"slotName":"x"}"#, r#"{"slotName":"x","lsn":7}"#, r#"{"slotName":"x","lsn":"0/1","at":1}"#]
    {
        assert_eq!(service.post("/v1/lr/ack", body).await.refusal(), (400, String::from("invalid_request")), "{body}");
    }
    assert_eq!(postgres.confirmed(&slot).await, before);
    service.init().await;
    assert_eq!(service.acknowledge(&slot, &positions[0]).await.refusal(), (410, String::from("stream_gone")));
    service.stop().await;
}

#[tokio::test]
async fn it_takes_the_stream_from_nobody() {
    let (postgres, service, slot, positions) = setup().await;
    let other = Service::start(&postgres).await;
    let mut client = other.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "a");
    assert_eq!(service.acknowledge(&slot, &positions[0]).await.refusal(), (409, String::from("slot_in_use")));
    assert_eq!(client.inserted().await.0, "b");
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_a_connection_has_yet_to_pass_is_confirmed_as_soon_as_it_has() {
    let (postgres, service, slot, positions) = setup().await;
    let mut source = service.events(&format!("slotName={slot}"), &positions[1]).await.unwrap();
    assert_eq!(source.inserted().await, "c");
    let confirmed = eventually("the confirmation", async || (postgres.confirmed(&slot).await == lsn(&positions[1])).then_some(()));
    // Well before Postgres would hear of us anyway.
    tokio::time::timeout(Duration::from_secs(5), confirmed).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn many_calls_at_once_and_a_client_that_comes_between_get_along() {
    let (postgres, service, slot, positions) = setup().await;
    let calls = join_all((0..20).map(|n| service.acknowledge(&slot, &positions[n % 2])));
    let (answers, client) = futures_util::join!(calls, service.stream(&slot));
    assert!(answers.iter().all(|answer| answer.status == 204), "{answers:?}");
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == lsn(&positions[1])).then_some(())).await;
    client.leave().await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "c");
    service.stop().await;
}
