//! Fifty streams at once on one service.

use serde_json::json;

use crate::harness::{Postgres, Service};

const STREAMS: usize = 50;

#[tokio::test]
async fn each_sees_exactly_its_tables() {
    let settings = [("max_replication_slots", "60"), ("max_wal_senders", "60"), ("max_connections", "200")];
    let postgres = Postgres::with_settings(&settings).await;
    let tables: String = (0..STREAMS).map(|n| format!("CREATE TABLE t{n} (name text); INSERT INTO t{n} VALUES ('old {n}');")).collect();
    postgres.execute(&tables).await;
    let service = Service::start(&postgres).await;
    let made = (0..STREAMS).map(|n| {
        let next = (n + 1) % STREAMS;
        service.create(json!({"name": format!("s{n}"), "tables": [format!("t{n}"), format!("t{next}")]}))
    });
    futures_util::future::join_all(made).await;
    let names: Vec<String> = (0..STREAMS).map(|n| format!("s{n}")).collect();
    let mut clients = futures_util::future::join_all(names.iter().map(|name| service.stream(name))).await;
    for round in 0..3 {
        for n in 0..STREAMS {
            postgres.execute(&format!("INSERT INTO t{n} VALUES ('{round} {n}')")).await;
        }
    }
    let expected = |n: usize| {
        let mut tables = [n, (n + 1) % STREAMS];
        tables.sort_unstable();
        (0..3).flat_map(move |round| tables.map(|table| format!("{round} {table}")))
    };
    for (n, client) in clients.iter_mut().enumerate() {
        let mut last = String::new();
        for name in expected(n) {
            let (inserted, position) = client.inserted().await;
            assert_eq!(inserted, name, "stream {n}");
            last = position;
        }
        client.acknowledge(&last).await;
        assert_eq!(service.rows(json!({"slotName": names[n], "table": format!("t{n}")})).await, [json!({"name": format!("old {n}")})]);
    }
    let streams = service.get("/v1/streams").await.json();
    assert!(streams["streams"].as_array().unwrap().iter().filter(|stream| stream["active"] == true).count() == STREAMS);
    // Each stream is one process more in Postgres, and little more here.
    assert!(service.peak_memory() < 64 * 1024 * 1024, "{}", service.peak_memory());
    service.stop().await;
}
