//! The network between the service and Postgres fails, or the server's process for a stream: whoever is connected sees neither a gap nor a repetition.

use std::time::Duration;

use pgdeltastream::cluster::StopMode;

use crate::harness::{Client, Postgres, Proxy, Service, eventually};

/// A service behind a proxy, with a stream that somebody follows; status updates come often.
async fn setup(arguments: &[&str]) -> (Postgres, Proxy, Service, String, Client) {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let proxy = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
    let port = proxy.port().to_string();
    let service = Service::start_with(&postgres, &[&["--pgHost", "127.0.0.1", "--pgPort", &port], arguments].concat()).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    (postgres, proxy, service, slot, client)
}

/// The process that streams a slot.
async fn streamer(postgres: &Postgres, slot: &str) -> Option<String> {
    postgres.text(&format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'")).await
}

async fn signal(pid: &str, signal: &str) {
    let status = tokio::process::Command::new("kill").args([signal, pid]).status().await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_cut_goes_unnoticed() {
    let (postgres, proxy, service, slot, mut client) = setup(&[]).await;
    for name in ["b", "c", "d"] {
        proxy.cut();
        postgres.execute(&format!("INSERT INTO t VALUES ('{name}')")).await;
        let (seen, position) = client.inserted().await;
        assert_eq!(seen, name);
        client.acknowledge(&position).await;
        let position = position.parse().unwrap();
        eventually("the confirmation over the new wire", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    }
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_network_that_stands_still_is_noticed_by_what_does_not_come() {
    let (postgres, proxy, service, _, mut client) = setup(&[]).await;
    proxy.stall();
    service.logged("nothing was heard of Postgres").await;
    assert_eq!(service.get("/readyz").await.status, 503);
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    proxy.heal();
    assert_eq!(client.inserted().await.0, "b");
    eventually("the service to be ready", async || (service.get("/readyz").await.status == 200).then_some(())).await;
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_process_that_stands_still_is_replaced() {
    let (postgres, _proxy, service, slot, mut client) = setup(&[]).await;
    let former = streamer(&postgres, &slot).await.unwrap();
    signal(&former, "-STOP").await;
    service.logged("nothing was heard of Postgres").await;
    signal(&former, "-CONT").await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    assert_ne!(streamer(&postgres, &slot).await.unwrap(), former);
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_process_that_is_ended_is_replaced() {
    let (postgres, _proxy, service, slot, mut client) = setup(&[]).await;
    for name in ["b", "c"] {
        let former = eventually("a process", async || streamer(&postgres, &slot).await).await;
        postgres.execute(&format!("SELECT pg_terminate_backend({former})")).await;
        postgres.execute(&format!("INSERT INTO t VALUES ('{name}')")).await;
        assert_eq!(client.inserted().await.0, name);
    }
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_dropped_slot_ends_the_stream_though_its_server_is_there() {
    let (postgres, _proxy, service, slot, client) = setup(&[]).await;
    let drop = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'SLOT' AND active;
                SELECT pg_drop_replication_slot('SLOT') FROM pg_replication_slots WHERE slot_name = 'SLOT' AND NOT active";
    eventually("the slot to be dropped", async || {
        let mut connection = postgres.connection().await;
        // The process may still be there.
        let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(drop.replace("SLOT", &slot))).execute(&mut connection).await;
        postgres.slots().await.is_empty().then_some(())
    })
    .await;
    let closed = client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("slot_missing: "), "{}", closed.reason);
    service.stop().await;
}

#[tokio::test]
async fn a_slot_that_another_program_took_is_waited_for() {
    let (postgres, proxy, service, slot, mut client) = setup(&[]).await;
    proxy.refuse();
    proxy.cut();
    eventually("the slot to be free", async || streamer(&postgres, &slot).await.is_none().then_some(())).await;
    let mut connection = postgres.connection().await;
    // It looks and confirms nothing. A process that reads a slot by SQL holds it for as long as it reads.
    let hold = format!("SELECT count(pg_sleep(0.5)) FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL)");
    sqlx::query(sqlx::AssertSqlSafe(hold)).execute(&mut connection).await.unwrap();
    proxy.heal();
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_come_back_in_time_closes_the_stream() {
    let (postgres, proxy, service, slot, client) = setup(&["--pgGrace", "2"]).await;
    proxy.refuse();
    proxy.cut();
    let began = tokio::time::Instant::now();
    client.closed().await.assert_code(1013);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    proxy.heal();
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "a", "which was not acknowledged");
    drop(postgres);
    drop(client);
    service.stop().await;
}

#[tokio::test]
async fn acknowledgements_by_call_count_while_postgres_is_away() {
    let (mut postgres, _proxy, service, slot, mut client) = setup(&[]).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    let (_, position) = client.inserted().await;
    postgres.stop(StopMode::Fast).await;
    assert_eq!(service.acknowledge(&slot, &position).await.status, 204, "what was sent need not be asked for");
    assert_eq!(service.acknowledge(&slot, "7FFFFFFF/0").await.refusal(), (503, String::from("postgres_unavailable")));
    postgres.start_again();
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn acknowledgements_count_while_postgres_is_away() {
    let (mut postgres, _proxy, service, slot, mut client) = setup(&[]).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    let (_, position) = client.inserted().await;
    postgres.stop(StopMode::Fast).await;
    client.acknowledge(&position).await;
    postgres.start_again();
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_not_waited_for_longer_because_the_client_owes_something() {
    let (_postgres, proxy, service, slot, client) = setup(&["--pgGrace", "2"]).await;
    client.leave().await;
    let mut client = service.stream_with(&slot, &[("maxUnacked", "1")]).await.unwrap();
    assert_eq!(client.inserted().await.0, "a");
    // The window is closed: nothing more is read.
    proxy.refuse();
    proxy.cut();
    client.closed().await.assert_code(1013);
    proxy.heal();
    service.stop().await;
}

#[tokio::test]
async fn a_connection_of_which_nobody_hears_any_more_is_given_up_with_the_process_at_its_end() {
    // The server would wait for ever, and keep the slot.
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "0")]).await;
    let proxy = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
    let service = Service::start_with(&postgres, &["--pgHost", "127.0.0.1", "--pgPort", &proxy.port().to_string()]).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    let former = streamer(&postgres, &slot).await.unwrap();
    proxy.hang();
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    assert_ne!(streamer(&postgres, &slot).await.unwrap(), former);
    client.leave().await;
    service.stop().await;
}
