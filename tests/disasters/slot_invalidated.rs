//! Postgres gives a slot up, since it would keep more WAL than `max_slot_wal_keep_size`.

use crate::end;
use crate::harness::{Postgres, Service, eventually};

const SETTINGS: [(&str, &str); 3] = [("max_slot_wal_keep_size", "1MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")];

/// Writes until the slot is lost.
async fn lose(postgres: &Postgres, slot: &str) {
    let lost = format!("SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be lost", async || {
        for statement in ["INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 5000)", "SELECT pg_switch_wal()", "CHECKPOINT"] {
            postgres.execute(statement).await;
        }
        (postgres.text(&lost).await? == "true").then_some(())
    })
    .await;
}

async fn setup() -> (Postgres, Service, String) {
    let postgres = Postgres::with_settings(&SETTINGS).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    (postgres, service, slot)
}

#[tokio::test]
async fn it_is_refused_with_what_to_do() {
    let (postgres, service, slot) = setup().await;
    lose(&postgres, &slot).await;
    let gone = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(gone.refusal(), (410, String::from("slot_lost")));
    assert_eq!(service.show(&slot).await["walStatus"], "lost");
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    client.leave().await;
    end(service).await;
}

#[tokio::test]
async fn who_is_connected_and_acknowledges_nothing_is_told_and_not_kept_waiting() {
    let (postgres, service, slot) = setup().await;
    let client = service.stream(&slot).await;
    // It takes all that comes, and says nothing.
    let (closed, ()) = tokio::join!(client.closed(), lose(&postgres, &slot));
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("slot_lost: "), "{}", closed.reason);
    end(service).await;
}
