//! Slots are made with an exported snapshot, and ended, so that none is left over.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::{PostgresConfig, SLOT_CREATION_TIMEOUT, SLOT_LOCK_TIMEOUT, SLOT_RELEASE_TIMEOUT};
use crate::message::Blocker;
use crate::name::SlotName;
use crate::postgres::reader::Anchor;
use crate::postgres::replication::{create_slot, identify};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::{Database, QueryError};
use crate::postgres::streams::NewStream;
use crate::postgres::wire::{Wire, WireError};
use crate::registry::Registry;

/// How often to look whom the creation of a slot is waiting for.
const BLOCKER_INTERVAL: Duration = Duration::from_millis(500);

/// How often to look whether a process that was told to end has let go of its slot.
const RELEASE_INTERVAL: Duration = Duration::from_millis(10);

/// A slot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is a slot of this name.
    #[error("there is a slot or a stream of this name, or one is being made")]
    Exists,
    /// Postgres has to wait for a transaction that is open.
    #[error("{}", describe(.0))]
    Blocked(Blocker),
    /// Open transactions held it up for too long, none of them very long.
    #[error("transactions that write were open for {} s on end, and a slot can be made only when all that were open at its start have ended: try again", .0.as_secs())]
    Busy(Duration),
    /// The service shuts down.
    #[error("the service shuts down")]
    ShuttingDown,
    /// There is no slot left, or no process to serve one.
    #[error(
        "{0}: drop a slot that nobody uses (SELECT slot_name, active FROM pg_replication_slots), or raise max_replication_slots and max_wal_senders"
    )]
    NoneLeft(#[source] ServerError),
    /// The replication connection failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The snapshot could not be taken over, or another statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

fn describe(blocker: &Blocker) -> String {
    let who = match blocker.pid {
        Some(pid) => format!("process {pid} (application \"{}\")", blocker.application),
        None => blocker.application.clone(),
    };
    let age = blocker.age_seconds.map_or(String::new(), |age| format!(" for {age} s"));
    format!("a slot cannot be made while {who} has a transaction open that writes{age}: let it end and try again")
}

/// What it takes to make slots.
pub struct Maker<'a> {
    /// Where Postgres is.
    pub config: &'a PostgresConfig,
    /// Its slots.
    pub database: &'a Database,
    /// Hears of a slot first.
    pub registry: &'a Registry,
    /// The service shuts down.
    pub stop: &'a CancellationToken,
}

impl Maker<'_> {
    /// Makes a stream's slot, and if it is to have one an anchor for its snapshot, which shows exactly what was committed before what the slot
    /// will stream.
    ///
    /// Whatever goes wrong, no slot is left behind: our own table hears of it first, so that even after a crash somebody knows what to drop.
    pub async fn make(&self, stream: &NewStream) -> Result<Option<Anchor>, CreateError> {
        let lock_timeout = format!("{}ms", SLOT_LOCK_TIMEOUT.as_millis());
        let settings = [("lock_timeout", lock_timeout.as_str())];
        let mut wire = Wire::connect(self.config, &format!("pgdeltastream {}", stream.slot), &settings).await?;
        let system = identify(&mut wire).await?;
        if !self.registry.begin_creation(stream, &system).await? {
            return Err(CreateError::Exists);
        }
        match self.make_on(&mut wire, stream).await {
            Ok(anchor) => {
                // The anchor has the snapshot by now: the session that exported it may go.
                wire.close().await;
                Ok(anchor)
            }
            Err(CreateError::Exists) => {
                self.registry.forget(&stream.slot).await?;
                Err(CreateError::Exists)
            }
            Err(error) => {
                self.remove_half_made(&wire, &stream.slot).await;
                Err(error)
            }
        }
    }

    async fn make_on(&self, wire: &mut Wire, stream: &NewStream) -> Result<Option<Anchor>, CreateError> {
        let pid = wire.pid();
        let mut creating = pin!(create_slot(wire, &stream.slot, stream.has_snapshot, SLOT_CREATION_TIMEOUT));
        let mut blocker = None;
        let created = loop {
            tokio::select! {
                created = &mut creating => break created,
                () = self.stop.cancelled() => return Err(CreateError::ShuttingDown),
                // Once the wait is over, nobody can tell any more what it was for.
                () = sleep(BLOCKER_INTERVAL) => blocker = self.database.blocker_of(pid).await.unwrap_or_default().or(blocker),
            }
        };
        let (consistent_point, snapshot) = match created {
            Ok(created) => created,
            Err(WireError::Timeout(waited)) => return Err(CreateError::Busy(waited)),
            Err(WireError::Server(error)) => return Err(refused(error, blocker)),
            Err(other) => return Err(other.into()),
        };
        let anchor = match snapshot {
            Some(snapshot) => Some(Anchor::import(self.config, &stream.slot, &snapshot).await?),
            None => None,
        };
        self.registry.finish_creation(&stream.slot, consistent_point).await?;
        Ok(anchor)
    }

    /// A process that still waits for transactions would finish the slot after we are gone.
    async fn remove_half_made(&self, wire: &Wire, slot: &SlotName) {
        let removed = async {
            self.database.terminate(wire.pid()).await?;
            remove(self.database, self.registry, slot).await
        };
        if let Err(error) = removed.await {
            tracing::error!(%slot, %error, "a slot may have been left half-made: drop it by hand");
        }
    }
}

fn refused(error: ServerError, blocker: Option<Blocker>) -> CreateError {
    match (error.condition(), blocker) {
        (Condition::Exists, _) => CreateError::Exists,
        (Condition::LockTimeout, Some(blocker)) => CreateError::Blocked(blocker),
        (Condition::LockTimeout, None) => CreateError::Busy(SLOT_LOCK_TIMEOUT),
        (Condition::LimitReached, _) => CreateError::NoneLeft(error),
        _ => CreateError::Wire(WireError::Server(error)),
    }
}

/// A slot could not be had for ourselves.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Somebody streams it whom we may not end.
    #[error("slot in use by process {} (application \"{}\"), which our role may not end: stop that process, or GRANT pg_signal_backend to our role", .0.pid.unwrap_or_default(), .0.application)]
    InUse(Blocker),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Ends whoever streams the slot, drops it, and forgets it. If there is no such slot, all is well.
///
/// A row of ours may have come along with a copy of another database: the slot of that name is then not ours, and is left alone.
pub async fn remove(database: &Database, registry: &Registry, slot: &SlotName) -> Result<(), ReleaseError> {
    let deadline = Instant::now() + SLOT_RELEASE_TIMEOUT;
    registry.begin_removal(slot).await?;
    while database.slot(slot).await?.is_some_and(|state| state.is_ours) {
        release(database, slot, deadline).await?;
        match database.drop_slot(slot).await {
            // Somebody was faster than we were.
            Err(error) if error.condition() == Some(Condition::InUse) && Instant::now() < deadline => {}
            Err(error) if error.condition() == Some(Condition::NoSuchObject) => {}
            dropped => dropped?,
        }
    }
    // Its snapshot is of no use any more, whichever process holds it.
    database.terminate_anchor(slot).await?;
    Ok(registry.forget(slot).await?)
}

/// Ends whoever streams the slot, and waits until it is free or the time is over.
pub async fn release(database: &Database, slot: &SlotName, deadline: Instant) -> Result<(), ReleaseError> {
    while let Some(pid) = database.slot(slot).await?.and_then(|state| state.active_pid) {
        match database.terminate_streamer(slot).await {
            Err(error) if error.condition() == Some(Condition::Forbidden) => return Err(ReleaseError::InUse(database.process(pid).await?)),
            terminated => terminated?,
        }
        if Instant::now() >= deadline {
            return Err(ReleaseError::InUse(database.process(pid).await?));
        }
        sleep(RELEASE_INTERVAL).await;
    }
    Ok(())
}
