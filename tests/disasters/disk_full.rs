//! The server's disk is full: where it decodes, and where the service keeps positions.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgdeltastream::cluster::StopMode;

use crate::harness::{Postgres, Service, eventually};
use crate::{end, inserted};

/// A folder on a file system of its own, of a given size.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// In place of a folder, with its files.
    fn mount(folder: &Path, size: &str) -> Self {
        let script = "set -e; owner=$(stat -c uid=%u,gid=%g,mode=700 \"$1\"); cp -a \"$1\" \"$1.before\";
                      mount -t tmpfs -o \"size=$2,$owner\" tmpfs \"$1\"; cp -a \"$1.before/.\" \"$1\"; rm -r \"$1.before\"";
        as_root(script, folder, size);
        Self(folder.to_owned())
    }

    fn grow(&self, size: &str) {
        as_root("mount -o \"remount,size=$2\" \"$1\"", &self.0, size);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root("umount -l \"$1\"", &self.0, "");
    }
}

fn as_root(script: &str, folder: &Path, size: &str) {
    let sudo = "[ \"$(id -u)\" = 0 ] || exec sudo -n sh -c \"$0\" sh \"$@\"; eval \"$0\"";
    let status = Command::new("sh").args(["-c", sudo, script]).arg(folder).arg(size).status().unwrap();
    assert!(status.success(), "{script}: this test mounts a small disk, for which it must be root or may use sudo");
}

#[tokio::test]
async fn a_transaction_that_finds_no_room_to_be_decoded_is_waited_for() {
    const ROWS: usize = 20_000;
    let mut postgres = Postgres::with_settings(&[("logical_decoding_work_mem", "64kB")]).await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "100000"]).await;
    postgres.execute("CREATE TABLE t (id bigint PRIMARY KEY, filling text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.stop(StopMode::Fast).await;
    let disk = SmallDisk::mount(&postgres.cluster.as_ref().unwrap().data_folder().join("pg_replslot").join(&slot), "1m");
    postgres.start_again();
    postgres.execute("INSERT INTO t VALUES (0, 'little')").await;
    assert_eq!(inserted(&mut client, 1).await, [0]);
    postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n")).await;
    service.logged("SQLSTATE 53100").await;
    assert_eq!(service.get("/readyz").await.status, 503);
    disk.grow("100m");
    let expected: Vec<serde_json::Value> = (1..=ROWS).map(serde_json::Value::from).collect();
    assert!(inserted(&mut client, ROWS).await == expected);
    client.leave().await;
    end(service).await;
    postgres.stop(StopMode::Immediate).await;
}

#[tokio::test]
async fn positions_that_cannot_be_kept_are_kept_later() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres
        .execute(
            "CREATE TABLE t (name text);
             CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        )
        .await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("CREATE TRIGGER full_disk BEFORE UPDATE ON pgdeltastream.stream EXECUTE FUNCTION is_full()").await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    service.logged("acknowledged positions are not kept yet").await;
    // Streaming goes on, and Postgres itself has heard of it.
    assert_eq!(postgres.confirmed(&slot).await, position.parse().unwrap());
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    postgres.execute("DROP TRIGGER full_disk ON pgdeltastream.stream").await;
    eventually("the position to be kept", async || {
        (postgres.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
    })
    .await;
    client.leave().await;
    end(service).await;
}
