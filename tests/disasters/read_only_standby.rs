//! The service is led to a standby, or to a server that is read-only by default.

use crate::end;
use crate::harness::{Postgres, Proxy, Service};

#[tokio::test]
async fn it_says_so_and_does_not_start() {
    let postgres = Postgres::with_settings(&[]).await;
    let primary = postgres.cluster.as_ref().unwrap();
    let standby = primary.standby(primary.port()).unwrap();
    let options = postgres.options.clone().port(standby.port());
    let (code, said) = Service::fail_to_start(&options, &[]).await;
    assert_eq!(code, 1);
    assert!(said.contains("it is a read-only standby: connect to the primary"), "{said}");
}

#[tokio::test]
async fn who_is_led_to_one_later_waits_for_the_primary() {
    let postgres = Postgres::with_settings(&[]).await;
    let primary = postgres.cluster.as_ref().unwrap();
    let standby = primary.standby(primary.port()).unwrap();
    let proxy = Proxy::to_cluster(primary).await;
    let service = Service::start_with(&postgres, &["--pgHost", "127.0.0.1", "--pgPort", &proxy.port().to_string()]).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    proxy.lead_to(format!("127.0.0.1:{}", standby.port()));
    proxy.cut();
    service.logged("Postgres is a standby").await;
    let refused = service.get("/readyz").await;
    assert_eq!(refused.refusal(), (503, String::from("postgres_unavailable")));
    let refused = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_ne!(refused.status, 410, "which would be final: {}", refused.text);
    proxy.lead_to(format!("127.0.0.1:{}", primary.port()));
    proxy.cut();
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    client.leave().await;
    end(service).await;
}

#[tokio::test]
async fn a_database_that_is_read_only_by_default_is_served() {
    let postgres = Postgres::with_settings(&[("default_transaction_read_only", "on")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("BEGIN READ WRITE; CREATE TABLE t (name text); COMMIT").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("BEGIN READ WRITE; INSERT INTO t VALUES ('a'); COMMIT").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    crate::harness::eventually("the position to be kept", async || {
        (postgres.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
    })
    .await;
    client.leave().await;
    end(service).await;
}
