//! The slots of the server, as its views and functions show them.

use super::service::{Database, QueryError, short};
use crate::lsn::Lsn;
use crate::message::Blocker;
use crate::name::SlotName;
use crate::wal2json::options::OUR_MESSAGES;

/// A replication slot as `pg_replication_slots` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Whether it is one of wal2json, in the database that we are connected to. Others are none of our business.
    pub is_ours: bool,
    /// The process that streams it.
    pub active_pid: Option<i32>,
    /// Everything up to here was confirmed; none while the slot is being made.
    pub confirmed_flush: Option<Lsn>,
    /// Whether the server has thrown away WAL that it needs.
    pub is_lost: bool,
}

/// How many slots there are and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotCount {
    /// Slots of the whole server.
    pub used: i64,
    /// `max_replication_slots`.
    pub limit: i64,
}

type SlotRow = (Option<bool>, Option<i32>, Option<String>, Option<bool>);

impl Database {
    /// Finds a slot.
    pub async fn slot(&self, name: &SlotName) -> Result<Option<Slot>, QueryError> {
        let query = sqlx::query_as(
            "SELECT plugin = 'wal2json' AND database = current_database(), active_pid, confirmed_flush_lsn::text, wal_status = 'lost'
             FROM pg_replication_slots WHERE slot_name = $1",
        );
        let row: Option<SlotRow> = short(query.bind(name.as_str()).fetch_optional(&self.service)).await?;
        Ok(row.map(|(is_ours, active_pid, confirmed_flush, is_lost)| Slot {
            is_ours: is_ours == Some(true),
            active_pid,
            confirmed_flush: confirmed_flush.and_then(|lsn| lsn.parse().ok()),
            is_lost: is_lost == Some(true),
        }))
    }

    /// Counts the slots of the server.
    pub async fn slot_count(&self) -> Result<SlotCount, QueryError> {
        let query = sqlx::query_as("SELECT count(*), current_setting('max_replication_slots')::bigint FROM pg_replication_slots");
        let (used, limit) = short(query.fetch_one(&self.service)).await?;
        Ok(SlotCount { used, limit })
    }

    /// Drops a slot that nobody streams; if there is none of that name, all is well.
    pub async fn drop_slot(&self, name: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
             WHERE slot_name = $1 AND database = current_database() AND plugin = 'wal2json'",
        );
        short(query.bind(name.as_str()).execute(&self.service)).await.map(drop)
    }

    /// Ends the process that streams a slot, if there is one.
    pub async fn terminate_streamer(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active");
        short(query.bind(slot.as_str()).execute(&self.service)).await.map(drop)
    }

    /// Ends the process that streams a slot, if it is that one.
    pub async fn terminate_former(&self, slot: &SlotName, pid: i32) -> Result<(), QueryError> {
        let query =
            sqlx::query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid = $2");
        short(query.bind(slot.as_str()).bind(pid).execute(&self.service)).await.map(drop)
    }

    /// Ends a process of the server, if it is still there.
    pub async fn terminate(&self, pid: i32) -> Result<(), QueryError> {
        short(sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&self.service)).await.map(drop)
    }

    /// What a process is: its application and for how long its transaction has been open, so far as our role may know.
    pub async fn process(&self, pid: i32) -> Result<Blocker, QueryError> {
        let query = sqlx::query_as(
            "SELECT application_name, extract(epoch FROM clock_timestamp() - xact_start)::bigint FROM pg_stat_activity WHERE pid = $1",
        );
        let row: Option<(Option<String>, Option<i64>)> = short(query.bind(pid).fetch_optional(&self.service)).await?;
        let (application, age) = row.unwrap_or_default();
        Ok(Blocker { pid: Some(pid), application: application.unwrap_or_default(), age_seconds: age.and_then(|age| age.try_into().ok()) })
    }

    /// Who a process is waiting for.
    pub async fn blocker_of(&self, pid: i32) -> Result<Option<Blocker>, QueryError> {
        let query = sqlx::query_scalar("SELECT pid FROM unnest(pg_blocking_pids($1)) AS pid LIMIT 1");
        match short(query.bind(pid).fetch_optional(&self.service)).await? {
            Some(0) => self.prepared_transaction().await.map(Some),
            Some(blocker) => self.process(blocker).await.map(Some),
            None => Ok(None),
        }
    }

    /// The oldest prepared transaction, which belongs to no process.
    async fn prepared_transaction(&self) -> Result<Blocker, QueryError> {
        let query = sqlx::query_as(
            "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::bigint FROM pg_prepared_xacts ORDER BY prepared LIMIT 1",
        );
        let row: Option<(String, i64)> = short(query.fetch_optional(&self.service)).await?;
        let (gid, age) = row.unwrap_or_default();
        Ok(Blocker { pid: None, application: format!("prepared transaction {gid}"), age_seconds: age.try_into().ok() })
    }

    /// Writes a message into the WAL that no client gets, so that even where nothing else is written there is something to pass.
    pub async fn heartbeat(&self) -> Result<(), QueryError> {
        let query = sqlx::query("SELECT pg_logical_emit_message(true, $1, '')").bind(OUR_MESSAGES);
        short(query.execute(&self.service)).await.map(drop)
    }

    /// How far the server has written and flushed.
    pub async fn flushed(&self) -> Result<Lsn, QueryError> {
        let flushed: String = short(sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text").fetch_one(&self.service)).await?;
        Ok(flushed.parse().unwrap_or_default())
    }
}
