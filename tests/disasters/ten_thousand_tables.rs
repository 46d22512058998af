//! So many tables that no service remembers them all.

use std::collections::HashSet;

use crate::end;
use crate::harness::{Postgres, Service};

const TABLES: usize = 10_000;

#[tokio::test]
async fn each_of_them_is_streamed_in_bounded_memory() {
    let postgres = Postgres::with_settings(&[("max_locks_per_transaction", "512")]).await;
    let service = Service::start(&postgres).await;
    for first in (0..TABLES).step_by(1_000) {
        let last = first + 999;
        postgres
            .execute(&format!(
                "DO $$ BEGIN FOR n IN {first}..{last} LOOP
                     EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, a text, b timestamptz, c integer[])', n);
                 END LOOP; END $$"
            ))
            .await;
    }
    let slot = service.init().await;
    let mut client = service.stream_with(&slot, &[("format", "events")]).await.unwrap();
    for first in (0..TABLES).step_by(1_000) {
        let last = first + 999;
        postgres
            .execute(&format!(
                "DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE format('INSERT INTO t%s VALUES (%s)', n, n); END LOOP; END $$"
            ))
            .await;
    }
    let mut seen = HashSet::new();
    while seen.len() < TABLES {
        let message = client.next().await;
        for event in message["events"].as_array().unwrap() {
            assert_eq!(event["table"], format!("t{}", event["new"]["id"]));
            assert!(seen.insert(event["table"].as_str().unwrap().to_owned()), "{event}");
        }
    }
    client.leave().await;
    end(service).await;
}
