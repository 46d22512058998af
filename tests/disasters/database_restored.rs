//! The server is put back to an earlier state, of which its clients know more than it does.

use std::path::Path;
use std::process::Command;

use pgdeltastream::cluster::StopMode;

use crate::end;
use crate::harness::{Postgres, Service, eventually};

/// As an administrator does it who has no better backup.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// A client that has `a` and `b` from a server that has only `a`.
async fn setup() -> (Postgres, Service, String, crate::harness::Client) {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    let backup = tempfile::tempdir().unwrap();
    let data = postgres.cluster.as_ref().unwrap().data_folder();
    for name in ["a", "b"] {
        postgres.execute(&format!("INSERT INTO t VALUES ('{name}')")).await;
        let (seen, position) = client.inserted().await;
        assert_eq!(seen, name);
        client.acknowledge(&position).await;
        let parsed = position.parse().unwrap();
        eventually("the confirmation", async || (postgres.confirmed(&slot).await >= parsed).then_some(())).await;
        eventually("the position to be kept", async || {
            (postgres.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
        })
        .await;
        postgres.stop(StopMode::Fast).await;
        if name == "a" {
            copy(&data, backup.path());
        } else {
            std::fs::remove_dir_all(&data).unwrap();
            copy(&backup.path().join("data"), data.parent().unwrap());
        }
        postgres.start_again();
    }
    (postgres, service, slot, client)
}

#[tokio::test]
async fn who_is_connected_starts_over() {
    let (postgres, service, _, client) = setup().await;
    let closed = client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("position_ahead: "), "{}", closed.reason);
    assert_eq!(postgres.text("SELECT string_agg(name, ' ') FROM t").await.unwrap(), "a");
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;
    assert_eq!(client.inserted().await.0, "c");
    client.leave().await;
    end(service).await;
}

#[tokio::test]
async fn a_position_of_the_lost_future_is_refused() {
    let (postgres, service, slot, client) = setup().await;
    drop(client);
    let last = format!("0/{:X}", postgres.written().await.to_u64() + 100_000);
    let refused = service.acknowledge(&slot, &last).await;
    assert_eq!(refused.refusal(), (400, String::from("lsn_ahead")));
    end(service).await;
}
