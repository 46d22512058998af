//! Postgres goes away and comes back. It forgets what was confirmed; we do not, and whoever is connected sees neither a gap nor a repetition.

use pgdeltastream::cluster::StopMode;
use serde_json::Value;

use crate::harness::{Client, Postgres, Service, eventually};

/// All rows of a transaction, however many messages it comes in.
async fn rows(client: &mut Client, format: &str, count: usize) -> Vec<u64> {
    let id = |change: &Value| match format {
        "events" => change["new"]["id"].as_u64().unwrap(),
        "wal2json-v2" => change["columns"][0]["value"].as_u64().unwrap(),
        _ => change["columnvalues"][0].as_u64().unwrap(),
    };
    let mut rows = vec![];
    while rows.len() < count {
        let message = client.next().await;
        match format {
            "events" => rows.extend(message["events"].as_array().unwrap().iter().map(id)),
            "wal2json-v2" => rows.extend(Some(&message).filter(|record| record["action"] == "I").map(id)),
            _ => rows.extend(message["change"].as_array().unwrap().iter().map(id)),
        }
    }
    rows
}

async fn nobody_notices(mode: StopMode) {
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
    for name in ["c", "d"] {
        postgres.restart(mode).await;
        postgres.execute(&format!("INSERT INTO t VALUES ('{name}')")).await;
        assert_eq!(client.inserted().await.0, name, "and neither a nor b again");
    }
    client.leave().await;

    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b", "and not a again");
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_client_does_not_notice_a_restart() {
    nobody_notices(StopMode::Fast).await;
}

#[tokio::test]
async fn a_client_does_not_notice_a_crash() {
    nobody_notices(StopMode::Immediate).await;
}

#[tokio::test]
async fn who_is_away_for_too_long_is_waited_for_no_longer() {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start_with(&postgres, &["--pgGrace", "0"]).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    postgres.restart(StopMode::Fast).await;
    client.closed().await.assert_code(1013);
    let client = service.stream(&slot).await;
    postgres.stop(StopMode::Fast).await;
    client.closed().await.assert_code(1013);
    service.stop().await;
}

/// The client has taken the first parts of a long transaction when Postgres goes, and takes the others when it is back.
async fn in_the_middle_of_a_transaction(format: &str) {
    const ROWS: usize = 20_000;
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "20000"]).await;
    postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY, filling text)").await;
    let slot = service.init().await;
    let mut client = service.stream_with(&slot, &[("format", format)]).await.unwrap();
    postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, {ROWS}) n")).await;
    let mut seen = rows(&mut client, format, 100).await;
    for mode in [StopMode::Immediate, StopMode::Fast] {
        postgres.restart(mode).await;
        seen.extend(rows(&mut client, format, 5_000).await);
    }
    seen.extend(rows(&mut client, format, ROWS - seen.len()).await);
    let expected: Vec<u64> = (1..=ROWS as u64).collect();
    assert!(seen == expected, "{} rows of {ROWS}", seen.len());
    // What comes then is the next one, or its own end.
    postgres.execute("INSERT INTO t VALUES (0)").await;
    assert_eq!(rows(&mut client, format, 1).await, [0]);
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_transaction_goes_on_where_it_was() {
    in_the_middle_of_a_transaction("wal2json-v1").await;
}

#[tokio::test]
async fn records_go_on_where_they_were() {
    in_the_middle_of_a_transaction("wal2json-v2").await;
}

#[tokio::test]
async fn events_go_on_where_they_were() {
    in_the_middle_of_a_transaction("events").await;
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
    const ROWS: usize = 80_000;
    let mut postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY, filling text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    // More than all buffers between Postgres and the client can take.
    for start in (1..=ROWS).step_by(2_000) {
        postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series({start}, {start} + 1999) n")).await;
    }
    postgres.restart(StopMode::Fast).await;
    let expected: Vec<u64> = (1..=ROWS as u64).collect();
    assert!(rows(&mut client, "wal2json-v1", ROWS).await == expected);
    client.leave().await;
    service.stop().await;
}
