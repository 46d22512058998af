//! How a snapshot ends, and what is said of it then.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Postgres, Service, eventually, start};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)";

async fn anchors(postgres: &Postgres) -> String {
    postgres.text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream anchor %'").await.unwrap()
}

/// That the snapshot of `s` cannot be read, and why.
async fn is_gone(service: &Service, state: &str, why: &str) {
    assert_eq!(service.show("s").await["snapshot"], json!({"state": state, "expiresAt": null, "xminAge": null}));
    let refused: Answer = service.data(json!({"slotName": "s", "table": "t"})).await;
    assert_eq!(refused.refusal(), (410, String::from("snapshot_gone")));
    assert!(refused.json()["detail"].as_str().unwrap().contains(why), "{}", refused.text);
}

#[tokio::test]
async fn one_that_is_let_go_frees_vacuum() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    service.create(json!({"name": "s"})).await;
    for name in ["a", "b", "c"] {
        postgres.execute(&format!("CREATE TABLE {name} ()")).await;
    }
    let snapshot = service.show("s").await["snapshot"].clone();
    assert!(snapshot["state"] == "ready" && snapshot["xminAge"].as_i64().unwrap() >= 3 && snapshot["expiresAt"].is_string(), "{snapshot}");
    assert_eq!(service.delete("/v1/snapshot?slotName=s").await.status, 204);
    assert_eq!(anchors(&postgres).await, "0");
    is_gone(&service, "released", "let go").await;
    assert_eq!(service.delete("/v1/snapshot?slotName=s").await.status, 204, "it is still gone");
    service.init().await;
    assert_eq!(service.delete("/v1/snapshot").await.status, 204, "that of /v1/init");
    assert_eq!(service.delete("/v1/snapshot?slotName=none").await.refusal(), (404, String::from("no_such_stream")));
    assert_eq!(service.delete("/v1/snapshot?slot=s").await.refusal(), (400, String::from("invalid_request")));
    service.stream("s").await.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn one_that_nobody_reads_expires() {
    let postgres = Postgres::start().await;
    postgres.execute(TABLE).await;
    let service = Service::start_in(&postgres, &[("SNAPSHOT_TTL", "1")]).await;
    service.create(json!({"name": "s"})).await;
    let rows = async || service.data(json!({"slotName": "s", "table": "t"})).await.status;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(rows().await, 200, "it is read again and again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eventually("the end", async || (service.show("s").await["snapshot"]["state"] == "expired").then_some(())).await;
    is_gone(&service, "expired", "SNAPSHOT_TTL").await;
    eventually("the anchor to go", async || (anchors(&postgres).await == "0").then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn reading_keeps_it_and_its_greatest_age_ends_the_reading() {
    let postgres = Postgres::start().await;
    // Much more than fits between the server and a client that takes nothing.
    postgres
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, filler text); INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i",
        )
        .await;
    let service = Service::start_in(&postgres, &[("SNAPSHOT_TTL", "1"), ("SNAPSHOT_MAX_AGE", "4")]).await;
    service.create(json!({"name": "s"})).await;
    let body = json!({"slotName": "s", "table": "t"}).to_string();
    let mut response = reqwest::Client::new().post(service.url("/v1/snapshot/data")).body(body).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(service.show("s").await["snapshot"]["state"], "ready", "somebody reads it");
    eventually("the end", async || (service.show("s").await["snapshot"]["state"] == "expired").then_some(())).await;
    is_gone(&service, "expired", "SNAPSHOT_MAX_AGE").await;
    let rest = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(rest.await.is_err(), "what is not whole does not end as if it were");
    eventually("the reader to go", async || {
        let readers =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgdeltastream snapshot' AND backend_xmin IS NOT NULL";
        (postgres.text(readers).await.unwrap() == "0").then_some(())
    })
    .await;
    service.stop().await;
}

#[tokio::test]
async fn one_whose_connection_is_cut_is_lost() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    for ask in ["show", "read"] {
        service.create(json!({"name": "s"})).await;
        postgres
            .execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream anchor %'")
            .await;
        if ask == "read" {
            assert_eq!(service.data(json!({"slotName": "s", "table": "t"})).await.refusal(), (410, String::from("snapshot_gone")));
        }
        is_gone(&service, "lost", "its connection").await;
        assert_eq!(service.delete("/v1/streams/s").await.status, 204);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_stream_can_do_without() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let stream = service.create(json!({"name": "s", "snapshot": false})).await;
    assert_eq!(stream["snapshot"]["state"], "none");
    assert_eq!(anchors(&postgres).await, "0");
    is_gone(&service, "none", "never").await;
    service.stop().await;
}

#[tokio::test]
async fn many_read_one_snapshot_at_once_while_it_streams() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    service.create(json!({"name": "s"})).await;
    let mut client = service.stream("s").await;
    postgres
        .execute("CREATE TABLE told (name text); INSERT INTO t VALUES (11); DELETE FROM t WHERE id < 5; INSERT INTO told VALUES ('x')")
        .await;
    let readers = (0..40).map(|_| service.rows(json!({"slotName": "s", "table": "t"})));
    let expected: Vec<Value> = (1..=10).map(|id| json!({ "id": id })).collect();
    for rows in futures_util::future::join_all(readers).await {
        assert_eq!(rows, expected);
    }
    assert_eq!(client.transaction().await.0.len(), 6);
    service.stop().await;
}

#[tokio::test]
async fn one_is_let_go_through_any_instance_and_no_other_with_it() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let other = Service::start(&postgres).await;
    // As long as names may be, and the same up to the last letter.
    let [one, two] = ["1", "2"].map(|last| "s".repeat(62) + last);
    for name in [&one, &two] {
        service.create(json!({"name": name})).await;
    }
    assert_eq!(other.delete(&format!("/v1/snapshot?slotName={one}")).await.status, 204);
    eventually("the anchor to go", async || (anchors(&postgres).await == "1").then_some(())).await;
    let refused = service.data(json!({"slotName": one, "table": "t"})).await;
    assert_eq!(refused.refusal(), (410, String::from("snapshot_gone")));
    assert_eq!(service.delete(&format!("/v1/streams/{one}")).await.status, 204);
    assert_eq!(service.rows(json!({"slotName": two, "table": "t"})).await.len(), 10);
    service.stop().await;
    other.stop().await;
}
