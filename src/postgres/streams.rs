//! The rows of our own table, `pgdeltastream.stream`. Each call is one statement and one transaction.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::replication::System;
use super::service::{Database, QueryError, connect, run, short, within};
use crate::config::{INIT_QUEUE_TIMEOUT, PostgresConfig};
use crate::filter::{Action, Filter, TablePattern};
use crate::lsn::Lsn;
use crate::message::{StreamKind, StreamState};
use crate::name::SlotName;

/// A stream that was taken over: whose writes count from now on, and where its client was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Names this ownership.
    pub epoch: i64,
    /// What the client acknowledged last, and the timeline in which it did.
    pub acknowledged: Option<(Lsn, i32)>,
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
    /// The history that it is in.
    pub timeline: i32,
}

/// Held while streams are made or removed: advisory locks of one connection. Whoever dies lets go of them.
pub struct Lock {
    connection: PgConnection,
}

impl Lock {
    // Two numbers that no other program's advisory locks are likely to have.
    const INIT: &str = "SELECT pg_advisory_lock(1885824100, 1768843636)";
    const TRY_INIT: &str = "SELECT pg_try_advisory_lock(1885824100, 1768843636)";
    const TRY_STREAM: &str = "SELECT pg_try_advisory_lock(1885824101, hashtext($1))";

    /// A connection for locks, without any.
    pub async fn connect(config: &PostgresConfig) -> Result<Self, QueryError> {
        Ok(Self { connection: connect(config, "pgdeltastream lock").await? })
    }

    /// Waits for its turn to make or replace the stream of `/v1/init`: at most one in a database, whichever process.
    pub async fn init(&mut self) -> Result<(), QueryError> {
        within(INIT_QUEUE_TIMEOUT, sqlx::query(Self::INIT).execute(&mut self.connection)).await.map(drop)
    }

    /// Takes that turn if it is free.
    pub async fn try_init(&mut self) -> Result<bool, QueryError> {
        short(sqlx::query_scalar(Self::TRY_INIT).fetch_one(&mut self.connection)).await
    }

    /// Takes the right to make a slot of this name, unless somebody is about to. Who has it can tell that what is unfinished was given up.
    pub async fn try_stream(&mut self, slot: &SlotName) -> Result<bool, QueryError> {
        short(sqlx::query_scalar(Self::TRY_STREAM).bind(slot.as_str()).fetch_one(&mut self.connection)).await
    }

    /// Lets the next one in.
    pub async fn release(mut self) {
        let _ = run(&mut self.connection, "SELECT pg_advisory_unlock_all()").await;
    }
}

/// A stream that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream {
    /// Its slot, and so its name.
    pub slot: SlotName,
    /// Who asks for it.
    pub kind: StreamKind,
    /// What it is about.
    pub filter: Filter,
    /// Whether to export a snapshot.
    pub has_snapshot: bool,
}

/// A stream as our table has it, and its slot as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it was made as.
    pub stream: NewStream,
    /// Whether it is finished.
    pub state: StreamState,
    /// In UTC, as RFC 3339 has it.
    pub created_at: String,
    /// What its client acknowledged last, so far as it was written down.
    pub acknowledged: Option<Lsn>,
    /// Its slot; none if there is no such slot, or it is none of wal2json in this database.
    pub slot: Option<SlotStatus>,
}

/// What `pg_replication_slots` shows of a stream's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStatus {
    /// Whether somebody streams it.
    pub active: bool,
    /// Everything up to here was confirmed; none while the slot is being made.
    pub confirmed_flush: Option<Lsn>,
    /// From there to the end of the WAL.
    pub lag_bytes: Option<i64>,
    /// WAL that the server keeps for it.
    pub retained_wal_bytes: Option<i64>,
    /// `pg_replication_slots.wal_status`.
    pub wal_status: Option<String>,
}

const RECORDS: &str = "
SELECT s.slot_name::text, s.kind, s.state, s.tables, s.exclude_tables, s.actions, s.has_snapshot,
    to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), s.acked_lsn::text,
    r.active, r.confirmed_flush_lsn::text, (pg_current_wal_lsn() - r.confirmed_flush_lsn)::bigint,
    (pg_current_wal_lsn() - r.restart_lsn)::bigint, r.wal_status
FROM pgdeltastream.stream s
LEFT JOIN pg_replication_slots r ON r.slot_name = s.slot_name AND r.plugin = 'wal2json' AND r.database = current_database()";

impl Database {
    /// Writes down that a slot is about to be made. False: there is a stream of that name.
    pub async fn begin_creation(&self, stream: &NewStream, system: &System, owner: &str) -> Result<bool, QueryError> {
        let query = sqlx::query(
            "INSERT INTO pgdeltastream.stream
                 (slot_name, kind, state, tables, exclude_tables, actions, has_snapshot, system_identifier, timeline, owner)
             VALUES ($1, $2, 'creating', $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        );
        let filter = &stream.filter;
        let patterns = |patterns: &[TablePattern]| patterns.iter().map(TablePattern::to_string).collect::<Vec<_>>();
        let actions = filter.actions.as_ref().map(|actions| actions.iter().map(Action::as_str).collect::<Vec<_>>());
        let query = query.bind(stream.slot.as_str()).bind(stream.kind.as_str()).bind(patterns(&filter.tables.concat()));
        let query = query.bind(patterns(&filter.exclude_tables)).bind(actions).bind(stream.has_snapshot);
        let query = query.bind(&system.identifier).bind(system.timeline).bind(owner);
        Ok(short(query.execute(&self.service)).await?.rows_affected() > 0)
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

    /// Writes down that the slot is not to be dropped after all.
    pub async fn undo_removal(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query("UPDATE pgdeltastream.stream SET state = 'ready' WHERE slot_name = $1 AND state = 'dropping'");
        short(query.bind(slot.as_str()).execute(&self.service)).await.map(drop)
    }

    /// Slots that are about to be made or dropped, perhaps by somebody who did not live to see it: see [`Lock::try_stream`].
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

    /// All streams, by their names.
    pub async fn records(&self) -> Result<Vec<Record>, QueryError> {
        let query = sqlx::query(AssertSqlSafe(format!("{RECORDS} ORDER BY s.slot_name")));
        short(query.fetch_all(&self.service)).await?.iter().map(|row| Ok(record(row)?)).collect()
    }

    /// One of them.
    pub async fn record(&self, slot: &SlotName) -> Result<Option<Record>, QueryError> {
        let query = sqlx::query(AssertSqlSafe(format!("{RECORDS} WHERE s.slot_name = $1"))).bind(slot.as_str());
        let row = short(query.fetch_optional(&self.service)).await?;
        Ok(row.as_ref().map(record).transpose()?)
    }

    /// Makes us the owner of a stream, and of one that we hear of for the first time an adopted one. None: it is not there any more.
    ///
    /// A position that belongs to another server is forgotten.
    pub async fn take(&self, slot: &SlotName, system: &System, owner: &str) -> Result<Option<Taken>, QueryError> {
        type Row = (i64, Option<String>, i32, Option<String>, Option<i64>);
        let query = sqlx::query_as(
            "WITH former AS MATERIALIZED (SELECT owner, epoch FROM pgdeltastream.stream WHERE slot_name = $1 FOR UPDATE)
             INSERT INTO pgdeltastream.stream AS stream (slot_name, kind, state, system_identifier, timeline, owner)
             SELECT slot_name, 'adopted', 'ready', $2, $3, $4
             FROM pg_replication_slots LEFT JOIN former ON true WHERE slot_name = $1
             ON CONFLICT (slot_name) DO UPDATE SET owner = excluded.owner, epoch = stream.epoch + 1,
                 system_identifier = excluded.system_identifier,
                 acked_lsn = CASE WHEN stream.system_identifier = excluded.system_identifier THEN stream.acked_lsn END,
                 timeline = CASE WHEN stream.system_identifier = excluded.system_identifier THEN stream.timeline ELSE excluded.timeline END
             WHERE stream.state = 'ready'
             RETURNING epoch, acked_lsn::text, timeline, (SELECT owner FROM former), (SELECT epoch FROM former)",
        );
        let query = query.bind(slot.as_str()).bind(&system.identifier).bind(system.timeline).bind(owner);
        let row: Option<Row> = short(query.fetch_optional(&self.service)).await?;
        Ok(row.map(|(epoch, acknowledged, timeline, owner, former_epoch)| Taken {
            epoch,
            acknowledged: acknowledged.and_then(|lsn| lsn.parse().ok()).map(|lsn| (lsn, timeline)),
            former: owner.zip(former_epoch),
        }))
    }

    /// Counts a takeover from another instance, unless there were so many of late; then false.
    pub async fn take_over(&self, slot: &SlotName, period: Duration, max: usize) -> Result<bool, QueryError> {
        let query = sqlx::query_scalar(
            "WITH recent AS MATERIALIZED (
                 SELECT ARRAY(SELECT at FROM unnest(taken_over_at) AS at
                              WHERE at BETWEEN clock_timestamp() - make_interval(secs => $2) AND clock_timestamp()) AS at
                 FROM pgdeltastream.stream WHERE slot_name = $1 FOR UPDATE),
             counted AS (
                 UPDATE pgdeltastream.stream SET taken_over_at = recent.at || clock_timestamp()
                 FROM recent WHERE slot_name = $1 AND cardinality(recent.at) < $3)
             SELECT NOT EXISTS (SELECT FROM recent WHERE cardinality(at) >= $3)",
        );
        short(query.bind(slot.as_str()).bind(period.as_secs_f64()).bind(i32::try_from(max).unwrap_or(i32::MAX)).fetch_one(&self.service))
            .await
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
        let timelines: Vec<i32> = positions.iter().map(|position| position.timeline).collect();
        let query = sqlx::query(
            "UPDATE pgdeltastream.stream SET acked_lsn = due.acked::pg_lsn, timeline = due.timeline
             FROM unnest($1::text[], $2::bigint[], $3::text[], $4::integer[]) AS due (slot, epoch, acked, timeline)
             WHERE slot_name = due.slot AND stream.epoch = due.epoch AND (acked_lsn IS NULL OR acked_lsn < due.acked::pg_lsn)",
        );
        short(query.bind(slots).bind(epochs).bind(acknowledged).bind(timelines).execute(&self.service)).await.map(drop)
    }

    /// Forgets a stream.
    pub async fn forget(&self, slot: &SlotName) -> Result<(), QueryError> {
        let query = sqlx::query("DELETE FROM pgdeltastream.stream WHERE slot_name = $1");
        short(query.bind(slot.as_str()).execute(&self.service)).await.map(drop)
    }
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let lsn = |text: Option<String>| text.and_then(|text| text.parse().ok());
    // What is in our own table was written by us; what cannot be read was not, and means nothing.
    let patterns = |texts: Vec<String>| texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<TablePattern>>();
    let actions: Option<Vec<String>> = row.try_get(5)?;
    let tables = patterns(row.try_get(3)?);
    let filter = Filter {
        tables: if tables.is_empty() { vec![] } else { vec![tables] },
        exclude_tables: patterns(row.try_get(4)?),
        actions: actions.map(|actions| actions.iter().filter_map(|action| action.parse().ok()).collect()),
    };
    let name: String = row.try_get(0)?;
    let slot = name.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let active: Option<bool> = row.try_get(9)?;
    let status = |active| {
        Ok::<_, sqlx::Error>(SlotStatus {
            active,
            confirmed_flush: lsn(row.try_get(10)?),
            lag_bytes: row.try_get(11)?,
            retained_wal_bytes: row.try_get(12)?,
            wal_status: row.try_get(13)?,
        })
    };
    Ok(Record {
        stream: NewStream { slot, kind: StreamKind::of(row.try_get(1)?), filter, has_snapshot: row.try_get(6)? },
        state: StreamState::of(row.try_get(2)?),
        created_at: row.try_get(7)?,
        acknowledged: lsn(row.try_get(8)?),
        slot: active.map(status).transpose()?,
    })
}

fn names(rows: Vec<String>) -> Vec<SlotName> {
    rows.iter().filter_map(|name| name.parse().ok()).collect()
}
