//! The rows of our own table, `pgdeltastream.stream`. Each call is one statement and one transaction.

use sqlx::PgConnection;

use super::replication::System;
use super::service::{Database, QueryError, connect, run, short, within};
use crate::config::{INIT_QUEUE_TIMEOUT, PostgresConfig};
use crate::lsn::Lsn;
use crate::name::SlotName;

/// A stream that was taken over: whose writes count from now on, and where its client was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Names this ownership.
    pub epoch: i64,
    /// What the client acknowledged last, in this server's history.
    pub acknowledged: Option<Lsn>,
    /// Who had it before, and the name of that ownership.
    pub former: Option<(String, i64)>,
}

/// An acknowledged position to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The stream.
    pub slot: SlotName,
    /// The ownership under which it was acknowledged.
    pub epoch: i64,
    /// The position.
    pub acknowledged: Lsn,
}

/// Held by whoever makes or replaces the stream of `/v1/init`: at most one in a database, whichever process.
pub struct InitLock {
    connection: PgConnection,
}

impl InitLock {
    /// Two numbers that no other program's advisory locks are likely to have.
    const WAIT: &str = "SELECT pg_advisory_lock(1885824100, 1768843636)";
    const TRY: &str = "SELECT pg_try_advisory_lock(1885824100, 1768843636)";

    /// Takes the lock if it is free.
    pub async fn try_acquire(config: &PostgresConfig) -> Result<Option<Self>, QueryError> {
        let mut connection = connect(config, "pgdeltastream init").await?;
        let is_free = short(sqlx::query_scalar(Self::TRY).fetch_one(&mut connection)).await?;
        Ok(if is_free { Some(Self { connection }) } else { None })
    }

    /// Waits for its turn.
    pub async fn acquire(config: &PostgresConfig) -> Result<Self, QueryError> {
        let mut connection = connect(config, "pgdeltastream init").await?;
        within(INIT_QUEUE_TIMEOUT, sqlx::query(Self::WAIT).execute(&mut connection)).await?;
        Ok(Self { connection })
    }

    /// Lets the next one in.
    pub async fn release(mut self) {
        let _ = run(&mut self.connection, "SELECT pg_advisory_unlock_all()").await;
    }
}

impl Database {
    /// Writes down that a slot is about to be made.
    pub async fn begin_creation(&self, slot: &SlotName, system: &System, owner: &str) -> Result<(), QueryError> {
        let query = sqlx::query(
            "INSERT INTO pgdeltastream.stream (slot_name, kind, state, system_identifier, timeline, owner)
             VALUES ($1, 'init', 'creating', $2, $3, $4)",
        );
        short(query.bind(slot.as_str()).bind(&system.identifier).bind(system.timeline).bind(owner).execute(&self.service)).await.map(drop)
    }

    /// Writes down that the slot is there.
    pub async fn finish_creation(&self, slot: &SlotName, consistent_point: Lsn) -> Result<(), QueryError> {
        let query = sqlx::query("UPDATE pgdeltastream.stream SET state = 'ready', consistent_point = $2::pg_lsn WHERE slot_name = $1");
        short(query.bind(slot.as_str()).bind(consistent_point.to_string()).execute(&self.service)).await.map(drop)
    }

    /// Writes down that the slot is about to be dropped.
    pub async fn begin_removal(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query("UPDATE pgdeltastream.stream SET state = 'dropping' WHERE slot_name = $1");
        short(query.bind(slot.as_str()).execute(&self.service)).await.map(drop)
    }

    /// Slots that were about to be made or dropped by somebody who did not live to see it. True only under the [`InitLock`].
    pub async fn unfinished(&self) -> Result<Vec<SlotName>, QueryError> {
        let query = sqlx::query_scalar("SELECT slot_name::text FROM pgdeltastream.stream WHERE state <> 'ready'");
        Ok(names(short(query.fetch_all(&self.service)).await?))
    }

    /// The streams that `/v1/init` made.
    pub async fn inits(&self) -> Result<Vec<SlotName>, QueryError> {
        let query = sqlx::query_scalar(
            "SELECT slot_name::text FROM pgdeltastream.stream WHERE kind = 'init' AND state = 'ready' ORDER BY created_at",
        );
        Ok(names(short(query.fetch_all(&self.service)).await?))
    }

    /// Makes us the owner of a stream, and of one that we hear of for the first time an adopted one. None: it is not there any more.
    ///
    /// A position that belongs to another server, or to another history, is forgotten.
    pub async fn take(&self, slot: &SlotName, system: &System, owner: &str) -> Result<Option<Taken>, QueryError> {
        type Row = (i64, Option<String>, Option<String>, Option<i64>);
        let query = sqlx::query_as(
            "WITH former AS MATERIALIZED (SELECT owner, epoch FROM pgdeltastream.stream WHERE slot_name = $1 FOR UPDATE)
             INSERT INTO pgdeltastream.stream AS stream (slot_name, kind, state, system_identifier, timeline, owner)
             SELECT slot_name, 'adopted', 'ready', $2, $3, $4
             FROM pg_replication_slots LEFT JOIN former ON true WHERE slot_name = $1
             ON CONFLICT (slot_name) DO UPDATE SET owner = excluded.owner, epoch = stream.epoch + 1, timeline = excluded.timeline,
                 system_identifier = excluded.system_identifier,
                 acked_lsn = CASE WHEN stream.system_identifier = excluded.system_identifier AND stream.timeline <= excluded.timeline
                                  THEN stream.acked_lsn END
             WHERE stream.state = 'ready'
             RETURNING epoch, acked_lsn::text, (SELECT owner FROM former), (SELECT epoch FROM former)",
        );
        let query = query.bind(slot.as_str()).bind(&system.identifier).bind(system.timeline).bind(owner);
        let row: Option<Row> = short(query.fetch_optional(&self.service)).await?;
        Ok(row.map(|(epoch, acknowledged, owner, former_epoch)| Taken {
            epoch,
            acknowledged: acknowledged.and_then(|lsn| lsn.parse().ok()),
            former: owner.zip(former_epoch),
        }))
    }

    /// Gives a stream back to whom it was taken from, if nobody has taken it since.
    pub async fn give_back(&self, slot: &SlotName, epoch: i64, former_owner: &str, former_epoch: i64) -> Result<(), QueryError> {
        let query = sqlx::query("UPDATE pgdeltastream.stream SET owner = $3, epoch = $4 WHERE slot_name = $1 AND epoch = $2");
        short(query.bind(slot.as_str()).bind(epoch).bind(former_owner).bind(former_epoch).execute(&self.service)).await.map(drop)
    }

    /// Forgets adopted streams whose slots somebody has dropped.
    pub async fn forget_dropped(&self) -> Result<(), QueryError> {
        let query = sqlx::query(
            "DELETE FROM pgdeltastream.stream WHERE kind = 'adopted' AND slot_name NOT IN (SELECT slot_name FROM pg_replication_slots)",
        );
        short(query.execute(&self.service)).await.map(drop)
    }

    /// Who owns a stream: name and epoch. None if it is gone, or about to be.
    pub async fn owner(&self, slot: &SlotName) -> Result<Option<(String, i64)>, QueryError> {
        let query = sqlx::query_as("SELECT owner, epoch FROM pgdeltastream.stream WHERE slot_name = $1 AND state = 'ready'");
        short(query.bind(slot.as_str()).fetch_optional(&self.service)).await
    }

    /// Keeps acknowledged positions, in one statement. None is ever lowered, and those of a former owner are passed over.
    pub async fn keep(&self, positions: &[Position]) -> Result<(), QueryError> {
        let slots: Vec<&str> = positions.iter().map(|position| position.slot.as_str()).collect();
        let epochs: Vec<i64> = positions.iter().map(|position| position.epoch).collect();
        let acknowledged: Vec<String> = positions.iter().map(|position| position.acknowledged.to_string()).collect();
        let query = sqlx::query(
            "UPDATE pgdeltastream.stream SET acked_lsn = due.acked::pg_lsn
             FROM unnest($1::text[], $2::bigint[], $3::text[]) AS due (slot, epoch, acked)
             WHERE slot_name = due.slot AND stream.epoch = due.epoch AND (acked_lsn IS NULL OR acked_lsn < due.acked::pg_lsn)",
        );
        short(query.bind(slots).bind(epochs).bind(acknowledged).execute(&self.service)).await.map(drop)
    }

    /// Forgets a stream.
    pub async fn forget(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query("DELETE FROM pgdeltastream.stream WHERE slot_name = $1");
        short(query.bind(slot.as_str()).execute(&self.service)).await.map(drop)
    }
}

fn names(rows: Vec<String>) -> Vec<SlotName> {
    rows.iter().filter_map(|name| name.parse().ok()).collect()
}
