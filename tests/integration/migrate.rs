//! Our tables made by another role, for a service that may make none.

use serde_json::json;

use crate::harness::{Postgres, Service};

/// As the README has them.
const GRANTS: &str = "
GRANT USAGE ON SCHEMA pgdeltastream TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON pgdeltastream.stream TO app;
GRANT SELECT ON pgdeltastream.migration TO app;";

#[tokio::test]
async fn another_role_makes_the_tables() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; CREATE TABLE t (name text); GRANT SELECT ON t TO app").await;
    let without = Service::start_with(&postgres, &["--user", "app"]).await;
    for answer in [without.get("/v1/streams").await, without.post("/v1/streams", "{}").await, without.delete("/v1/streams/s").await] {
        assert_eq!(answer.refusal(), (503, String::from("registry_missing")));
    }
    without.init().await;
    without.stop().await;
    Service::run_to_its_end(&postgres.options, &["migrate"]).await;
    Service::run_to_its_end(&postgres.options, &["migrate"]).await;
    let forbidden = Service::start_with(&postgres, &["--user", "app"]).await;
    forbidden.logged("permission denied").await;
    forbidden.stop().await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for grant in GRANTS.trim().lines() {
        assert!(readme.contains(&grant.replace(" TO app", " TO pgdeltastream")), "the README has {grant}");
    }
    postgres.execute(GRANTS).await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    service.create(json!({"name": "s", "tables": ["t"]})).await;
    let mut client = service.stream("s").await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (name, position) = client.inserted().await;
    assert_eq!(name, "a");
    client.acknowledge(&position).await;
    client.leave().await;
    assert_eq!(service.show("s").await["ackedLsn"], position.as_str());
    service.init().await;
    assert_eq!(service.delete("/v1/streams/s").await.status, 204);
    service.stop().await;
}

#[tokio::test]
async fn instances_that_start_at_once_make_them_once() {
    let postgres = Postgres::start().await;
    let services = futures_util::future::join_all((0..4).map(|_| Service::start(&postgres))).await;
    services[0].create(json!({"name": "s"})).await;
    for service in &services {
        assert_eq!(service.show("s").await["state"], "ready");
    }
    for service in services {
        service.stop().await;
    }
}
