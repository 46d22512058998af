//! The primary is gone, and a standby takes its place: without the slot, with the slot, and without all that the client has.

use std::path::Path;
use std::process::Command;

use pgdeltastream::cluster::{Cluster, StopMode};
use sqlx::{Connection, Executor, PgConnection};

use crate::end;
use crate::harness::{Client, Postgres, Proxy, Service, eventually};

struct World {
    primary: Postgres,
    standby: Cluster,
    /// Between the two.
    replication: Proxy,
    /// Between the service and whoever is the primary.
    address: Proxy,
    service: Service,
    slot: String,
    client: Client,
}

impl World {
    /// A client that has `a`, and a standby that has it too.
    async fn new() -> Self {
        let primary = Postgres::with_settings(&[("wal_keep_size", "1GB")]).await;
        let cluster = primary.cluster.as_ref().unwrap();
        let replication = Proxy::to_cluster(cluster).await;
        let standby = cluster.standby(replication.port()).unwrap();
        let address = Proxy::to_cluster(cluster).await;
        let service = Service::start_with(&primary, &["--pgHost", "127.0.0.1", "--pgPort", &address.port().to_string()]).await;
        primary.execute("CREATE TABLE t (name text)").await;
        let slot = service.create(serde_json::json!({"name": "s", "snapshot": false})).await["slotName"].as_str().unwrap().to_owned();
        let mut client = service.stream(&slot).await;
        primary.execute("INSERT INTO t VALUES ('a')").await;
        let (seen, position) = client.inserted().await;
        assert_eq!(seen, "a");
        client.acknowledge(&position).await;
        eventually("the position to be kept", async || {
            (primary.text("SELECT acked_lsn FROM pgdeltastream.stream").await? == position).then_some(())
        })
        .await;
        let world = Self { primary, standby, replication, address, service, slot, client };
        world.caught_up().await;
        world
    }

    /// Waits until the standby has all that the primary has written.
    async fn caught_up(&self) {
        let written = self.primary.written().await;
        let replayed = "SELECT replay_lsn FROM pg_stat_replication WHERE application_name = 'walreceiver'";
        eventually("the standby to catch up", async || {
            (self.primary.text(replayed).await?.parse::<pgdeltastream::lsn::Lsn>().unwrap() >= written).then_some(())
        })
        .await;
    }

    async fn on_standby(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.standby.url("postgres")).await.unwrap();
        connection.execute(statement).await.unwrap();
    }

    /// The primary goes, with or without a word, and the standby takes its place.
    async fn fail_over(&mut self, mode: StopMode, with_slot: bool) {
        // Whoever asks in between is to find nobody.
        self.address.refuse();
        self.primary.stop(mode).await;
        if with_slot {
            let folder = |cluster: &Cluster| cluster.data_folder().join("pg_replslot").join(&self.slot);
            let (from, to) = (folder(self.primary.cluster.as_ref().unwrap()), folder(&self.standby));
            self.standby.stop(StopMode::Fast).unwrap();
            carry_over(&from, &to);
            self.standby.start_again().unwrap();
        }
        self.on_standby("SELECT pg_promote()").await;
        self.address.lead_to(format!("127.0.0.1:{}", self.standby.port()));
        self.address.cut();
        self.address.heal();
    }
}

/// As tools for high availability do it, which copy the files of slots.
fn carry_over(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn without_the_slot_the_client_starts_over() {
    let mut world = World::new().await;
    world.fail_over(StopMode::Immediate, false).await;
    let closed = world.client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("slot_missing: "), "{}", closed.reason);
    let shown = eventually("the stream to be shown", async || {
        let answer = world.service.get("/v1/streams/s").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(shown["walStatus"], "missing", "it came along with the database, and its slot did not");
    assert_eq!(world.service.delete("/v1/streams/s").await.status, 204);
    world.service.create(serde_json::json!({"name": "s"})).await;
    let mut client = world.service.stream("s").await;
    PgConnection::connect(&world.standby.url("postgres")).await.unwrap().execute("INSERT INTO t VALUES ('b')").await.unwrap();
    assert_eq!(client.inserted().await.0, "b");
    client.leave().await;
    end(world.service).await;
}

#[tokio::test]
async fn with_the_slot_the_client_notices_nothing() {
    let mut world = World::new().await;
    // A clean end: the standby gets all there is. It is sent, and not acknowledged.
    world.primary.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(world.client.inserted().await.0, "b");
    world.caught_up().await;
    world.fail_over(StopMode::Immediate, true).await;
    world.on_standby("INSERT INTO t VALUES ('c')").await;
    let (seen, position) = world.client.inserted().await;
    assert_eq!(seen, "c", "and not b again");
    world.client.acknowledge(&position).await;
    world.client.leave().await;
    // Whoever connects anew has its position in the later timeline.
    let mut client = world.service.stream(&world.slot).await;
    PgConnection::connect(&world.standby.url("postgres")).await.unwrap().execute("INSERT INTO t VALUES ('d')").await.unwrap();
    assert_eq!(client.inserted().await.0, "d");
    client.leave().await;
    end(world.service).await;
}

#[tokio::test]
async fn who_has_what_the_standby_never_had_starts_over_however_far_that_has_come() {
    let mut world = World::new().await;
    world.replication.refuse();
    world.replication.cut();
    let alone = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'walreceiver'";
    eventually("the standby to be cut off", async || (world.primary.text(alone).await? == "0").then_some(())).await;
    world.primary.execute("INSERT INTO t VALUES ('lost')").await;
    let (seen, position) = world.client.inserted().await;
    assert_eq!(seen, "lost");
    world.client.acknowledge(&position).await;
    let sent: pgdeltastream::lsn::Lsn = position.parse().unwrap();
    let slot = world.primary.cluster.as_ref().unwrap().data_folder().join("pg_replslot").join(&world.slot);
    let kept = tempfile::tempdir().unwrap();
    // The slot as it was when the two were the same.
    carry_over(&slot, &kept.path().join("slot"));
    world.address.refuse();
    world.primary.stop(StopMode::Immediate).await;
    world.standby.stop(StopMode::Fast).unwrap();
    carry_over(&kept.path().join("slot"), &world.standby.data_folder().join("pg_replslot").join(&world.slot));
    world.standby.start_again().unwrap();
    world.on_standby("SELECT pg_promote()").await;
    // It writes more than was lost: its position alone does not tell.
    world.on_standby("CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)").await;
    let mut connection = PgConnection::connect(&world.standby.url("postgres")).await.unwrap();
    let flushed: String = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text").fetch_one(&mut connection).await.unwrap();
    assert!(flushed.parse::<pgdeltastream::lsn::Lsn>().unwrap() > sent);
    world.address.lead_to(format!("127.0.0.1:{}", world.standby.port()));
    world.address.cut();
    world.address.heal();
    let closed = world.client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("position_ahead: "), "{}", closed.reason);
    end(world.service).await;
}
