//! A role that may replicate and nothing else: no tables of our own, one warning, and the inherited calls work.

use serde_json::json;

use crate::harness::{Postgres, Service};

#[tokio::test]
async fn it_works_and_says_what_is_missing() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; CREATE TABLE t (name text PRIMARY KEY); INSERT INTO t VALUES ('a'); CREATE TABLE secret (); GRANT SELECT ON t TO app").await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    let warning = service.logged("GRANT CREATE ON DATABASE").await;
    assert!(warning.contains(r#"GRANT CREATE ON DATABASE "postgres" TO "app""#), "{warning}");
    service.init().await;
    let slot = service.init().await;
    assert_eq!(postgres.slots().await, std::slice::from_ref(&slot));
    assert_eq!(service.rows(json!({"table": "t", "offset": 0, "limit": 5})).await, [json!({"name": "a"})]);
    let forbidden = service.data(json!({"table": "secret", "offset": 0, "limit": 5})).await;
    assert_eq!(forbidden.refusal(), (403, String::from("permission_denied")));
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    let (name, position) = client.inserted().await;
    assert_eq!(name, "b");
    client.acknowledge(&position).await;
    client.leave().await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;
    assert_eq!(service.stream(&slot).await.inserted().await.0, "c");
    service.stop().await;
}
