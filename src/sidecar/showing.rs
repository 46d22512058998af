//! What is told of streams and their snapshots.

use std::collections::HashMap;

use super::{Error, Sidecar};
use crate::config::MAX_LISTED_TABLES;
use crate::filter::{Actions, Filter, TablePattern};
use crate::message::{SnapshotInfo, SnapshotState, StreamInfo, StreamState, WalStatus};
use crate::name::SlotName;
use crate::postgres::reader::Exported;
use crate::postgres::service::QueryError;
use crate::postgres::streamed::StreamedTable;
use crate::postgres::streams::Record;
use crate::snapshot::{End, SnapshotCondition};

impl Sidecar {
    /// All streams of this database.
    pub async fn show_streams(&self) -> Result<Vec<StreamInfo>, Error> {
        self.needs_registry()?;
        let records = self.registry.records().await?;
        Ok(self.describe(records).await?)
    }

    /// One of them.
    pub async fn show_stream(&self, slot: &SlotName) -> Result<StreamInfo, Error> {
        self.needs_registry()?;
        let record = self.registry.record(slot).await?.ok_or_else(|| self.no_stream(slot))?;
        self.describe(vec![record]).await?.pop().ok_or(Error::BrokenOff)
    }

    /// Lets a snapshot go, if it is there. Who reads it may go on to the end.
    pub async fn release_snapshot(&self, slot: Option<SlotName>) -> Result<(), Error> {
        let slot = self.known_or_init(slot).await?;
        if self.snapshots.knows(&slot) {
            self.snapshots.release(&slot).await;
        } else {
            // If there is one, it is another instance's.
            self.database.terminate_anchor(&slot).await?;
        }
        Ok(())
    }

    async fn describe(&self, records: Vec<Record>) -> Result<Vec<StreamInfo>, QueryError> {
        let tables = self.database.streamed_tables().await?;
        let ages = self.xmin_ages(&records).await?;
        Ok(records.into_iter().map(|record| self.info(record, &tables, &ages)).collect())
    }

    /// For how long the snapshots hold back vacuum, by their streams. Those that are not there any more are lost.
    async fn xmin_ages(&self, records: &[Record]) -> Result<HashMap<SlotName, i64>, QueryError> {
        let ready: Vec<(SlotName, Exported)> = records
            .iter()
            .filter_map(|record| match self.snapshots.condition(&record.stream.slot)? {
                SnapshotCondition::Ready { exported, .. } => Some((record.stream.slot.clone(), exported)),
                SnapshotCondition::Ended(_) => None,
            })
            .collect();
        if ready.is_empty() {
            return Ok(HashMap::new());
        }
        let exported: Vec<&Exported> = ready.iter().map(|(_, exported)| exported).collect();
        let ages = self.database.xmin_ages(&exported).await?;
        let mut known = HashMap::new();
        for ((slot, exported), age) in ready.iter().zip(ages) {
            match age {
                Some(age) => drop(known.insert(slot.clone(), age)),
                None => self.snapshots.lost(slot, exported),
            }
        }
        Ok(known)
    }

    fn info(&self, record: Record, tables: &[StreamedTable], ages: &HashMap<SlotName, i64>) -> StreamInfo {
        let (snapshot, wal_alarm) = (self.snapshot_info(&record, ages), self.wal_alarm(&record));
        let Record { stream, state, created_at, acknowledged, slot: status } = record;
        let actions = stream.filter.actions.clone().unwrap_or_else(Actions::all);
        // What is still to be written down is newer.
        let acknowledged = acknowledged.max(self.registry.due(&stream.slot));
        let sent = self.seats.sent(&stream.slot);
        let wal_status = match &status {
            Some(status) => WalStatus::of(status.wal_status.as_deref().unwrap_or_default()),
            None if state == StreamState::Creating => WalStatus::Unknown,
            None => WalStatus::Missing,
        };
        let names = |patterns: &[TablePattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        StreamInfo {
            slot_name: stream.slot.to_string(),
            kind: stream.kind,
            state,
            tables: names(&stream.filter.tables.concat()),
            exclude_tables: names(&stream.filter.exclude_tables),
            unmatched: unmatched(&stream.filter, tables),
            tables_without_identity: if actions.need_identity() { without_identity(&stream.filter, tables) } else { vec![] },
            actions: actions.iter().map(Into::into).collect(),
            created_at,
            active: status.as_ref().is_some_and(|status| status.active),
            confirmed_flush_lsn: status.as_ref().and_then(|status| Some(status.confirmed_flush?.to_string())),
            acked_lsn: acknowledged.map(|lsn| lsn.to_string()),
            sent_lsn: sent.map(|lsn| lsn.to_string()),
            lag_bytes: status.as_ref().and_then(|status| status.lag_bytes),
            retained_wal_bytes: status.as_ref().and_then(|status| status.retained_wal_bytes),
            wal_status,
            wal_alarm,
            snapshot,
        }
    }

    fn snapshot_info(&self, record: &Record, ages: &HashMap<SlotName, i64>) -> SnapshotInfo {
        let slot = &record.stream.slot;
        let (state, expires_at) = match self.snapshots.condition(slot) {
            Some(SnapshotCondition::Ready { expires_at, .. }) => (SnapshotState::Ready, expires_at),
            Some(SnapshotCondition::Ended(end)) => (state_of(end), None),
            None => (state_of(end_of_unknown(record.stream.has_snapshot)), None),
        };
        SnapshotInfo {
            state,
            expires_at: expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            xmin_age: ages.get(slot).copied(),
        }
    }
}

/// Of a snapshot that this process has never known, all that is known is whether there was one.
pub(super) fn end_of_unknown(has_snapshot: bool) -> End {
    if has_snapshot { End::Lost } else { End::Never }
}

fn state_of(end: End) -> SnapshotState {
    match end {
        End::Released => SnapshotState::Released,
        End::Unread | End::TooOld => SnapshotState::Expired,
        End::Lost => SnapshotState::Lost,
        End::Never => SnapshotState::None,
    }
}

/// Patterns that name no table now.
fn unmatched(filter: &Filter, tables: &[StreamedTable]) -> Vec<String> {
    let names_one = |pattern: &&TablePattern| {
        !tables.iter().any(|table| table.names.first().is_some_and(|name| pattern.matches(&name.schema, &name.table)))
    };
    filter.patterns().filter(names_one).map(ToString::to_string).collect()
}

fn without_identity(filter: &Filter, tables: &[StreamedTable]) -> Vec<String> {
    let without = tables.iter().filter(|table| !table.has_identity && table.is_admitted_by(filter));
    without.filter_map(|table| Some(table.names.first()?.to_string())).take(MAX_LISTED_TABLES).collect()
}
