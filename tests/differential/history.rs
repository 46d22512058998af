//! A database in which something happened after a slot was made.

use std::sync::LazyLock;

use pgdeltastream::cluster::Cluster;
use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::harness::{Postgres, eventually};
use crate::recvlogical;

/// How many histories there may be at a time, whatever the number of threads: each has up to three slots.
static TURNS: Semaphore = Semaphore::const_new(8);

/// The server that all tests of this process share. It goes with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let settings = [
        ("max_prepared_transactions", "10"),
        ("max_connections", "200"),
        ("max_replication_slots", "40"),
        ("max_wal_senders", "40"),
        ("autovacuum", "off"),
    ];
    Cluster::start(&settings).unwrap_or_else(|error| panic!("{error}"))
});

/// `pg_recvlogical` begins with `set_config('search_path', '', false)`, whatever it was told, and wal2json would name types otherwise.
const KEEP_SEARCH_PATH: &str =
    "CREATE OR REPLACE FUNCTION pg_catalog.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT $2'";

pub struct History {
    pub postgres: Postgres,
    /// Where it ended.
    end: String,
    _turn: SemaphorePermit<'static>,
}

impl History {
    /// Makes a slot, writes the history, and then a last transaction with a logical message.
    pub async fn write(writing: impl AsyncFnOnce(&Postgres)) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let postgres = Postgres::on_server(&CLUSTER.url("postgres").parse().unwrap()).await;
        postgres.execute(KEEP_SEARCH_PATH).await;
        postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{}', 'wal2json')", slot(&postgres, "origin"))).await;
        writing(&postgres).await;
        postgres.execute("SELECT pg_logical_emit_message(true, 'end', 'of the history')").await;
        let end = postgres.text("SELECT pg_current_wal_flush_lsn()").await.unwrap();
        Self { postgres, end, _turn: turn }
    }

    /// The history of a script.
    pub async fn of(script: &crate::script::Script) -> Self {
        Self::write(async |postgres| {
            let mut connection: PgConnection = postgres.connection().await;
            script.run(&mut connection).await;
        })
        .await
    }

    /// A slot that has seen nothing of it yet.
    pub async fn twin(&self, name: &str) -> String {
        let twin = slot(&self.postgres, name);
        self.postgres.execute(&format!("SELECT pg_copy_logical_replication_slot('{}', '{twin}')", slot(&self.postgres, "origin"))).await;
        twin
    }

    /// Partitions of tables in `public` that are in other schemas, each with a comma in front, as wal2json's list of tables has them.
    pub async fn partitions_elsewhere(&self) -> String {
        let partitions = r"
            SELECT string_agg(',' || regexp_replace(n.nspname, '(\W)', '\\\1', 'g') || '.' || regexp_replace(c.relname, '(\W)', '\\\1', 'g'), '')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relispartition AND n.nspname <> 'public' AND EXISTS (
                SELECT FROM pg_partition_ancestors(c.oid) AS above JOIN pg_class p ON p.oid = above AND p.relnamespace = 'public'::regnamespace)";
        self.postgres.text(partitions).await.unwrap_or_default()
    }

    /// What `pg_recvlogical` prints of it.
    pub async fn received(&self, options: &[(String, String)]) -> Vec<Vec<u8>> {
        let twin = self.twin("theirs").await;
        let records = recvlogical::receive(&CLUSTER, &self.postgres.options, &twin, &self.end, options).await;
        self.drop_twin(&twin).await;
        records
    }

    /// Drops a slot as soon as nobody reads from it any more.
    pub async fn drop_twin(&self, twin: &str) {
        let drop =
            format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{twin}' AND NOT active");
        eventually("the slot to be free", async || self.postgres.text(&drop).await).await;
    }
}

/// Slots belong to the server, and their names must tell whose they are.
fn slot(postgres: &Postgres, name: &str) -> String {
    format!("{}_{name}", postgres.options.get_database().unwrap())
}
