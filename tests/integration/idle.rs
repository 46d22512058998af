//! Nothing happens in the database: nothing is written, and no WAL is held back.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Postgres, Service, eventually};

async fn setup() -> (Postgres, Service, String) {
    // A feedback each second, and no background writer's records in between.
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s"), ("autovacuum", "off"), ("checkpoint_timeout", "1h")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    postgres.execute("CREATE DATABASE elsewhere").await;
    let slot = service.init().await;
    (postgres, service, slot)
}

#[tokio::test]
async fn an_idle_service_writes_no_wal_however_many_streams_it_has() {
    let (postgres, service, slot) = setup().await;
    let mut clients = vec![service.stream(&slot).await];
    for number in 0..9 {
        postgres.execute(&format!("SELECT pg_create_logical_replication_slot('more_{number}', 'wal2json')")).await;
        clients.push(service.stream(&format!("more_{number}")).await);
    }
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    for client in &mut clients {
        let (_, position) = client.inserted().await;
        client.acknowledge(&position).await;
    }
    let kept = "SELECT count(*) FROM pgdeltastream.stream WHERE acked_lsn IS NOT NULL";
    eventually("the positions to be kept", async || (postgres.text(kept).await? == "10").then_some(())).await;
    let rows = "SELECT string_agg(xmin::text, ' ' ORDER BY slot_name) FROM pgdeltastream.stream";
    let (rows_before, before) = (postgres.text(rows).await, postgres.written().await);
    // Nothing is what is looked for, and that takes its time: four feedbacks of each stream.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(postgres.text(rows).await, rows_before);
    // Postgres itself logs which transactions are running, in some 50 bytes, as often as every 15 s.
    let written = postgres.written().await.to_u64() - before.to_u64();
    assert!(written < 150, "{written} bytes");
    drop(clients);
    service.stop().await;
}

#[tokio::test]
async fn the_slot_of_an_idle_database_advances_while_others_write() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.stream(&slot).await;
    let options = postgres.options.clone().database("elsewhere");
    let mut elsewhere = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE big AS SELECT repeat('x', 100) FROM generate_series(1, 10000)").execute(&mut elsewhere).await.unwrap();
    let written = postgres.written().await;
    eventually("the slot to advance", async || (postgres.confirmed(&slot).await >= written).then_some(())).await;
    assert!(client.is_silent().await);
    service.stop().await;
}

#[tokio::test]
async fn it_does_not_advance_while_something_is_in_flight() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    postgres.execute("CREATE TABLE other AS SELECT repeat('x', 100) FROM generate_series(1, 1000)").await;
    client.transaction().await;
    let before = postgres.confirmed(&slot).await;
    // Three feedbacks at least, each of which could have taken the position along.
    let feedbacks = postgres.text("SELECT reply_time FROM pg_stat_replication").await;
    let mut seen = vec![feedbacks];
    eventually("three feedbacks", async || {
        let latest = postgres.text("SELECT reply_time FROM pg_stat_replication").await;
        if seen.last() != Some(&latest) {
            seen.push(latest);
        }
        (seen.len() > 3).then_some(())
    })
    .await;
    assert_eq!(postgres.confirmed(&slot).await, before);
    client.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_its_stream() {
    let (postgres, service, slot) = setup().await;
    let mut client = service.stream(&slot).await;
    // wal_sender_timeout is 3 s: without feedback of ours, Postgres hangs up.
    tokio::time::sleep(Duration::from_secs(7)).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    service.stop().await;
}

#[tokio::test]
async fn the_slot_advances_while_only_what_its_stream_is_not_about_changes() {
    let (postgres, service, _) = setup().await;
    postgres.execute("CREATE TABLE other (id bigint PRIMARY KEY, filling text)").await;
    for (name, stream) in
        [("picked", json!({"name": "picked", "tables": ["t"]})), ("without", json!({"name": "without", "excludeTables": ["other"]}))]
    {
        service.create(stream).await;
        let mut client = service.stream(name).await;
        // Many short transactions, then a long one.
        for number in 0..20 {
            postgres.execute(&format!("INSERT INTO other VALUES ({number}, 'x')")).await;
        }
        postgres.execute("INSERT INTO other SELECT n, repeat('x', 100) FROM generate_series(100, 60000) n; DELETE FROM other").await;
        let written = postgres.written().await;
        eventually("the slot to advance", async || (postgres.confirmed(name).await >= written).then_some(())).await;
        assert!(client.is_silent().await);
        postgres.execute("INSERT INTO t VALUES ('a')").await;
        assert_eq!(client.inserted().await.0, "a");
        client.leave().await;
    }
    service.stop().await;
}
