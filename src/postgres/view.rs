//! The catalogue as one moment has it, which is after a transaction that the stream has.
//!
//! wal2json sends a transaction as soon as its commit is written. Others see it a little later, or much later where the server waits for a
//! standby first.

use std::sync::Arc;

use sqlx::PgConnection;

use super::service::{Database, QueryError, run, short};
use super::transaction::ReadTransaction;
use crate::config::STATEMENT_TIMEOUT;
use crate::format::relation::Seen;

/// A snapshot of the catalogue.
pub(super) struct View {
    transaction: ReadTransaction,
    /// The transactions whose doings are in it.
    pub(super) seen: Arc<Seen>,
}

impl View {
    /// None if it has not seen the end of the transaction.
    pub(super) async fn open(database: &Database, xid: Option<u32>) -> Result<Option<Self>, QueryError> {
        let mut transaction = ReadTransaction::acquire(&database.service, STATEMENT_TIMEOUT).await?;
        run(transaction.connection()?, ReadTransaction::BEGIN).await?;
        // Of the first statement is the snapshot that all have.
        let snapshot: String = short(sqlx::query_scalar("SELECT pg_current_snapshot()::text").fetch_one(transaction.connection()?)).await?;
        let seen = Seen::read(&snapshot).unwrap_or_default();
        if seen.has(xid) {
            return Ok(Some(Self { transaction, seen: Arc::new(seen) }));
        }
        transaction.finish().await?;
        Ok(None)
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, QueryError> {
        self.transaction.connection()
    }

    /// Gives the connection back.
    pub(super) async fn close(self) -> Result<(), QueryError> {
        self.transaction.finish().await
    }
}
