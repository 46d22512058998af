//! Warnings of Postgres in the middle of a stream.

use crate::harness::start;

#[tokio::test]
async fn an_update_without_replica_identity_is_logged_once_and_the_stream_goes_on() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE nameless (name text); CREATE TABLE t (name text); INSERT INTO nameless VALUES ('x')").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    for _ in 0..3 {
        postgres.execute("BEGIN; INSERT INTO t VALUES ('a'); UPDATE nameless SET name = 'y'; INSERT INTO t VALUES ('b'); COMMIT").await;
        let (changes, _) = client.transaction().await;
        assert_eq!(changes.iter().map(crate::harness::named).collect::<Vec<_>>(), ["a", "b"]);
    }
    let warning = service.logged("are left out").await;
    assert!(warning.contains("WARN") && warning.contains("nameless") && warning.contains(&slot), "{warning}");
    service.stop().await;
}
