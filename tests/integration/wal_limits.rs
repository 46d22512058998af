//! WAL that the server keeps for a stream: it is told, and what was asked for is done.

use serde_json::json;

use crate::harness::{Postgres, Service, eventually};

/// A stream whose client takes all and acknowledges nothing, and so much WAL that it is too much.
async fn setup(action: &str) -> (Postgres, Service) {
    let postgres = Postgres::with_settings(&[]).await;
    let limits = ["--walWarnBytes", "1000000", "--walLimitBytes", "5000000", "--walLimitAction", action];
    let service = Service::start_with(&postgres, &limits).await;
    postgres.execute("CREATE TABLE t (filling text)").await;
    service.create(json!({"name": "greedy"})).await;
    (postgres, service)
}

async fn write(postgres: &Postgres, megabytes: usize) {
    postgres.execute(&format!("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, {megabytes} * 1000)")).await;
}

#[tokio::test]
async fn a_warning_is_all_there_is_if_nothing_else_is_asked_for() {
    let (postgres, service) = setup("none").await;
    let client = service.stream("greedy").await;
    assert_eq!(service.show("greedy").await["walAlarm"], "none");
    write(&postgres, 2).await;
    service.logged("more than WAL_WARN_BYTES").await;
    assert_eq!(service.show("greedy").await["walAlarm"], "warning");
    write(&postgres, 4).await;
    service.logged("more than WAL_LIMIT_BYTES").await;
    assert_eq!(service.show("greedy").await["walAlarm"], "limit");
    assert_eq!(service.show("greedy").await["active"], true);
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_acknowledges_nothing_is_disconnected() {
    let (postgres, service) = setup("disconnect").await;
    let client = service.stream("greedy").await;
    write(&postgres, 6).await;
    let closed = client.closed().await;
    closed.assert_code(1013);
    assert!(closed.reason.starts_with("wal_limit: "), "{}", closed.reason);
    assert_eq!(postgres.slots().await, ["greedy"]);
    service.stop().await;
}

#[tokio::test]
async fn a_slot_is_dropped_before_the_disk_is_full_but_not_one_that_others_made() {
    let (postgres, service) = setup("drop").await;
    postgres.execute("SELECT pg_create_logical_replication_slot('theirs', 'wal2json')").await;
    let (client, other) = (service.stream("greedy").await, service.stream("theirs").await);
    write(&postgres, 6).await;
    let closed = client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.contains("WAL_LIMIT_BYTES"), "{}", closed.reason);
    other.closed().await.assert_code(1013);
    eventually("the slot to be dropped", async || (postgres.slots().await == ["theirs"]).then_some(())).await;
    let gone = service.try_stream("slotName=greedy").await.err().unwrap();
    assert_eq!(gone.refusal(), (410, String::from("stream_gone")));
    service.stop().await;
}

#[tokio::test]
async fn a_heartbeat_moves_the_slot_and_no_client_sees_it() {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let service = Service::start_with(&postgres, &["--heartbeatInterval", "1"]).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    for format in ["wal2json-v1", "wal2json-v2", "events"] {
        let slot = service.init().await;
        let mut client = service.stream_with(&slot, &[("format", format)]).await.unwrap();
        let before = postgres.confirmed(&slot).await;
        eventually("the slot to move", async || (postgres.confirmed(&slot).await.to_u64() > before.to_u64() + 200).then_some(())).await;
        postgres.execute("INSERT INTO t VALUES ('a')").await;
        let first = client.text().await;
        assert!(first.contains("\"a\"") || first.contains("\"action\":\"B\""), "{first}");
        client.leave().await;
    }
    service.stop().await;
}

#[tokio::test]
async fn who_comes_again_after_that_has_time_to_catch_up() {
    let (postgres, service) = setup("disconnect").await;
    for _ in 0..8 {
        write(&postgres, 1).await;
    }
    service.logged("more than WAL_LIMIT_BYTES").await;
    let mut client = service.stream("greedy").await;
    // It takes all there is and acknowledges half of it; twice as long as it takes to be looked at again.
    for _ in 0..3 {
        client.transaction().await;
    }
    let (_, position) = client.transaction().await;
    client.acknowledge(&position).await;
    assert!(tokio::time::timeout(std::time::Duration::from_secs(11), client.closed()).await.is_err());
    service.stop().await;
}

#[tokio::test]
async fn without_tables_of_our_own_it_is_said_that_nothing_is_watched() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION").await;
    let service = Service::start_with(&postgres, &["--user", "app", "--walLimitBytes", "1"]).await;
    service.logged("WAL_LIMIT_BYTES do nothing").await;
    service.stop().await;
}
