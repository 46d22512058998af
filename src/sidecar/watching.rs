//! What is done unasked: whether the service is ready, and the WAL that the server keeps for streams.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::{Error, Sidecar};
use crate::config::{IMPATIENT_TIMEOUT, SLOT_RELEASE_TIMEOUT, WAL_PATIENCE, WAL_WATCH_INTERVAL, WalLimitAction};
use crate::lsn::Lsn;
use crate::message::{StreamKind, StreamState, WalAlarm};
use crate::name::SlotName;
use crate::postgres::service::QueryError;
use crate::postgres::streams::{Lock, Record};
use crate::postgres::wire::{Wire, WireError};
use crate::seat::{Reason, ShuttingDown};

/// What was seen of a stream's WAL.
#[derive(Debug, Clone, Copy)]
struct Watched {
    alarm: WalAlarm,
    confirmed: Option<Lsn>,
    /// Since when nothing was confirmed, or since its client was last disconnected.
    stands_since: Instant,
}

impl Sidecar {
    /// Whether Postgres can be reached and streamed from, and everybody who is connected gets what there is.
    pub async fn readiness(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(ShuttingDown.into());
        }
        let asking = timeout(IMPATIENT_TIMEOUT, self.database.flushed()).await;
        asking.map_err(|_| QueryError::Timeout(IMPATIENT_TIMEOUT))??;
        if let Some((slot, reason)) = self.seats.stalled().into_iter().next() {
            return Err(Error::Stalled { slot, reason });
        }
        // Those who are connected may have all the processes that there are; where nobody is, one must be to be had.
        if self.seats.are_free() {
            let dialling = timeout(IMPATIENT_TIMEOUT, Wire::connect(&self.config, "pgdeltastream", &[])).await;
            let dialled = dialling.map_err(|_| WireError::Timeout(IMPATIENT_TIMEOUT))?.map_err(|error| match error {
                WireError::Server(error) => Error::Query(QueryError::Server(error)),
                error => error.into(),
            });
            dialled?.close().await;
        }
        Ok(())
    }

    /// Starts what goes on until the service stops.
    pub(super) fn start_watching(self: &Arc<Self>) {
        if self.wal.has_limits() && !self.registry.is_there() {
            tracing::warn!("WAL_WARN_BYTES and WAL_LIMIT_BYTES do nothing without tables of this service's own, which name its streams");
        } else if self.wal.has_limits() {
            let sidecar = Arc::clone(self);
            self.tasks.spawn(async move { sidecar.stop.run_until_cancelled(sidecar.watch()).await });
        }
        if let Some(interval) = self.wal.heartbeat() {
            let sidecar = Arc::clone(self);
            let beating = async move {
                loop {
                    sleep(interval).await;
                    if let Err(error) = sidecar.database.heartbeat().await {
                        tracing::warn!(%error, "no heartbeat was written");
                    }
                }
            };
            let stop = self.stop.clone();
            self.tasks.spawn(async move { stop.run_until_cancelled_owned(beating).await });
        }
    }

    async fn watch(self: &Arc<Self>) {
        let mut watched = HashMap::new();
        loop {
            sleep(WAL_WATCH_INTERVAL).await;
            match self.registry.records().await {
                Ok(records) => {
                    let mut former = mem::take(&mut watched);
                    for record in records.into_iter().filter(|record| record.state == StreamState::Ready) {
                        let slot = record.stream.slot.clone();
                        let now = self.look_at(&record, former.remove(&slot)).await;
                        watched.insert(slot, now);
                    }
                }
                Err(error) => tracing::warn!(%error, "how much WAL is kept for streams cannot be looked at"),
            }
        }
    }

    /// Says how a stream is doing, if that has changed, and does what is to be done about it.
    async fn look_at(self: &Arc<Self>, record: &Record, former: Option<Watched>) -> Watched {
        let slot = &record.stream.slot;
        let bytes = record.slot.as_ref().and_then(|status| status.retained_wal_bytes).unwrap_or_default();
        let alarm = self.wal_alarm(record);
        if alarm != former.map_or(WalAlarm::None, |former| former.alarm) {
            match alarm {
                WalAlarm::None => tracing::info!(%slot, bytes, "the server keeps less WAL for the stream again"),
                WalAlarm::Warning => tracing::warn!(%slot, bytes, "the server keeps WAL for the stream: more than WAL_WARN_BYTES"),
                WalAlarm::Limit => tracing::error!(%slot, bytes, "the server keeps WAL for the stream: more than WAL_LIMIT_BYTES"),
            }
        }
        let confirmed = record.slot.as_ref().and_then(|status| status.confirmed_flush);
        let is_new = former.is_none_or(|former| former.alarm != alarm);
        let standing = former.filter(|former| former.confirmed == confirmed);
        let mut now = Watched { alarm, confirmed, stands_since: standing.map_or_else(Instant::now, |former| former.stands_since) };
        let is_to_leave = is_new || now.stands_since.elapsed() >= WAL_PATIENCE;
        match self.wal.limit_action {
            WalLimitAction::Drop if alarm == WalAlarm::Limit && record.stream.kind != StreamKind::Adopted => {
                let (sidecar, slot) = (Arc::clone(self), slot.clone());
                let dropping = self.to_its_end(async move { sidecar.drop_for_its_wal(&slot).await });
                if let Err(error) = dropping.await {
                    tracing::warn!(slot = %record.stream.slot, %error, "the slot cannot be dropped yet");
                }
            }
            // Who has just come again is given time: it may have much to take before it can acknowledge anything.
            WalLimitAction::Drop | WalLimitAction::Disconnect if alarm == WalAlarm::Limit && is_to_leave => {
                self.seats.clear(slot, Reason::TooMuchWal, Instant::now() + SLOT_RELEASE_TIMEOUT).await;
                now.stands_since = Instant::now();
            }
            WalLimitAction::None | WalLimitAction::Disconnect | WalLimitAction::Drop => {}
        }
        now
    }

    /// If that is still to be done: it may have been acknowledged, or deleted and made anew, since it was looked at.
    async fn drop_for_its_wal(&self, slot: &SlotName) -> Result<(), Error> {
        let mut lock = Lock::connect(&self.config).await?;
        let ended = async {
            match self.registry.record(slot).await? {
                Some(record) if self.wal_alarm(&record) == WalAlarm::Limit => self.end(&mut lock, slot, Reason::DroppedForItsWal).await,
                _ => Ok(()),
            }
        };
        let ended = ended.await;
        lock.release().await;
        ended
    }

    /// Whether the server keeps more WAL for a stream than is good for it.
    pub(super) fn wal_alarm(&self, record: &Record) -> WalAlarm {
        let bytes = record.slot.as_ref().and_then(|status| status.retained_wal_bytes).unwrap_or_default();
        let bytes = u64::try_from(bytes).unwrap_or_default();
        if self.wal.is_over_limit(bytes) {
            WalAlarm::Limit
        } else if self.wal.is_warned_of(bytes) {
            WalAlarm::Warning
        } else {
            WalAlarm::None
        }
    }
}
