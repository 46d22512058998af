//! A pooled connection with a transaction of its own, which goes back to the pool only when that has come to its end. sqlx gives one back in the
//! middle of a `BEGIN` that nobody waited for, and whoever comes next reads, for ever, what was there then.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Postgres};

use super::service::{QueryError, run, within};

/// Dropped before it is finished, it hangs up.
pub(super) struct ReadTransaction {
    connection: Option<PoolConnection<Postgres>>,
}

impl Drop for ReadTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl ReadTransaction {
    pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

    /// Waits for a free connection. The transaction is yet to be begun.
    pub(super) async fn acquire(pool: &PgPool, patience: Duration) -> Result<Self, QueryError> {
        Ok(Self { connection: Some(within(patience, pool.acquire()).await?) })
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, QueryError> {
        self.connection.as_deref_mut().ok_or(QueryError::Unreachable(sqlx::Error::PoolClosed))
    }

    /// Ends the transaction in good order and gives the connection back.
    pub(super) async fn finish(mut self) -> Result<(), QueryError> {
        run(self.connection()?, "COMMIT").await?;
        self.connection = None;
        Ok(())
    }
}
