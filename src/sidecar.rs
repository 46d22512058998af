//! What all requests share: the streams there are, the snapshots, the seats, and the tasks that a shutdown waits for.

mod error;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{
    CLOSE_TIMEOUT, IMPATIENT_TIMEOUT, INIT_QUEUE_TIMEOUT, Limits, MAX_ENDED_STREAMS, PostgresConfig, SLOT_RELEASE_TIMEOUT,
};
use crate::contract::subscription::Subscription;
use crate::contract::table::TableSchema;
use crate::format::{Admission, Events, Format, Records, Transactions};
use crate::lsn::Lsn;
use crate::message::{SnapshotDataRequest, StreamFormat};
use crate::name::{SlotName, TableName};
use crate::postgres::replication::{Replication, identify};
use crate::postgres::server_error::Condition;
use crate::postgres::service::{Database, QueryError};
use crate::postgres::slots::Slot;
use crate::postgres::streams::InitLock;
use crate::postgres::wire::{Wire, WireError};
use crate::registry::{Ownership, Registry};
use crate::seat::{Occupant, Reason, Seats, ShuttingDown};
use crate::slot::{self, CreateError, ReleaseError};
use crate::snapshot::{self, Page, Pieces, SnapshotError, Snapshots};
use crate::stream::{Parts, Route, Session};
use crate::wal2json::options::PluginOptions;

pub use error::{InitError, NoStream, OpenError, ReadError, TableError};

/// Different names to try before giving up: with some ten million of them, two clashes in a row are no chance any more.
const MAX_NAME_ATTEMPTS: usize = 5;

/// How long to wait before a slot is asked for again that somebody else was faster to take.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The service, without its doors.
#[derive(Debug)]
pub struct Sidecar {
    config: PostgresConfig,
    limits: Limits,
    database: Database,
    registry: Arc<Registry>,
    snapshots: Snapshots,
    seats: Seats,
    known: Mutex<Known>,
    /// One `/v1/init` after the other, so that those who wait hold no connection.
    turn: tokio::sync::Mutex<()>,
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

/// A slot that streams, to whom it belongs, what its client had acknowledged, and from where it streams.
type Source = (Replication, Ownership, Option<Lsn>, Lsn);

/// Rows on their way: a JSON array in pieces, of which there is at least one.
pub struct Rows {
    /// The first piece.
    pub first: Bytes,
    /// The others.
    pub rest: Pieces,
}

impl Sidecar {
    /// The service, and its task that keeps acknowledged positions.
    pub fn new(config: PostgresConfig, limits: Limits, database: Database, registry: Registry) -> Arc<Self> {
        let sidecar = Arc::new(Self {
            config,
            limits,
            database,
            registry: Arc::new(registry),
            snapshots: Snapshots::default(),
            seats: Seats::default(),
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let (registry, stop) = (sidecar.registry.clone(), sidecar.stop.clone());
        sidecar.tasks.spawn(async move { registry.keep_positions(stop).await });
        sidecar
    }

    /// The tasks that a shutdown waits for.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Makes a new stream, then ends and drops the one that was made before.
    ///
    /// Runs to its end even if whoever asked goes away, so that nothing is left half-made.
    pub async fn init(self: &Arc<Self>) -> Result<SlotName, InitError> {
        let sidecar = Arc::clone(self);
        let made = self.tasks.spawn(async move {
            let (turn, lock) = sidecar.stop.run_until_cancelled(sidecar.init_turn()).await.ok_or(ShuttingDown)??;
            let made = sidecar.replace_init().await;
            lock.release().await;
            drop(turn);
            made
        });
        made.await.unwrap_or(Err(InitError::BrokenOff))
    }

    /// Waits until no other call of `/v1/init`, of this process or another, is at work.
    async fn init_turn(&self) -> Result<(MutexGuard<'_, ()>, InitLock), InitError> {
        let turn = timeout(INIT_QUEUE_TIMEOUT, self.turn.lock()).await.map_err(|_| InitError::Busy)?;
        let lock = InitLock::acquire(&self.config).await.map_err(|error| match error {
            QueryError::Timeout(INIT_QUEUE_TIMEOUT) => InitError::Busy,
            error => error.into(),
        })?;
        Ok((turn, lock))
    }

    async fn replace_init(&self) -> Result<SlotName, InitError> {
        self.clear_unfinished().await?;
        let mut former = self.init_streams().await?;
        let slots = self.database.slot_count().await?;
        if slots.used >= slots.limit {
            for slot in former.drain(..) {
                self.end(&slot).await?;
            }
        }
        let made = self.make_slot().await?;
        tracing::info!(slot = %made, "stream made");
        self.known().inits.push(made.clone());
        for slot in former {
            if self.stop.is_cancelled() {
                break;
            }
            // The new stream stands whatever becomes of the former, which stays marked: the next call, or the next start, tries again.
            if let Err(error) = self.end(&slot).await {
                tracing::warn!(%slot, %error, "the former stream of /v1/init is not ended yet");
            }
        }
        Ok(made)
    }

    /// The streams that `/v1/init` made and that are not ended, the latest last: as our own table has it, or else as this process knows.
    async fn init_streams(&self) -> Result<Vec<SlotName>, QueryError> {
        if self.registry.is_there() { self.registry.inits().await } else { Ok(self.known().inits.clone()) }
    }

    async fn make_slot(&self) -> Result<SlotName, InitError> {
        let mut attempts = 0;
        loop {
            let slot = SlotName::generate();
            attempts += 1;
            if self.database.slot(&slot).await?.is_some() && attempts < MAX_NAME_ATTEMPTS {
                continue;
            }
            match slot::create(&self.config, &self.database, &self.registry, &slot, &self.stop).await {
                Ok(anchor) => {
                    self.snapshots.insert(slot.clone(), anchor);
                    return Ok(slot);
                }
                Err(CreateError::Exists) if attempts < MAX_NAME_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes what instances left behind that died while they made or dropped a slot.
    async fn clear_unfinished(&self) -> Result<(), QueryError> {
        for slot in self.registry.unfinished().await? {
            match slot::remove(&self.database, &self.registry, &slot).await {
                Ok(()) => {
                    self.has_ended(&slot).await;
                    tracing::info!(%slot, "removed a slot that was left unfinished");
                }
                Err(error) => tracing::warn!(%slot, %error, "a slot that was left unfinished cannot be removed yet"),
            }
        }
        self.registry.forget_dropped().await
    }

    /// The same at the start of the service, unless another instance is at it.
    pub async fn clear_leftovers(&self) -> Result<(), QueryError> {
        let Some(lock) = InitLock::try_acquire(&self.config).await? else { return Ok(()) };
        let cleared = self.clear_unfinished().await;
        lock.release().await;
        cleared
    }

    /// Ends a stream of ours, whoever streams it, and drops its slot.
    async fn end(&self, slot: &SlotName) -> Result<(), ReleaseError> {
        self.registry.begin_removal(slot).await?;
        self.seats.clear(slot, Reason::SlotGone, Instant::now() + SLOT_RELEASE_TIMEOUT).await;
        // Of no use from here on, whatever becomes of the slot.
        self.snapshots.release(slot).await;
        slot::remove(&self.database, &self.registry, slot).await?;
        self.has_ended(slot).await;
        tracing::info!(%slot, "stream ended and slot dropped");
        Ok(())
    }

    /// Reads rows of a snapshot. Returns when the first of them are there, so that what is wrong can still be said.
    pub async fn snapshot_rows(&self, slot: Option<SlotName>, table: TableName, request: SnapshotDataRequest) -> Result<Rows, ReadError> {
        let slot = match slot {
            Some(slot) => slot,
            None => self.init_streams().await?.pop().ok_or(NoStream::NoInit)?,
        };
        self.known_slot::<ReadError>(&slot).await?;
        let snapshot = self.snapshots.exported(&slot).ok_or_else(|| SnapshotError::Gone(slot.clone()))?;
        let (sender, mut rest) = snapshot::pieces();
        let (database, stop) = (self.database.clone(), self.stop.clone());
        let page = Page { slot, snapshot, table, request };
        self.tasks.spawn(async move {
            stop.run_until_cancelled(snapshot::read(database, page, sender)).await;
        });
        let first = rest.next().await.unwrap_or(Err(SnapshotError::BrokenOff))?;
        Ok(Rows { first, rest })
    }

    /// Describes a table as it is now.
    pub async fn table_schema(&self, table: TableName) -> Result<TableSchema, TableError> {
        self.database.table_schema(&table).await?.ok_or(TableError::NoSuchTable(table))
    }

    /// Opens a stream: all that can be refused is refused here. Whoever has the stream leaves first.
    ///
    /// Runs to its end even if whoever asked goes away, so that the stream is given back to whom it was taken from.
    pub async fn open_stream(self: &Arc<Self>, subscription: Subscription) -> Result<Session, OpenError> {
        let sidecar = Arc::clone(self);
        let opened = self.tasks.spawn(async move {
            let slot = subscription.slot.clone();
            sidecar.usable_slot(&slot).await?;
            let format = format(&subscription, sidecar.limits);
            let mut options = subscription.options;
            if subscription.filter.names_tables() {
                // What the catalogue says of a table counts once it has seen the transaction.
                options.switches.include_xids = Some(true);
            }
            let deadline = Instant::now() + SLOT_RELEASE_TIMEOUT;
            let mut occupant = sidecar.seats.take(&slot, deadline).await?;
            let (source, ownership, acknowledged, position) = sidecar.take_slot(&slot, &options, deadline, &mut occupant).await?;
            let (config, database, registry) = (sidecar.config.clone(), sidecar.database.clone(), sidecar.registry.clone());
            let route = Route { config, database, registry, slot, ownership };
            let (kept, limits) = (acknowledged.unwrap_or_default(), sidecar.limits);
            Ok(Session::new(Parts { route, occupant, source, position, kept, format, options, limits }))
        });
        opened.await.unwrap_or(Err(OpenError::BrokenOff))
    }

    /// Takes a slot from whoever has it, and starts to stream it; gives it back if that fails, or if a newer connection comes in between.
    async fn take_slot(
        &self,
        slot: &SlotName,
        options: &PluginOptions,
        deadline: Instant,
        occupant: &mut Occupant,
    ) -> Result<Source, OpenError> {
        loop {
            let mut wire = Wire::connect(&self.config, &format!("pgdeltastream {slot}"), &[]).await?;
            let system = identify(&mut wire).await?;
            // The owner is written down before the stream starts: whoever loses it can see that it is not theirs any more.
            let taken = self.registry.take(slot, &system).await?;
            let (ownership, acknowledged) = taken.ok_or_else(|| NoStream::Gone(slot.clone()))?;
            let started = tokio::select! {
                started = self.start(wire, slot, options, acknowledged, deadline) => started,
                reason = occupant.stopped() => Err(OpenError::Superseded(reason)),
            };
            let error = match started {
                Ok((source, position)) => return Ok((source, ownership, acknowledged, position)),
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
        wire: Wire,
        slot: &SlotName,
        options: &PluginOptions,
        acknowledged: Option<Lsn>,
        deadline: Instant,
    ) -> Result<(Replication, Lsn), OpenError> {
        let flushed = self.database.flushed().await?;
        if let Some(acknowledged) = acknowledged.filter(|acknowledged| *acknowledged > flushed) {
            return Err(OpenError::Ahead { slot: slot.clone(), acknowledged, flushed });
        }
        slot::release(&self.database, slot, deadline).await?;
        let confirmed = self.usable_slot(slot).await?.confirmed_flush.unwrap_or_default();
        let position = acknowledged.unwrap_or_default().max(confirmed);
        let max_bytes = self.limits.max_bytes(options.is_whole());
        let source = Replication::start(wire, slot, position, options, max_bytes).await.map_err(|error| match error {
            WireError::Server(error) if error.condition() == Condition::InvalidValue => OpenError::Unsupported(error),
            WireError::Server(error) if error.condition() == Condition::NotInState => OpenError::Lost(slot.clone()),
            WireError::Server(error) if error.condition() == Condition::NoSuchObject => NoStream::Gone(slot.clone()).into(),
            error => error.into(),
        })?;
        Ok((source, position))
    }

    /// The slot, if it can be streamed.
    async fn usable_slot(&self, slot: &SlotName) -> Result<Slot, OpenError> {
        let state = self.known_slot::<OpenError>(slot).await?;
        match state {
            Slot { is_lost: true, .. } => Err(OpenError::Lost(slot.clone())),
            Slot { confirmed_flush: None, .. } => Err(OpenError::BeingMade(slot.clone())),
            state => Ok(state),
        }
    }

    /// The slot, if it is one of wal2json in our database.
    async fn known_slot<E: From<NoStream> + From<QueryError>>(&self, slot: &SlotName) -> Result<Slot, E> {
        if let Some(state) = self.database.slot(slot).await?.filter(|state| state.is_ours) {
            return Ok(state);
        }
        // It may have been dropped behind our back, or replaced by another process.
        if self.snapshots.exported(slot).is_some() {
            self.has_ended(slot).await;
        }
        let is_gone = self.known().ended.contains(slot);
        Err(if is_gone { NoStream::Gone(slot.clone()) } else { NoStream::Unknown(slot.clone()) }.into())
    }

    /// A session found its slot dropped or lost: lets go of its snapshot, which holds back vacuum, and remembers the name.
    pub async fn slot_gone(&self, slot: &SlotName) {
        {
            let ended = &mut self.known().ended;
            ended.retain(|ended| ended != slot);
            if ended.len() >= MAX_ENDED_STREAMS {
                ended.pop_front();
            }
            ended.push_back(slot.clone());
        }
        self.snapshots.release(slot).await;
    }

    /// The slot is dropped: there is nothing left to end.
    async fn has_ended(&self, slot: &SlotName) {
        self.known().inits.retain(|init| init != slot);
        self.slot_gone(slot).await;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all sessions and tasks, in good order, and gives all connections back.
    pub async fn shut_down(&self) {
        self.seats.close();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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
