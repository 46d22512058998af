//! A transaction that writes is open while a slot is to be made: Postgres would wait for it, for ever if need be.

use sqlx::{Connection, Executor};

use crate::harness::{Postgres, Service, eventually};

#[tokio::test]
async fn the_transaction_is_named_and_no_slot_is_left() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    let former = service.init().await;
    let mut connection = postgres.connection().await;
    connection.execute("SET application_name = 'nightly batch'").await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE TABLE held (x integer)").await.unwrap();

    let answer = service.get("/v1/init").await;
    assert_eq!(answer.refusal(), (409, String::from("blocked_by_transaction")));
    assert!(answer.headers.contains_key("retry-after"));
    let problem = answer.json();
    assert_eq!((&problem["blocker"]["pid"], &problem["blocker"]["application"]), (&pid.into(), &"nightly batch".into()));
    assert!(problem["error"].as_str().unwrap().contains(&format!("process {pid} (application \"nightly batch\")")), "{problem}");
    assert_eq!(postgres.slots().await, std::slice::from_ref(&former), "what was there before stays");
    let rows = "SELECT string_agg(slot_name || ' ' || state, ',') FROM pgdeltastream.stream";
    assert_eq!(postgres.text(rows).await, Some(format!("{former} ready")));
    assert_eq!(
        service.data(serde_json::json!({"table": "nothing"})).await.refusal().1,
        "no_such_table",
        "its snapshot is still the one that is meant"
    );

    transaction.rollback().await.unwrap();
    let next = service.init().await;
    eventually("the former to go", async || (postgres.slots().await == [next.clone()]).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn a_prepared_transaction_is_named_too() {
    let postgres = Postgres::with_settings(&[("max_prepared_transactions", "2")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("BEGIN; CREATE TABLE held (x integer); PREPARE TRANSACTION 'forgotten'").await;
    let answer = service.get("/v1/init").await;
    assert_eq!(answer.refusal(), (409, String::from("blocked_by_transaction")));
    assert!(answer.text.contains("prepared transaction forgotten"), "{}", answer.text);
    postgres.execute("ROLLBACK PREPARED 'forgotten'").await;
    service.init().await;
    service.stop().await;
}

#[tokio::test]
async fn without_a_registry_the_former_stream_is_not_forgotten_either() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION").await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    service.init().await;
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE TABLE held (x integer)").await.unwrap();
    assert_eq!(service.get("/v1/init").await.refusal().0, 409);
    transaction.rollback().await.unwrap();
    let last = service.init().await;
    assert_eq!(postgres.slots().await, [last]);
    service.stop().await;
}

#[tokio::test]
async fn a_stream_whose_name_nobody_was_told_is_not_left_behind() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE TABLE held (x integer)").await.unwrap();
    let calling = reqwest::Client::new().post(service.url("/v1/streams")).body("{}").timeout(std::time::Duration::from_secs(1));
    assert!(calling.send().await.unwrap_err().is_timeout());
    assert_eq!(postgres.slots().await.len(), 1, "it is being made");
    transaction.rollback().await.unwrap();
    service.logged("stream made").await;
    eventually("it to be removed", async || postgres.slots().await.is_empty().then_some(())).await;
    assert_eq!(service.get("/v1/streams").await.json()["streams"], serde_json::json!([]));
    service.stop().await;
}
