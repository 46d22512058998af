//! The service is told to stop: what was sent may still be acknowledged, and comes to Postgres.

use crate::harness::{Service, eventually, start};

#[tokio::test]
async fn acknowledgements_of_what_was_sent_are_waited_for() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    service.terminate().await;
    service.logged("shutting down").await;
    client.acknowledge(&position).await;
    client.closed().await.assert_code(1001);
    service.ended().await;
    assert_eq!(postgres.confirmed(&slot).await, position.parse().unwrap());
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%' AND datname = current_database()";
    eventually("all connections to be given back", async || (postgres.text(connections).await? == "0").then_some(())).await;
}

#[tokio::test]
async fn who_never_acknowledges_is_not_waited_for_long() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    client.inserted().await;
    let began = std::time::Instant::now();
    service.terminate().await;
    client.closed().await.assert_code(1001);
    service.ended().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_new_instance_takes_over_and_the_old_one_stays_away() {
    let (postgres, old) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = old.init().await;
    let mut client = old.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    let confirmed = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= confirmed).then_some(())).await;
    let new = Service::start(&postgres).await;
    let mut successor = new.stream(&slot).await;
    client.closed().await.assert_code(4409);
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(successor.inserted().await.0, "b", "and not a again");
    old.stop().await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;
    assert_eq!(successor.inserted().await.0, "c");
    successor.leave().await;
    new.stop().await;
}

#[tokio::test]
async fn who_acknowledges_by_calls_of_their_own_is_heard_to_the_end() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut events = service.events(&format!("slotName={slot}"), "").await.unwrap();
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(events.inserted().await, "a");
    let position = events.last_id.clone();
    service.terminate().await;
    service.logged("shutting down").await;
    assert_eq!(service.get("/readyz").await.refusal(), (503, String::from("shutting_down")));
    let refused = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(refused.refusal(), (503, String::from("shutting_down")));
    assert_eq!(service.acknowledge(&slot, &position).await.status, 204);
    events.closed().await.assert_code(1001);
    service.ended().await;
    assert_eq!(postgres.confirmed(&slot).await, position.parse().unwrap());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    client.inserted().await;
    service.terminate().await;
    // It waits for an acknowledgement now.
    service.logged("shutting down").await;
    service.terminate().await;
    assert_eq!(service.interrupted().await, 130);
}
