//! What is in the WAL, and the slots that stand before it.

use pgdeltastream::cluster::Cluster;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// How many slots there are at most.
const MOST_SLOTS: usize = 128;

/// A Postgres with slots that nobody has read from, and a table to fill.
pub(crate) struct Workload {
    pub(crate) cluster: Cluster,
    database: PgConnection,
}

/// So many transactions, and rows in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) transactions: u32,
    pub(crate) rows: u32,
    pub(crate) columns: Columns,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Columns {
    /// A number, and so many bytes of text.
    Text(u32),
    /// Ten of different types, a kilobyte of JSON.
    Ten,
}

impl Columns {
    fn types(self) -> &'static str {
        match self {
            Self::Text(_) => "id integer, filling text",
            Self::Ten => {
                "id bigint, customer uuid, state text, total numeric(12,2), weight double precision, gift boolean, placed timestamptz,
                 paid timestamptz, tags text[], document jsonb"
            }
        }
    }

    fn values(self) -> String {
        match self {
            Self::Text(bytes) => format!("n, repeat('x', {bytes})"),
            Self::Ten => String::from(
                "n, '7b0d3f1e-52c4-4f1c-9f3a-2f1a3b4c5d6e', 'shipped', 44.30, 1.25, false, '2024-01-02 03:04:05.678901+00', NULL,
                 '{new,\"two words\"}', jsonb_build_object('note', repeat('x', 200), 'lines', jsonb_build_array(1, 2, n))",
            ),
        }
    }
}

impl Shape {
    pub(crate) fn changes(self) -> u32 {
        self.transactions * self.rows
    }
}

impl Workload {
    pub(crate) async fn start() -> Self {
        let most = MOST_SLOTS.to_string();
        let settings = [
            ("max_wal_size", "8GB"),
            ("shared_buffers", "512MB"),
            ("autovacuum", "off"),
            ("max_replication_slots", &most),
            ("max_wal_senders", &most),
            ("max_connections", "300"),
        ];
        let cluster = Cluster::start(&settings).unwrap();
        let database = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
        let mut workload = Self { cluster, database };
        workload.execute("SET statement_timeout = '5min'").await;
        workload
    }

    /// Makes the slot that all others are copies of, and what comes after it; says where that ends.
    pub(crate) async fn fill(&mut self, shape: Shape, tables: u32) -> String {
        self.drop_slots("%").await;
        let Shape { transactions, rows, columns } = shape;
        for table in 0..tables {
            self.execute(&format!("DROP TABLE IF EXISTS t{table}; CREATE TABLE t{table} ({})", columns.types())).await;
        }
        self.execute("SELECT pg_create_logical_replication_slot('origin', 'wal2json')").await;
        let values = columns.values();
        self.execute(&format!(
            "DO $$ BEGIN FOR transaction IN 1..{transactions} LOOP
                 EXECUTE format('INSERT INTO t%s SELECT {} FROM generate_series(1, {rows}) n', transaction % {tables}); COMMIT;
             END LOOP; END $$",
            values.replace('\'', "''")
        ))
        .await;
        self.text("SELECT pg_current_wal_insert_lsn()::text").await
    }

    /// New slots that stand where the first one stood.
    pub(crate) async fn twins(&mut self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("twin_{number}")).collect();
        self.drop_slots("twin\\_%").await;
        for name in &names {
            self.execute(&format!("SELECT pg_copy_logical_replication_slot('origin', '{name}')")).await;
        }
        names
    }

    /// New slots that stand where the WAL ends.
    pub(crate) async fn slots(&mut self, count: usize) -> Vec<String> {
        self.drop_slots("%").await;
        self.execute("SELECT pg_create_logical_replication_slot('origin', 'wal2json')").await;
        self.twins(count).await
    }

    pub(crate) async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.database).await.unwrap();
    }

    async fn text(&mut self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&mut self.database).await.unwrap()
    }

    async fn drop_slots(&mut self, like: &str) {
        self.execute(&format!(
            "DO $$ DECLARE slot record; BEGIN FOR slot IN SELECT slot_name AS name FROM pg_replication_slots WHERE slot_name LIKE '{like}' LOOP
                 LOOP BEGIN PERFORM pg_drop_replication_slot(slot.name); EXIT;
                 EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.01); END; END LOOP;
             END LOOP; END $$"
        ))
        .await;
    }
}
