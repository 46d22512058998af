//! Two want one stream: the newest has it.

use std::process::Stdio;

use crate::harness::{Postgres, Service, eventually, start};

#[tokio::test]
async fn the_newest_connection_wins_and_the_older_is_closed_with_4409() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut first = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = first.inserted().await;
    first.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    let mut second = service.stream(&slot).await;
    first.closed().await.assert_code(4409);
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(second.inserted().await.0, "b");
    service.stop().await;
}

#[tokio::test]
async fn many_at_once_end_with_one() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let query = format!("slotName={slot}");
    let opened = futures_util::future::join_all((0..5).map(|_| service.try_stream(&query))).await;
    let (clients, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    let clients: Vec<_> = clients.into_iter().flatten().collect();
    assert!(refused.into_iter().filter_map(Result::err).all(|answer| answer.refusal() == (409, String::from("slot_in_use"))));
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let endings = clients.into_iter().map(async |mut client| client.try_inserted().await);
    let endings = futures_util::future::join_all(endings).await;
    assert_eq!(endings.iter().filter(|ending| ending.is_ok()).count(), 1, "{endings:?}");
    assert!(endings.iter().flat_map(|ending| ending.as_ref().err()).all(|closed| closed.code == 4409), "{endings:?}");
    service.stop().await;
}

#[tokio::test]
async fn another_instance_takes_over_and_the_former_does_not_take_it_back() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let first = service.stream(&slot).await;
    let other = Service::start(&postgres).await;
    let mut second = other.stream(&slot).await;
    first.closed().await.assert_code(4409);
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(second.inserted().await.0, "a");
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn instances_do_not_take_a_stream_from_each_other_for_ever() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let other = Service::start(&postgres).await;
    let first = service.stream(&slot).await;
    let second = other.stream(&slot).await;
    first.closed().await.assert_code(4409);
    let mut third = service.stream(&slot).await;
    second.closed().await.assert_code(4409);
    let refused = other.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(refused.refusal(), (409, String::from("slot_in_use")), "the third time within 10 s");
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(third.inserted().await.0, "a", "who has it keeps it");
    // Long ago, or on a clock that was set back since, it does not count.
    for at in ["now() - interval '11 s'", "now() + interval '1 day'"] {
        postgres.execute(&format!("UPDATE pgdeltastream.stream SET taken_over_at = ARRAY[{at}, {at}]")).await;
        let last = other.stream(&slot).await;
        last.leave().await;
        third = service.stream(&slot).await;
    }
    third.leave().await;
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_instance_that_fails_to_take_over_takes_nothing() {
    let mut postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO app; CREATE TABLE t (name text)").await;
    let weak = Service::start_with(&postgres, &["--user", "app"]).await;
    let strong = Service::start(&postgres).await;
    let slot = strong.init().await;
    let mut client = strong.stream(&slot).await;
    let refused = weak.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(refused.refusal(), (409, String::from("slot_in_use")));
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    eventually("the position to be kept", async || {
        (postgres.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
    })
    .await;
    // Who lost its wire asks whether the stream is still its own.
    postgres.restart(pgdeltastream::cluster::StopMode::Fast).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    client.leave().await;
    weak.stop().await;
    strong.stop().await;
}

#[tokio::test]
async fn a_process_that_holds_the_slot_is_ended() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let url = postgres.cluster.as_ref().unwrap().url("postgres");
    let mut holder = tokio::process::Command::new("pg_recvlogical");
    holder.args(["--dbname", &url, "--slot", &slot, "--start", "--no-loop", "--file", "/dev/null"]);
    let mut holder = holder.stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be held", async || (postgres.text(&active).await? == "true").then_some(())).await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    holder.wait().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_process_that_may_not_be_ended_is_named() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO app").await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    let slot = service.init().await;
    let url = postgres.cluster.as_ref().unwrap().url("postgres");
    let mut holder = tokio::process::Command::new("pg_recvlogical");
    holder.args(["--dbname", &url, "--slot", &slot, "--start", "--no-loop", "--file", "/dev/null"]);
    let _holder = holder.stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let pid = format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'");
    let pid = eventually("the slot to be held", async || postgres.text(&pid).await).await;
    let refused = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(refused.refusal(), (409, String::from("slot_in_use")));
    assert_eq!(refused.json()["blocker"]["pid"].to_string(), pid);
    service.stop().await;
}
