//! What all requests share: the streams there are, the snapshots, the seats, and the tasks that a shutdown waits for.

mod acknowledging;
mod error;
mod making;
mod showing;
mod watching;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{
    CLOSE_TIMEOUT, Config, IMPATIENT_TIMEOUT, Limits, MAX_CREATIONS, Patience, PostgresConfig, SLOT_RELEASE_TIMEOUT, WalSettings,
};
use crate::contract::subscription::Subscription;
use crate::contract::table::TableSchema;
use crate::filter::{FilterError, TablePattern};
use crate::format::{Admission, Events, Format, Records, Transactions};
use crate::lsn::Lsn;
use crate::message::{SnapshotDataRequest, SnapshotTable, StreamFormat, StreamKind, StreamState};
use crate::name::{SlotName, TableName};
use crate::postgres::replication::{Replication, System, common_history, identify};
use crate::postgres::server_error::Condition;
use crate::postgres::service::Database;
use crate::postgres::slots::Slot;
use crate::postgres::wire::{Wire, WireError};
use crate::registry::{Ownership, Registry};
use crate::seat::{Arrival, NotSeated, Occupant, Seats, ShuttingDown};
use crate::slot;
use crate::snapshot::{self, Framing, Page, Pieces, Reading, SnapshotError, Snapshots};
use crate::stream::{Opened, Parts, Route, Session};
use crate::wal2json::options::PluginOptions;

pub use error::Error;

/// How long to wait before a slot is asked for again that somebody else was faster to take.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The service, without its doors.
#[derive(Debug)]
pub struct Sidecar {
    config: PostgresConfig,
    limits: Limits,
    patience: Patience,
    wal: WalSettings,
    database: Database,
    registry: Arc<Registry>,
    snapshots: Snapshots,
    seats: Seats,
    known: Mutex<Known>,
    /// One `/v1/init` after the other, so that those who wait hold no connection.
    init_turn: tokio::sync::Mutex<()>,
    /// The same for other streams, of which some can be made at once.
    creations: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What this process remembers of its streams.
#[derive(Debug, Default)]
struct Known {
    /// Streams of `/v1/init` that are not ended, the latest last. Where there is a registry, that knows better.
    inits: Vec<SlotName>,
    ended: VecDeque<SlotName>,
}

/// A slot that streams.
struct Taken {
    source: Opened,
    /// To whom it belongs.
    ownership: Ownership,
    /// What its client had acknowledged.
    acknowledged: Option<Lsn>,
    /// From where it streams.
    position: Lsn,
}

/// Rows on their way: a JSON array in pieces, of which there is at least one.
pub struct Rows {
    /// The first piece.
    pub first: Bytes,
    /// The others.
    pub rest: Pieces,
}

impl Sidecar {
    /// The service, and its tasks that keep acknowledged positions and let go of old snapshots.
    pub fn new(config: &Config, database: Database, registry: Registry) -> Arc<Self> {
        let sidecar = Arc::new(Self {
            config: config.postgres.clone(),
            limits: config.limits,
            patience: config.patience,
            wal: config.wal,
            database,
            registry: Arc::new(registry),
            snapshots: Snapshots::new(config.snapshots),
            seats: Seats::default(),
            known: Mutex::default(),
            init_turn: tokio::sync::Mutex::default(),
            creations: Semaphore::new(MAX_CREATIONS),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let (registry, stop) = (sidecar.registry.clone(), sidecar.stop.clone());
        sidecar.tasks.spawn(async move { registry.keep_positions(stop).await });
        let (snapshots, stop) = (sidecar.snapshots.clone(), sidecar.stop.clone());
        sidecar.tasks.spawn(async move { snapshots.expire(stop).await });
        sidecar.start_watching();
        sidecar
    }

    /// How long to wait for those at the other ends.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// The tasks that a shutdown waits for.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Reads rows of a snapshot. Returns when the first of them are there, so that what is wrong can still be said.
    pub async fn snapshot_rows(
        &self,
        slot: Option<SlotName>,
        table: TableName,
        request: SnapshotDataRequest,
        framing: Framing,
    ) -> Result<Rows, Error> {
        let snapshot = self.read_snapshot(slot).await?;
        let (sender, mut rest) = snapshot::pieces();
        let (database, stop) = (self.database.clone(), self.stop.clone());
        let page = Page { snapshot, table, request, framing };
        self.tasks.spawn(async move {
            stop.run_until_cancelled(snapshot::read(database, page, sender)).await;
        });
        let first = rest.next().await.unwrap_or(Err(SnapshotError::BrokenOff))?;
        Ok(Rows { first, rest })
    }

    /// The tables of a snapshot that its stream is about.
    pub async fn snapshot_tables(&self, slot: Option<SlotName>, named: &[TablePattern]) -> Result<Vec<SnapshotTable>, Error> {
        let snapshot = self.read_snapshot(slot).await?;
        let record = self.registry.record(snapshot.slot()).await?;
        let filter = record.map(|record| record.stream.filter).unwrap_or_default();
        Ok(snapshot::list(&self.database, &snapshot, &filter, named).await?)
    }

    /// Begins to read a stream's snapshot.
    async fn read_snapshot(&self, slot: Option<SlotName>) -> Result<Reading, Error> {
        let slot = self.known_or_init(slot).await?;
        if let Some(known) = self.snapshots.read(&slot) {
            return known.map_err(|end| SnapshotError::Gone(slot, end).into());
        }
        let record = self.registry.record(&slot).await?;
        let end = showing::end_of_unknown(record.is_none_or(|record| record.stream.has_snapshot));
        Err(SnapshotError::Gone(slot, end).into())
    }

    /// The stream that is meant, if its slot is there.
    async fn known_or_init(&self, slot: Option<SlotName>) -> Result<SlotName, Error> {
        let slot = match slot {
            Some(slot) => slot,
            None => self.init_streams().await?.pop().ok_or(Error::NoInit)?,
        };
        self.known_slot(&slot).await?;
        Ok(slot)
    }

    /// Describes a table as it is now.
    pub async fn table_schema(&self, table: TableName) -> Result<TableSchema, Error> {
        self.database.table_schema(&table).await?.ok_or(Error::NoSuchTable(table))
    }

    /// Opens a stream: all that can be refused is refused here. Whoever has the stream leaves first.
    pub async fn open_stream(self: &Arc<Self>, subscription: Subscription) -> Result<Session, Error> {
        let sidecar = Arc::clone(self);
        let arrival = Arrival::Client { takeover: subscription.takeover };
        self.to_its_end(async move { sidecar.open(subscription, arrival).await }).await
    }

    async fn open(&self, subscription: Subscription, arrival: Arrival) -> Result<Session, Error> {
        let slot = subscription.slot.clone();
        self.usable_slot(&slot).await?;
        let subscription = self.narrowed(subscription).await?;
        let claim = match subscription.claim {
            Some(position) => Some((position, self.reached(position).await?)),
            None => None,
        };
        let format = format(&subscription, self.limits);
        let mut options = subscription.options;
        if subscription.filter.names_tables() {
            // What the catalogue says of a table counts once it has seen the transaction.
            options.switches.include_xids = Some(true);
        }
        let deadline = Instant::now() + SLOT_RELEASE_TIMEOUT;
        let mut occupant = self.seats.take(&slot, arrival, deadline).await?;
        if self.usable_slot(&slot).await?.active_pid.is_some() {
            // It is streamed through another instance, or by another program.
            if !subscription.takeover {
                return Err(NotSeated::Taken.into());
            }
            if !self.registry.may_take_over(&slot).await? {
                return Err(NotSeated::Fought.into());
            }
        }
        let Taken { source, ownership, acknowledged, position } = self.take_slot(&slot, &options, deadline, &mut occupant).await?;
        let (config, database, registry, patience) = (self.config.clone(), self.database.clone(), self.registry.clone(), self.patience);
        let system = source.system.identifier.clone();
        let route = Route { config, database, registry, slot, ownership, system, patience };
        let (kept, limits, max_unacked) = (acknowledged.unwrap_or(position), self.limits, subscription.max_unacked);
        let mut session = Session::new(Parts { route, occupant, source, position, kept, format, options, limits, max_unacked });
        if let Some((position, flushed)) = claim {
            session.accept(position, flushed)?;
        }
        Ok(session)
    }

    /// What the connection wants of what its stream is about.
    async fn narrowed(&self, subscription: Subscription) -> Result<Subscription, Error> {
        let Some(record) = self.registry.record(&subscription.slot).await? else { return Ok(subscription) };
        let stream = record.stream.filter;
        let narrowed = subscription.within(&stream)?;
        // A partition may be named by the one, and what it is a part of by the other.
        if narrowed.filter.is_disjoint() {
            let tables = self.database.streamed_tables().await?;
            if !tables.iter().any(|table| table.is_admitted_by(&narrowed.filter)) {
                return Err(FilterError::Disjoint.into());
            }
        }
        Ok(narrowed)
    }

    /// Takes a slot from whoever has it, and starts to stream it; gives it back if that fails, or if a newer connection comes in between.
    async fn take_slot(
        &self,
        slot: &SlotName,
        options: &PluginOptions,
        deadline: Instant,
        occupant: &mut Occupant,
    ) -> Result<Taken, Error> {
        loop {
            let mut wire = Wire::connect(&self.config, &format!("pgdeltastream {slot}"), &[]).await?;
            let system = identify(&mut wire).await?;
            if system.is_standby {
                return Err(Error::Standby);
            }
            // The owner is written down before the stream starts: whoever loses it can see that it is not theirs any more.
            let taken = self.registry.take(slot, &system).await?;
            let Some((ownership, acknowledged)) = taken else {
                let record = self.registry.record(slot).await?;
                let is_being_made = record.is_some_and(|record| record.state == StreamState::Creating);
                return Err(if is_being_made { Error::BeingMade(slot.clone()) } else { Error::StreamGone(slot.clone()) });
            };
            let started = tokio::select! {
                started = self.start(wire, system, slot, options, acknowledged, deadline) => started,
                reason = occupant.stopped() => Err(Error::Superseded(reason)),
            };
            let error = match started {
                Ok((source, position)) => {
                    return Ok(Taken { source, ownership, acknowledged: acknowledged.map(|(position, _)| position), position });
                }
                Err(error) => error,
            };
            if let Err(error) = self.registry.give_back(&ownership).await {
                tracing::warn!(%slot, %error, "a stream that could not be opened is not given back");
            }
            // Somebody was faster than we were.
            if !error.is_in_use() || Instant::now() >= deadline {
                return Err(error);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn start(
        &self,
        mut wire: Wire,
        system: System,
        slot: &SlotName,
        options: &PluginOptions,
        acknowledged: Option<(Lsn, i32)>,
        deadline: Instant,
    ) -> Result<(Opened, Lsn), Error> {
        let mut position = Lsn::ZERO;
        if let Some((acknowledged, timeline)) = acknowledged {
            let common = common_history(&mut wire, &system, timeline).await?;
            if acknowledged > common {
                return Err(Error::Ahead { slot: slot.clone(), acknowledged, common });
            }
            position = acknowledged;
        }
        slot::release(&self.database, slot, deadline).await?;
        position = position.max(self.usable_slot(slot).await?.confirmed_flush.unwrap_or_default());
        let max_bytes = self.limits.max_bytes(options.is_whole());
        let replication = Replication::start(wire, slot, position, options, max_bytes).await.map_err(|error| match error {
            WireError::Server(error) if error.condition() == Condition::InvalidValue => Error::Unsupported(error),
            WireError::Server(error) if error.condition() == Condition::NotInState => Error::SlotLost(slot.clone()),
            WireError::Server(error) if error.condition() == Condition::NoSuchObject => Error::StreamGone(slot.clone()),
            error => error.into(),
        })?;
        Ok((Opened { replication, system }, position))
    }

    /// The slot, if it can be streamed.
    async fn usable_slot(&self, slot: &SlotName) -> Result<Slot, Error> {
        let state = self.known_slot(slot).await?;
        match state {
            Slot { is_lost: true, .. } => Err(Error::SlotLost(slot.clone())),
            Slot { confirmed_flush: None, .. } => Err(Error::BeingMade(slot.clone())),
            state => Ok(state),
        }
    }

    /// The slot, if it is one of wal2json in our database.
    async fn known_slot(&self, slot: &SlotName) -> Result<Slot, Error> {
        if let Some(state) = self.database.slot(slot).await?.filter(|state| state.is_ours) {
            return Ok(state);
        }
        // It may have been dropped behind our back, or replaced by another process.
        if self.snapshots.knows(slot) {
            self.has_ended(slot).await;
        }
        match self.registry.record(slot).await? {
            Some(record) if record.state == StreamState::Creating => Err(Error::BeingMade(slot.clone())),
            Some(record) if record.stream.kind == StreamKind::Stream => Err(Error::SlotMissing(slot.clone())),
            _ => Err(self.no_stream(slot)),
        }
    }

    /// Does what is done in several steps, even if whoever asked goes away: so nothing is left half-made, and what was taken is given back.
    async fn to_its_end<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
        // While the service ends, nothing is begun that it would have to wait for.
        if self.stop.is_cancelled() {
            return Err(ShuttingDown.into());
        }
        self.tasks.spawn(work).await.unwrap_or(Err(Error::BrokenOff))
    }

    /// Whether there was such a stream, so far as we remember.
    fn no_stream(&self, slot: &SlotName) -> Error {
        let is_gone = self.known().ended.contains(slot);
        if is_gone { Error::StreamGone(slot.clone()) } else { Error::UnknownStream(slot.clone()) }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all sessions and tasks, in good order. Acknowledgements are still taken, and nothing else is begun.
    pub async fn end_tasks(&self) {
        self.seats.close();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Writes down what is due, and gives all connections back.
    pub async fn close(&self) {
        match timeout(IMPATIENT_TIMEOUT, self.registry.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last acknowledgements could not be kept"),
            Err(_) => tracing::warn!("the last acknowledgements could not be kept in time"),
        }
        let _ = timeout(CLOSE_TIMEOUT, self.snapshots.release_all()).await;
        let _ = timeout(CLOSE_TIMEOUT, self.database.close()).await;
    }
}

/// What the client asked for, made of what wal2json writes.
fn format(subscription: &Subscription, limits: Limits) -> Format {
    let include_xids = subscription.options.switches.include_xids == Some(true);
    let admission = Admission::of(&subscription.filter, include_xids);
    let (limit, empty_transactions) = (limits.max_message_bytes, subscription.empty_transactions);
    match subscription.format {
        StreamFormat::Wal2jsonV1 => Format::Transactions(Transactions::new(limit, empty_transactions, admission)),
        StreamFormat::Wal2jsonV2 => Format::Records(Records::new(empty_transactions, admission)),
        StreamFormat::Events => Format::Events(Box::new(Events::new(limit, empty_transactions, subscription.numbers, admission))),
    }
}
