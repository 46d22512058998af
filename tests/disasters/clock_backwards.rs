//! The clock of the service's machine jumps backwards, and forwards again: nothing waits for a time of day to come.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::end;
use crate::harness::{Postgres, Service, eventually};

/// The library that lies about the time; what the clock is off by stands in a file.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"));
    folders.into_iter().find(|library| library.exists()).expect("libfaketime is installed: make tools")
}

fn set(clock: &Path, offset: &str) {
    // As one: it is read at any time.
    let next = clock.with_extension("next");
    fs::write(&next, offset).unwrap();
    fs::rename(next, clock).unwrap();
}

#[tokio::test]
async fn a_stream_goes_on_whatever_the_clock_says() {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    set(&clock, "+0");
    let (library, file) = (library(), clock.display().to_string());
    let variables = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        // Only the time of day: no machine's own clock goes backwards.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("SNAPSHOT_TTL", "3600"),
    ];
    let service = Service::start_in(&postgres, &variables).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    for (name, offset) in [("a", "-1d"), ("b", "-10y"), ("c", "+2d"), ("d", "-1h")] {
        set(&clock, offset);
        postgres.execute(&format!("INSERT INTO t VALUES ('{name}')")).await;
        let (seen, position) = client.inserted().await;
        assert_eq!(seen, name);
        client.acknowledge(&position).await;
        eventually("the position to be kept", async || {
            (postgres.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
        })
        .await;
        assert_eq!(service.get("/readyz").await.status, 200);
        assert!(service.rows(json!({"table": "t"})).await.is_empty(), "the snapshot is still there, and has no row");
        assert_eq!(service.show(&slot).await["snapshot"]["state"], "ready");
    }
    // Feedback and pings are due as they were.
    tokio::time::sleep(Duration::from_secs(4)).await;
    postgres.execute("INSERT INTO t VALUES ('e')").await;
    assert_eq!(client.inserted().await.0, "e");
    client.leave().await;
    end(service).await;
}
