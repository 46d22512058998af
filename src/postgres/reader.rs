//! Connections that see what an exported snapshot shows: the anchor, which keeps it importable, and the readers.

use std::collections::BTreeSet;

use futures_util::{Stream, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, ValueRef};
use tokio::time::timeout;

use super::catalog;
use super::server_error::Condition;
use super::service::{Database, QueryError, connect, run, short, within};
use crate::config::{PostgresConfig, READER_QUEUE_TIMEOUT, STATEMENT_TIMEOUT};
use crate::name::{MAX_NAME_BYTES, SlotName, TableName};
use crate::query::{Sql, Table, import_snapshot};
use crate::row::{self, Column, Numbers};

/// What Postgres says of a snapshot that nobody exports any more.
const SNAPSHOT_GONE: [Condition; 3] = [Condition::InvalidValue, Condition::NoSuchObject, Condition::NotInState];

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

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

/// A transaction that reads a snapshot. Dropped before it is finished, it hangs up, so that no other reader gets its transaction.
pub struct Reader {
    connection: Option<PoolConnection<Postgres>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl Reader {
    /// Waits for a free connection and imports the snapshot. None: it is gone.
    pub async fn open(database: &Database, snapshot: &Exported) -> Result<Option<Self>, QueryError> {
        let connection = within(READER_QUEUE_TIMEOUT, database.readers.acquire()).await?;
        let mut reader = Self { connection: Some(connection) };
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

    /// Reads rows as JSON objects, in pieces of about `piece_bytes`, which together are an array.
    pub fn rows<'a>(
        &'a mut self,
        table: &Table,
        sql: &'a Sql,
        piece_bytes: usize,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, QueryError>> + Send + 'a, QueryError> {
        let columns = table.row();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.as_str())).fetch(self.connection()?);
        let state = (rows, columns, Some(Vec::from(b"[")), &b""[..]);
        Ok(futures_util::stream::try_unfold(state, move |(mut rows, columns, piece, mut separator)| async move {
            let Some(mut piece) = piece else { return Ok(None) };
            piece.reserve(piece_bytes);
            while piece.len() < piece_bytes {
                let Some(row) = rows.try_next().await? else {
                    piece.push(b']');
                    return Ok(Some((piece, (rows, columns, None, separator))));
                };
                piece.extend_from_slice(separator);
                separator = b",";
                write_row(&mut piece, &columns, &row)?;
            }
            Ok(Some((piece, (rows, columns, Some(vec![]), separator))))
        }))
    }

    /// Ends the transaction in good order and gives the connection back.
    pub async fn finish(mut self) -> Result<(), QueryError> {
        run(self.connection()?, "COMMIT").await?;
        self.connection = None;
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut PgConnection, QueryError> {
        self.connection.as_deref_mut().ok_or(QueryError::Unreachable(sqlx::Error::PoolClosed))
    }
}

fn write_row(piece: &mut Vec<u8>, columns: &[Column], row: &PgRow) -> Result<(), QueryError> {
    let mut fault = Ok(());
    let values = (0..columns.len()).map(|index| {
        text(row, index).unwrap_or_else(|error| {
            fault = Err(error);
            None
        })
    });
    row::write_row(piece, columns, Numbers::Bare, values);
    fault
}

fn text(row: &PgRow, index: usize) -> Result<Option<&str>, QueryError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() { Ok(None) } else { value.as_str().map(Some).map_err(QueryError::NotText) }
}

/// By which an anchor is known to other processes. Postgres cuts it to 63 bytes, and compares it cut.
fn application_name(slot: &SlotName) -> String {
    let mut name = format!("pgdeltastream anchor {slot}");
    name.truncate(MAX_NAME_BYTES);
    name
}

impl Database {
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
    run(connection, BEGIN).await?;
    let import = import_snapshot(snapshot);
    short(connection.execute(sqlx::raw_sql(AssertSqlSafe(import.as_str())))).await.map(drop)
}
