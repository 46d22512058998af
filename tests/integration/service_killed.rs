//! The service dies, or is told to stop, and another takes its place.

use crate::harness::{Service, start};

#[tokio::test]
async fn after_sigkill_the_next_one_goes_on_after_the_last_acknowledgement() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    let (_, first) = client.inserted().await;
    client.inserted().await;
    client.acknowledge(&first).await;
    let first = first.parse().unwrap();
    crate::harness::eventually("the confirmation", async || (postgres.confirmed(&slot).await == first).then_some(())).await;
    service.kill().await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;

    let service = Service::start(&postgres).await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b");
    assert_eq!(client.inserted().await.0, "c");
    let answer = service.data(serde_json::json!({"slotName": slot, "table": "t", "offset": 0, "limit": 1})).await;
    assert_eq!(answer.refusal(), (410, String::from("snapshot_gone")), "the snapshot died with its service");
    service.init().await;
    client.closed().await.assert_code(4410);
    assert_eq!(postgres.slots().await.len(), 1, "the stream of the dead service is replaced like any other");
    service.stop().await;
}

#[tokio::test]
async fn a_stop_confirms_the_last_acknowledgement_and_closes_with_1001() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    client.send("to be answered after the acknowledgement").await;
    client.next().await;
    service.terminate().await;
    client.closed().await.assert_code(1001);
    service.ended().await;
    assert_eq!(postgres.confirmed(&slot).await, position.parse().unwrap());
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%' AND datname = current_database()";
    crate::harness::eventually("all connections to be given back", async || (postgres.text(connections).await? == "0").then_some(())).await;
}
