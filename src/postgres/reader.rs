//! Connections that see what an exported snapshot shows: the anchor, which keeps it importable, and the readers.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::timeout;

use super::catalog;
use super::server_error::Condition;
use super::service::{Database, QueryError, connect, run, short};
use super::transaction::ReadTransaction;
use crate::config::{PostgresConfig, READER_QUEUE_TIMEOUT, STATEMENT_TIMEOUT};
use crate::name::{MAX_NAME_BYTES, SlotName, TableName};
use crate::query::{Selection, Sql, Table, import_snapshot};

/// What Postgres says of a snapshot that nobody exports any more.
const SNAPSHOT_GONE: [Condition; 3] = [Condition::InvalidValue, Condition::NoSuchObject, Condition::NotInState];

/// What Postgres says of a text that is no value of its type: not that it is none, but perhaps that there is no such time zone, or table.
const NOT_A_VALUE: [Condition; 6] = [
    Condition::InvalidData,
    Condition::InvalidValue,
    Condition::NoSuchObject,
    Condition::NoSuchTable,
    Condition::NotSupported,
    Condition::Other,
];

/// Keeps an exported snapshot alive after the session that exported it went on. Its only other statement is COMMIT.
#[derive(Debug)]
pub struct Anchor {
    connection: PgConnection,
    exported: Exported,
}

/// An exported snapshot. Its name may come again after a restart of Postgres, for another one; the process that exported it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    name: String,
    pid: i32,
    started: String,
}

impl Anchor {
    /// Imports a snapshot and exports it again.
    pub async fn import(config: &PostgresConfig, slot: &SlotName, snapshot: &str) -> Result<Self, QueryError> {
        let mut connection = connect(config, &application_name(slot)).await?;
        begin(&mut connection, snapshot).await?;
        let query = "SELECT pg_export_snapshot(), pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let (name, pid, started) = short(sqlx::query_as(query).fetch_one(&mut connection)).await?;
        Ok(Self { connection, exported: Exported { name, pid, started } })
    }

    /// The snapshot, for readers.
    pub fn exported(&self) -> &Exported {
        &self.exported
    }

    /// Lets the snapshot go. Readers that have imported it go on.
    pub async fn release(mut self) {
        if run(&mut self.connection, "COMMIT").await.is_ok() {
            let _ = timeout(STATEMENT_TIMEOUT, self.connection.close()).await;
        }
    }
}

/// A transaction that reads a snapshot. Dropped before it is finished, it hangs up.
pub struct Reader {
    transaction: ReadTransaction,
}

impl Reader {
    /// Waits for a free connection and imports the snapshot. None: it is gone.
    pub async fn open(database: &Database, snapshot: &Exported) -> Result<Option<Self>, QueryError> {
        let mut reader = Self { transaction: ReadTransaction::acquire(&database.readers, READER_QUEUE_TIMEOUT).await? };
        match begin(reader.connection()?, &snapshot.name).await {
            Err(error) if error.condition().is_some_and(|condition| SNAPSHOT_GONE.contains(&condition)) => return Ok(None),
            begun => begun?,
        }
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2)");
        let is_anchored: bool = short(query.bind(snapshot.pid).bind(&snapshot.started).fetch_one(reader.connection()?)).await?;
        Ok(is_anchored.then_some(reader))
    }

    /// Finds a table under the snapshot.
    pub async fn table(&mut self, name: &TableName) -> Result<Option<Table>, QueryError> {
        catalog::table(self.connection()?, name).await
    }

    /// Keeps the table from being truncated or rewritten until this reader ends.
    pub async fn lock(&mut self, table: &Table) -> Result<(), QueryError> {
        let sql = table.lock();
        short(self.connection()?.execute(sqlx::raw_sql(AssertSqlSafe(sql.as_str())))).await.map(drop)
    }

    /// Whether all that the table's rows depend on is as it was under the snapshot. If not, they are not all there, or not what they were.
    ///
    /// Partitions that came later hold nothing that the snapshot shows.
    pub async fn is_intact(&mut self, database: &Database, table: &Table) -> Result<bool, QueryError> {
        let connection = self.connection()?;
        let then = catalog::facts(connection, table.oid).await?;
        let (now, named) = database.facts_today(table).await?;
        let relations: BTreeSet<u32> = then.iter().map(|(oid, _)| *oid).collect();
        let added = now.iter().map(|(oid, _)| *oid).filter(|oid| !relations.contains(oid));
        let attached = catalog::known(connection, added).await?;
        Ok(named == Some(table.oid) && attached.is_empty() && then.is_subset(&now))
    }

    /// Whether every value of a selection is one of its column's type.
    pub async fn accepts(&mut self, selection: &Selection) -> Result<bool, QueryError> {
        let Some(check) = &selection.check else { return Ok(true) };
        match short(self.connection()?.execute(sqlx::raw_sql(AssertSqlSafe(check.as_str())))).await {
            Err(error) if error.condition().is_some_and(|condition| NOT_A_VALUE.contains(&condition)) => Ok(false),
            checked => checked.map(|_| true),
        }
    }

    /// Runs a `COPY … TO STDOUT`: its lines, as they come.
    pub async fn copy(&mut self, sql: &Sql) -> Result<impl Stream<Item = Result<Bytes, QueryError>> + Send + use<'_>, QueryError> {
        let lines = self.connection()?.copy_out_raw(sql.as_str()).await?;
        Ok(lines.map_err(QueryError::from))
    }

    /// Ends the transaction in good order and gives the connection back.
    pub async fn finish(self) -> Result<(), QueryError> {
        self.transaction.finish().await
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, QueryError> {
        self.transaction.connection()
    }
}

/// By which an anchor is known to other processes. Postgres would cut it to 63 bytes, and then others might have the same.
fn application_name(slot: &SlotName) -> String {
    let mut name = format!("pgdeltastream anchor {slot}");
    if name.len() > MAX_NAME_BYTES {
        let digest = Sha256::digest(slot.as_str());
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        name.truncate(MAX_NAME_BYTES - digest.len());
        name.push_str(&digest);
    }
    name
}

impl Database {
    /// How many transactions old the oldest row is that vacuum must keep for each snapshot; none if its anchor is not there any more.
    pub async fn xmin_ages(&self, snapshots: &[&Exported]) -> Result<Vec<Option<i64>>, QueryError> {
        let pids: Vec<i32> = snapshots.iter().map(|snapshot| snapshot.pid).collect();
        let query = sqlx::query_as(
            "SELECT pid, backend_start::text, coalesce(age(backend_xmin), 0)::bigint FROM pg_stat_activity WHERE pid = ANY ($1)",
        );
        let rows: Vec<(i32, String, i64)> = short(query.bind(pids).fetch_all(&self.service)).await?;
        let age = |snapshot: &&Exported| {
            let anchor = rows.iter().find(|(pid, started, _)| (*pid, started) == (snapshot.pid, &snapshot.started));
            anchor.map(|(_, _, age)| *age)
        };
        Ok(snapshots.iter().map(age).collect())
    }

    /// Ends the anchor of a slot that is no more, whichever process of our role it belongs to.
    pub async fn terminate_anchor(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = $1 AND datname = current_database() AND usename = current_user",
        );
        short(query.bind(application_name(slot)).execute(&self.service)).await.map(drop)
    }
}

async fn begin(connection: &mut PgConnection, snapshot: &str) -> Result<(), QueryError> {
    // Since Postgres 17.
    let unlimited = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'";
    run(connection, unlimited).await?;
    run(connection, ReadTransaction::BEGIN).await?;
    let import = import_snapshot(snapshot);
    short(connection.execute(sqlx::raw_sql(AssertSqlSafe(import.as_str())))).await.map(drop)
}
