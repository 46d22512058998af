//! The server has no connection left for the service.

use sqlx::PgConnection;

use crate::end;
use crate::harness::{Postgres, Service, eventually};

#[tokio::test]
async fn it_is_said_and_waited_for() {
    let settings = [("max_connections", "12"), ("superuser_reserved_connections", "3")];
    let postgres = Postgres::with_settings(&settings).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO app; CREATE TABLE t (name text)").await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    // Those of the service are ended again and again, until others have all the places.
    let greedy = postgres.options.clone().username("app");
    let mut others: Vec<PgConnection> = vec![];
    eventually("all connections to be taken", async || {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%' AND backend_type = 'client backend'";
        postgres.execute(end).await;
        while let Ok(connection) = <PgConnection as sqlx::Connection>::connect_with(&greedy).await {
            others.push(connection);
        }
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%' AND backend_type = 'client backend'";
        (postgres.text(ours).await? == "0").then_some(())
    })
    .await;
    let refused = service.get("/readyz").await;
    assert_eq!(refused.refusal(), (503, String::from("postgres_unavailable")));
    let refused = service.get("/v1/init").await;
    assert_eq!(refused.refusal(), (503, String::from("postgres_unavailable")));
    // A stream has a process of another kind, and goes on.
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    // If that is lost too, it is taken up again once there is a place to ask whose it is.
    postgres.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active").await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    service.logged("trying again").await;
    assert_eq!(service.get("/readyz").await.status, 503);
    drop(others);
    assert_eq!(client.inserted().await.0, "b");
    eventually("the service to be ready", async || (service.get("/readyz").await.status == 200).then_some(())).await;
    client.leave().await;
    end(service).await;
}
