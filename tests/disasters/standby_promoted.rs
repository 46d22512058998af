//! The primary is gone, and a standby takes its place: without the slot, with the slot, and without all that the client has.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgdeltastream::cluster::{Cluster, StopMode};
use pgdeltastream::lsn::Lsn;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

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
        Self::of(&[]).await
    }

    /// The same with more parameters of the client's connection.
    async fn of(parameters: &[(&str, &str)]) -> Self {
        let primary = Postgres::with_settings(&[("wal_keep_size", "1GB")]).await;
        let cluster = primary.cluster.as_ref().unwrap();
        let replication = Proxy::to_cluster(cluster).await;
        let standby = cluster.standby(replication.port()).unwrap();
        let address = Proxy::to_cluster(cluster).await;
        let service = Service::start_with(&primary, &["--pgHost", "127.0.0.1", "--pgPort", &address.port().to_string()]).await;
        primary.execute("CREATE TABLE t (name text)").await;
        let slot = service.create(serde_json::json!({"name": "s", "snapshot": false})).await["slotName"].as_str().unwrap().to_owned();
        let mut client = service.stream_with(&slot, parameters).await.unwrap();
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
            (self.primary.text(replayed).await?.parse::<Lsn>().unwrap() >= written).then_some(())
        })
        .await;
    }

    /// Waits until the stream has passed that position.
    async fn passed(&self, written: Lsn) {
        let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
        eventually("the slot to advance", async || (self.primary.text(confirmed).await?.parse::<Lsn>().unwrap() >= written).then_some(()))
            .await;
    }

    /// Where the files of the slot are.
    fn slot_files(&self, cluster: &Cluster) -> PathBuf {
        cluster.data_folder().join("pg_replslot").join(&self.slot)
    }

    /// From now on the standby gets nothing. The slot as it was until then.
    async fn part(&mut self) -> TempDir {
        self.replication.refuse();
        self.replication.cut();
        let alone = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'walreceiver'";
        eventually("the standby to be cut off", async || (self.primary.text(alone).await? == "0").then_some(())).await;
        let kept = tempfile::tempdir().unwrap();
        carry_over(&self.slot_files(self.primary.cluster.as_ref().unwrap()), &kept.path().join("slot"));
        kept
    }

    /// The primary goes without a word, and the standby is promoted, with the slot if its files are given.
    async fn promote(&mut self, slot: Option<&Path>) {
        // Whoever asks in between is to find nobody.
        self.address.refuse();
        self.primary.stop(StopMode::Immediate).await;
        if let Some(files) = slot {
            self.standby.stop(StopMode::Fast).unwrap();
            carry_over(files, &self.slot_files(&self.standby));
            self.standby.start_again().unwrap();
        }
        on(&self.standby, "SELECT pg_promote()").await;
    }

    /// The service finds it where the primary was.
    fn lead_to_standby(&self) {
        self.address.lead_to(format!("127.0.0.1:{}", self.standby.port()));
        self.address.cut();
        self.address.heal();
    }
}

async fn on(cluster: &Cluster, statement: &'static str) {
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    connection.execute(statement).await.unwrap();
}

/// As tools for high availability do it, which copy the files of slots.
fn carry_over(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn without_the_slot_the_client_starts_over() {
    let mut world = World::new().await;
    world.promote(None).await;
    world.lead_to_standby();
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
    on(&world.standby, "INSERT INTO t VALUES ('b')").await;
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
    let files = world.slot_files(world.primary.cluster.as_ref().unwrap());
    world.promote(Some(&files)).await;
    world.lead_to_standby();
    on(&world.standby, "INSERT INTO t VALUES ('c')").await;
    let (seen, position) = world.client.inserted().await;
    assert_eq!(seen, "c", "and not b again");
    world.client.acknowledge(&position).await;
    world.client.leave().await;
    // Whoever connects anew has its position in the later timeline.
    let mut client = world.service.stream(&world.slot).await;
    on(&world.standby, "INSERT INTO t VALUES ('d')").await;
    assert_eq!(client.inserted().await.0, "d");
    client.leave().await;
    end(world.service).await;
}

#[tokio::test]
async fn who_has_nothing_that_the_standby_lacks_goes_on() {
    let mut world = World::new().await;
    let kept = world.part().await;
    // Passes and is confirmed, and nothing of it is the client's.
    world.primary.execute("CREATE TABLE lost (id int)").await;
    let written = world.primary.written().await;
    world.passed(written).await;
    world.promote(Some(&kept.path().join("slot"))).await;
    world.lead_to_standby();
    on(&world.standby, "INSERT INTO t VALUES ('b')").await;
    let (seen, position) = world.client.inserted().await;
    assert_eq!(seen, "b");
    assert!(position.parse::<Lsn>().unwrap() < written, "in place of what was lost");
    world.client.acknowledge(&position).await;
    world.client.leave().await;
    let mut client = world.service.stream(&world.slot).await;
    on(&world.standby, "INSERT INTO t VALUES ('c')").await;
    assert_eq!(client.inserted().await.0, "c");
    client.leave().await;
    end(world.service).await;
}

#[tokio::test]
async fn what_was_known_of_tables_on_the_former_server_is_forgotten() {
    let mut world = World::of(&[("tables", "public.t,public.root")]).await;
    world.primary.execute("CREATE TABLE root (name text) PARTITION BY LIST (name)").await;
    world.primary.execute("CREATE TABLE other (name text)").await;
    world.caught_up().await;
    let kept = world.part().await;
    // None of it is for the client, and it uses up numbers of transactions that the standby will give to others.
    for _ in 0..20 {
        world.primary.execute("INSERT INTO other VALUES ('lost')").await;
    }
    world.passed(world.primary.written().await).await;
    world.promote(Some(&kept.path().join("slot"))).await;
    on(&world.standby, "ALTER TABLE root ATTACH PARTITION other FOR VALUES IN ('b')").await;
    on(&world.standby, "INSERT INTO root VALUES ('b')").await;
    world.lead_to_standby();
    assert_eq!(world.client.inserted().await.0, "b");
    world.client.leave().await;
    end(world.service).await;
}

#[tokio::test]
async fn who_has_what_the_standby_never_had_starts_over_however_far_that_has_come() {
    let mut world = World::new().await;
    let kept = world.part().await;
    world.primary.execute("INSERT INTO t VALUES ('lost')").await;
    let (seen, position) = world.client.inserted().await;
    assert_eq!(seen, "lost");
    world.client.acknowledge(&position).await;
    let sent: Lsn = position.parse().unwrap();
    world.promote(Some(&kept.path().join("slot"))).await;
    // It writes more than was lost: its position alone does not tell.
    on(&world.standby, "CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)").await;
    let mut connection = PgConnection::connect(&world.standby.url("postgres")).await.unwrap();
    let flushed: String = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text").fetch_one(&mut connection).await.unwrap();
    assert!(flushed.parse::<Lsn>().unwrap() > sent);
    world.lead_to_standby();
    let closed = world.client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("position_ahead: "), "{}", closed.reason);
    end(world.service).await;
}
