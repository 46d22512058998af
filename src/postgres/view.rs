//! The catalogue as one moment has it, which is after a transaction that the stream has.
//!
//! wal2json sends a transaction as soon as its commit is written. Others see it a little later, or much later where the server waits for a
//! standby first.

use std::sync::Arc;

use sqlx::{PgConnection, Postgres, Transaction};

use super::service::{Database, QueryError, short};
use crate::format::relation::Seen;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A snapshot of the catalogue.
pub(super) struct View {
    transaction: Transaction<'static, Postgres>,
    /// The transactions whose doings are in it.
    pub(super) seen: Arc<Seen>,
}

impl View {
    /// None if it has not seen the end of the transaction.
    pub(super) async fn open(database: &Database, xid: Option<u32>) -> Result<Option<Self>, QueryError> {
        let mut transaction = short(database.service.begin_with(BEGIN)).await?;
        // Of the first statement is the snapshot that all have.
        let snapshot: String = short(sqlx::query_scalar("SELECT pg_current_snapshot()::text").fetch_one(&mut *transaction)).await?;
        let seen = Seen::read(&snapshot).unwrap_or_default();
        Ok(seen.has(xid).then(|| Self { transaction, seen: Arc::new(seen) }))
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
