//! `/v1/init` again and again: one stream a database, whichever process made it, and nothing left over.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::harness::{Postgres, Service, eventually, start};

fn page(slot: Option<&str>) -> serde_json::Value {
    let mut body = json!({"table": "t", "offset": 0, "limit": 10});
    if let Some(slot) = slot {
        body["slotName"] = json!(slot);
    }
    body
}

#[tokio::test]
async fn a_reset_ends_the_stream_before_it() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let first = service.init().await;
    let client = service.stream(&first).await;
    postgres.execute("INSERT INTO t VALUES (2)").await;
    let second = service.init().await;
    assert_ne!(first, second);
    client.closed().await.assert_code(4410);
    assert_eq!(postgres.slots().await, std::slice::from_ref(&second));
    assert_eq!(service.data(page(Some(&first))).await.refusal().0, 410);
    assert_eq!(service.try_stream(&format!("slotName={first}")).await.err().unwrap().refusal(), (410, String::from("stream_gone")));
    assert_eq!(service.rows(page(None)).await, [json!({"id": 1}), json!({"id": 2})]);
    assert_eq!(service.rows(page(Some(&second))).await.len(), 2);
    service.stop().await;
}

#[tokio::test]
async fn post_does_the_same() {
    let (postgres, service) = start().await;
    let answer = service.post("/v1/init", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(postgres.slots().await, [answer.json()["slotName"].as_str().unwrap()]);
    service.stop().await;
}

#[tokio::test]
async fn of_many_at_once_each_gets_its_own_answer_and_the_last_wins() {
    let (postgres, service) = start().await;
    let mut slots = join_all((0..5).map(|_| service.init())).await;
    let left = postgres.slots().await;
    assert_eq!(left.len(), 1);
    assert!(slots.contains(&left[0]));
    slots.sort();
    slots.dedup();
    assert_eq!(slots.len(), 5);
    service.stop().await;
}

#[tokio::test]
async fn another_process_replaces_it_too() {
    let (postgres, service) = start().await;
    let other = Service::start(&postgres).await;
    let unseen = service.init().await;
    other.init().await;
    let anchors =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream anchor%' AND datname = current_database()";
    eventually("the anchor of the first to go", async || (postgres.text(anchors).await? == "1").then_some(())).await;
    assert_eq!(service.data(page(Some(&unseen))).await.refusal().0, 410);
    let first = service.init().await;
    let client = service.stream(&first).await;
    let second = other.init().await;
    client.closed().await.assert_code(4410);
    assert_eq!(postgres.slots().await, std::slice::from_ref(&second));
    for slot in [Some(first.as_str()), None] {
        assert_eq!(service.data(page(slot)).await.refusal().0, 410, "its snapshot died with it: {slot:?}");
    }
    eventually("the former anchor to go", async || (postgres.text(anchors).await? == "1").then_some(())).await;
    assert!(service.stream(&second).await.is_silent().await);
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn where_no_slot_is_free_the_former_makes_room_first() {
    let postgres = Postgres::with_settings(&[("max_replication_slots", "1")]).await;
    let service = Service::start(&postgres).await;
    service.init().await;
    let second = service.init().await;
    assert_eq!(postgres.slots().await, [second]);
    service.stop().await;
}

#[tokio::test]
async fn where_others_have_all_slots_it_says_so_and_leaves_theirs() {
    let postgres = Postgres::with_settings(&[("max_replication_slots", "1")]).await;
    postgres.execute("SELECT pg_create_logical_replication_slot('delta_theirs1', 'wal2json')").await;
    let service = Service::start(&postgres).await;
    service.logged("all 1 replication slots are taken").await;
    assert_eq!(service.get("/v1/init").await.refusal(), (429, String::from("too_many_streams")));
    assert_eq!(postgres.slots().await, ["delta_theirs1"]);
    assert_eq!(postgres.text("SELECT count(*) FROM pgdeltastream.stream").await.as_deref(), Some("0"));
    service.stop().await;
}

#[tokio::test]
async fn what_a_dead_instance_left_unfinished_is_cleared_away() {
    let (postgres, service) = start().await;
    let slot = service.init().await;
    service.kill().await;
    let suffix = postgres.options.get_database().unwrap_or_default();
    let (making, dropping) = (format!("making_{suffix}"), format!("dropping_{suffix}"));
    postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{making}', 'wal2json')")).await;
    let row = |name: &str, state: &str| {
        format!(
            "INSERT INTO pgdeltastream.stream (slot_name, kind, state, system_identifier, timeline, owner) VALUES ('{name}', 'init', '{state}', '1', 1, 'dead')"
        )
    };
    postgres.execute(&row(&making, "creating")).await;
    postgres.execute(&row(&dropping, "dropping")).await;
    let service = Service::start(&postgres).await;
    assert_eq!(postgres.slots().await, [slot]);
    assert_eq!(postgres.text("SELECT count(*) FROM pgdeltastream.stream").await.as_deref(), Some("1"));
    service.stop().await;
}

#[tokio::test]
async fn who_goes_away_in_the_middle_leaves_nothing_half_made() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE TABLE held ()").await.unwrap();
    let creating = "SELECT slot_name FROM pgdeltastream.stream WHERE state = 'creating'";
    tokio::select! {
        answer = service.get("/v1/init") => panic!("{answer:?}"),
        _ = eventually("the slot to be in the making", async || postgres.text(creating).await) => {}
    }
    transaction.commit().await.unwrap();
    let last = service.init().await;
    assert_eq!(postgres.slots().await, [last]);
    service.stop().await;
}

#[tokio::test]
async fn a_copy_of_the_database_leaves_the_slot_of_the_original_alone() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    service.stop().await;
    let elsewhere = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()";
    let mut template = PgConnection::connect_with(&postgres.options.clone().database("template1")).await.unwrap();
    postgres.close().await;
    eventually("the original to be left", async || {
        let count: i64 = sqlx::query_scalar(elsewhere).fetch_one(&mut template).await.unwrap();
        (count == 0).then_some(())
    })
    .await;
    template.execute("CREATE DATABASE staging TEMPLATE postgres").await.unwrap();
    let staging = Service::start_with(&postgres, &["--db", "staging"]).await;
    staging.init().await;
    staging.init().await;
    staging.stop().await;

    let service = Service::start(&postgres).await;
    let mut client = service.stream(&slot).await;
    let mut original = postgres.connection().await;
    original.execute("INSERT INTO t VALUES ('a')").await.unwrap();
    assert_eq!(client.inserted().await.0, "a");
    service.stop().await;
}
