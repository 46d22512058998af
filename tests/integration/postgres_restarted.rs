//! Postgres restarts. It forgets what was confirmed; we do not.

use pgdeltastream::cluster::StopMode;

use crate::harness::{Postgres, Service, eventually};

async fn acknowledged_survives(mode: StopMode) {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, first) = client.inserted().await;
    client.acknowledge(&first).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    // Postgres has heard of the first, and forgets; whether our own table has it yet, is not waited for.
    let first = first.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == first).then_some(())).await;
    postgres.restart(mode).await;
    client.closed().await.assert_code(1013);

    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b", "and not a again");
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart() {
    acknowledged_survives(StopMode::Fast).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    acknowledged_survives(StopMode::Immediate).await;
}

#[tokio::test]
async fn a_slot_that_has_lost_its_wal_is_gone() {
    let postgres = Postgres::with_settings(&[("max_slot_wal_keep_size", "1MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let lost = format!("SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be lost", async || {
        for statement in ["INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 5000)", "SELECT pg_switch_wal()", "CHECKPOINT"] {
            postgres.execute(statement).await;
        }
        (postgres.text(&lost).await? == "true").then_some(())
    })
    .await;
    let gone = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(gone.refusal(), (410, String::from("slot_lost")));
    service.init().await;
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_is_ahead_of_its_server_starts_over() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    let slot = service.init().await;
    postgres.execute("UPDATE pgdeltastream.stream SET acked_lsn = '7FFFFFFF/0'").await;
    let gone = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(gone.refusal(), (410, String::from("position_ahead")));
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_up_a_server_that_stops() {
    let mut postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (filling text)").await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    // More than all buffers between Postgres and the client can take.
    for _ in 0..40 {
        postgres.execute("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 2000)").await;
    }
    postgres.restart(StopMode::Fast).await;
    client.closed().await.assert_code(1013);
    service.stop().await;
}
