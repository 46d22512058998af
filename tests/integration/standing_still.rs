//! A client takes nothing, or is gone without a word: what waits for it is bounded, Postgres is not kept waiting, and nothing is lost.

use std::time::Duration;

use crate::harness::{Client, Postgres, Proxy, Service, eventually};

/// More than all buffers between Postgres and a client can take.
const ROWS: u64 = 60_000;

async fn setup(arguments: &[&str]) -> (Postgres, Service, String) {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "2s")]).await;
    let service = Service::start_with(&postgres, arguments).await;
    postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY, filling text)").await;
    let slot = service.init().await;
    (postgres, service, slot)
}

async fn fill(postgres: &Postgres) {
    for start in (1..=ROWS).step_by(1_000) {
        postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series({start}, {start} + 999) n")).await;
    }
}

async fn sent(service: &Service, slot: &str) -> String {
    service.show(slot).await["sentLsn"].as_str().unwrap().to_owned()
}

/// How far the client was sent changes, once that rises no more.
async fn settled(service: &Service, slot: &str) -> String {
    let mut last = String::new();
    eventually("the service to stop sending", async || {
        let now = sent(service, slot).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let is_same = now == std::mem::replace(&mut last, now.clone());
        is_same.then_some(now)
    })
    .await
}

#[tokio::test]
async fn who_takes_nothing_costs_little_and_holds_up_nobody() {
    let (postgres, service, slot) = setup(&[]).await;
    let mut client = service.stream(&slot).await;
    fill(&postgres).await;
    let walsender = format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'");
    let process = postgres.text(&walsender).await;
    assert!(process.is_some());
    settled(&service, &slot).await;
    // Three times what the server would wait for somebody who says nothing.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(postgres.text(&walsender).await, process, "the server was not kept waiting");
    assert!(service.peak_memory() < 64 << 20, "{}", service.peak_memory());
    let mut seen = vec![];
    while (seen.len() as u64) < ROWS {
        seen.extend(client.transaction().await.0.iter().map(|change| change["columnvalues"][0].as_u64().unwrap()));
    }
    assert!(seen.into_iter().eq(1..=ROWS));
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn a_window_bounds_what_is_in_flight() {
    let (postgres, service, slot) = setup(&[]).await;
    let mut client = service.stream_with(&slot, &[("maxUnacked", "3")]).await.unwrap();
    for id in 1..=10 {
        postgres.execute(&format!("INSERT INTO t VALUES ({id})")).await;
    }
    let mut positions = vec![];
    for id in 1..=3 {
        let (changes, position) = client.transaction().await;
        assert_eq!(changes[0]["columnvalues"][0], id);
        positions.push(position);
    }
    assert!(client.is_silent().await);
    // Two at once make room for two.
    client.acknowledge(&positions[1]).await;
    for id in 4..=5 {
        let (changes, position) = client.transaction().await;
        assert_eq!(changes[0]["columnvalues"][0], id);
        positions.push(position);
    }
    assert!(client.is_silent().await);
    // A faulty frame is answered, however full the window is.
    client.send("nonsense").await;
    assert_eq!(client.next().await["code"], "invalid_frame");
    client.acknowledge(&positions[4]).await;
    assert_eq!(client.transaction().await.0[0]["columnvalues"][0], 6);
    client.leave().await;
    for window in ["0", "-1", "x", "65536"] {
        let refused = service.stream_with(&slot, &[("maxUnacked", window)]).await.err().unwrap();
        assert_eq!(refused.refusal(), (400, String::from("invalid_request")), "{window}");
    }
    service.stop().await;
}

#[tokio::test]
async fn who_is_gone_without_a_word_is_cut_off() {
    let (postgres, service, slot) = setup(&["--pingTimeout", "2"]).await;
    let address = service.url("").trim_start_matches("http://").to_owned();
    let proxy = Proxy::to(address).await;
    let _client = Client::connect(&format!("ws://127.0.0.1:{}/v1/lr/stream?slotName={slot}", proxy.port())).await.unwrap();
    proxy.stall();
    let free = format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be free", async || (postgres.text(&free).await? == "true").then_some(())).await;
    // Another one who answers pings stays.
    let mut client = service.stream(&slot).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), client.text()).await.is_err());
    postgres.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(client.transaction().await.0.len(), 1);
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn who_follows_events_and_takes_nothing_any_more_is_cut_off() {
    let (postgres, service, slot) = setup(&["--pingTimeout", "2"]).await;
    let _events = service.events(&format!("slotName={slot}"), "").await.unwrap();
    fill(&postgres).await;
    let free = format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be free", async || (postgres.text(&free).await? == "true").then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn who_is_slow_and_says_nothing_is_not_gone() {
    const LIMIT: Duration = Duration::from_secs(4);
    const ROWS: u64 = 20_000;
    let (postgres, service, slot) = setup(&["--pingTimeout", "4"]).await;
    let proxy = Proxy::to(service.url("").trim_start_matches("http://").to_owned()).await;
    let mut client = Client::connect(&format!("ws://127.0.0.1:{}/v1/lr/stream?slotName={slot}", proxy.port())).await.unwrap();
    // Pings wait behind all that, and so do their answers.
    proxy.slow(1_000_000);
    for start in (1..=ROWS).step_by(1_000) {
        postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series({start}, {start} + 999) n")).await;
    }
    let (began, mut next) = (std::time::Instant::now(), 1);
    while next <= ROWS {
        for change in client.transaction().await.0 {
            assert_eq!(change["columnvalues"][0], next);
            next += 1;
        }
    }
    assert!(began.elapsed() > LIMIT * 2, "it was to be slow: {:?}", began.elapsed());
    client.leave().await;
    service.stop().await;
}
