//! What may befall the service, by name: each with a real cause, and an end in which nothing is lost in silence.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the stories")]

#[expect(dead_code, unused_imports, reason = "the harness also serves the stories of tests/integration")]
#[path = "../harness/mod.rs"]
mod harness;

mod clock_backwards;
mod connections_terminated;
mod database_restored;
mod disk_full;
mod out_of_connections;
mod read_only_standby;
mod slot_invalidated;
mod slot_made_anew;
mod standby_promoted;
mod table_rewritten;
mod tables_altered;
mod ten_million_rows;
mod ten_thousand_tables;

use harness::{Client, Service};

/// The service may not need more, whatever happens.
const MEMORY: usize = 64 << 20;

/// Ends the service in good order, which has stayed small.
async fn end(service: Service) {
    let peak = service.peak_memory();
    assert!(peak < MEMORY, "the service took {} MiB", peak >> 20);
    service.stop().await;
}

/// The values of the first column that the next transactions insert, up to so many.
async fn inserted(client: &mut Client, count: usize) -> Vec<serde_json::Value> {
    let mut values = vec![];
    while values.len() < count {
        let message = client.next().await;
        values.extend(message["change"].as_array().unwrap().iter().map(|change| change["columnvalues"][0].clone()));
    }
    values
}
