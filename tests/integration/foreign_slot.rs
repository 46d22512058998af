//! Slots that we did not make: streamed by name, and left alone.

use crate::harness::{Postgres, Service, start};

#[tokio::test]
async fn a_wal2json_slot_is_streamed_from_its_confirmed_position_and_survives_init() {
    let (postgres, service) = start().await;
    let theirs = format!("delta_upgraded_{}", std::process::id());
    postgres.execute("CREATE TABLE t (name text)").await;
    postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{theirs}', 'wal2json')")).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let mut client = service.stream(&theirs).await;
    let (name, position) = client.inserted().await;
    assert_eq!(name, "a");
    client.acknowledge(&position).await;
    let ours = service.init().await;
    let second = service.init().await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b", "the stream goes on");
    client.leave().await;
    let mut slots = postgres.slots().await;
    slots.retain(|slot| *slot != ours);
    let mut expected = vec![theirs.clone(), second];
    expected.sort();
    assert_eq!(slots, expected);
    let kind = postgres.text(&format!("SELECT kind || ' ' || acked_lsn FROM pgdeltastream.stream WHERE slot_name = '{theirs}'")).await;
    assert_eq!(kind, Some(format!("adopted {position}")));
    let no_snapshot = service.data(serde_json::json!({"slotName": theirs, "table": "t", "offset": 0, "limit": 1})).await;
    assert_eq!(no_snapshot.refusal(), (410, String::from("snapshot_gone")));
    service.stop().await;
}

#[tokio::test]
async fn slots_of_other_plugins_and_databases_are_no_streams() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres
        .execute(
            "SELECT pg_create_logical_replication_slot('pgoutput_slot', 'pgoutput'), pg_create_physical_replication_slot('physical_slot')",
        )
        .await;
    postgres.execute("CREATE DATABASE elsewhere").await;
    let options = postgres.options.clone().database("elsewhere");
    let mut elsewhere = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    sqlx::query("SELECT pg_create_logical_replication_slot('elsewhere_slot', 'wal2json')").execute(&mut elsewhere).await.unwrap();
    for slot in ["pgoutput_slot", "physical_slot", "elsewhere_slot"] {
        let refused = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
        assert_eq!(refused.refusal(), (404, String::from("no_such_stream")), "{slot}");
    }
    service.init().await;
    service.init().await;
    assert_eq!(postgres.text("SELECT count(*) FROM pg_replication_slots").await.as_deref(), Some("4"));
    service.stop().await;
}

#[tokio::test]
async fn a_slot_that_is_dropped_behind_our_back_ends_its_stream_with_4410() {
    let (postgres, service) = start().await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    let drop = format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}';
         DO $$ BEGIN LOOP
             BEGIN PERFORM pg_drop_replication_slot('{slot}'); RETURN; EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.001); END;
         END LOOP; END $$"
    );
    postgres.execute(&drop).await;
    client.closed().await.assert_code(4410);
    let gone = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(gone.refusal(), (410, String::from("stream_gone")));
    service.stop().await;
}
