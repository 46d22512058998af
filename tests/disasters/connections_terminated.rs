//! Somebody ends the service's connections, each of them, one after the other.

use serde_json::json;

use crate::end;
use crate::harness::{Postgres, Service, eventually};

/// The service's processes at the server, each with its name.
async fn processes(postgres: &Postgres) -> Vec<(String, String)> {
    let query = "SELECT string_agg(pid || ' ' || application_name, ',' ORDER BY pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%'";
    let found = postgres.text(query).await.unwrap_or_default();
    found.split(',').filter_map(|process| process.split_once(' ')).map(|(pid, name)| (pid.to_owned(), name.to_owned())).collect()
}

#[tokio::test]
async fn streams_go_on_and_a_lost_snapshot_is_said_to_be_lost() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('before')").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    assert_eq!(service.rows(json!({"table": "t"})).await.len(), 1);
    let mut names = vec![];
    for round in 0..3 {
        for (place, (pid, name)) in processes(&postgres).await.into_iter().enumerate() {
            names.push(name);
            postgres.execute(&format!("SELECT pg_terminate_backend({pid}); INSERT INTO t VALUES ('{round} {place}')")).await;
            let (seen, position) = client.inserted().await;
            assert_eq!(seen, format!("{round} {place}"));
            client.acknowledge(&position).await;
            let position = position.parse().unwrap();
            eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
        }
    }
    let anchor = format!("pgdeltastream anchor {slot}");
    for name in ["pgdeltastream", &anchor, &format!("pgdeltastream {slot}")] {
        assert!(names.iter().any(|ended| ended == name), "{name} was never ended: {names:?}");
    }
    assert_eq!(service.data(json!({"table": "t"})).await.refusal(), (410, String::from("snapshot_gone")));
    assert_eq!(service.show(&slot).await["snapshot"]["state"], "lost");
    client.leave().await;
    let slot = service.init().await;
    assert!(service.rows(json!({"table": "t", "slotName": slot})).await.len() > 1);
    end(service).await;
}
