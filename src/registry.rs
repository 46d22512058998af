//! What must outlive this process and Postgres' own memory: which streams are ours, and what their clients acknowledged.
//!
//! Without the right to have tables here, all of it is empty and nothing is kept: streams work, and after a restart of Postgres some of
//! what was acknowledged may come again.
//!
//! While streams run, only positions that clients acknowledged are written, at most once a second for all of them together: each write is
//! an empty transaction on every slot of the database.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{MAX_TAKEOVERS, REGISTRY_INTERVAL, TAKEOVER_PERIOD};
use crate::lsn::Lsn;
use crate::name::SlotName;
use crate::postgres::replication::System;
use crate::postgres::service::{Database, QueryError};
use crate::postgres::streams::{NewStream, Position, Record};

/// Our own tables, if we may have them.
#[derive(Debug)]
pub struct Registry {
    database: Option<Database>,
    instance: String,
    due: Mutex<HashMap<SlotName, Position>>,
    /// Wakes [`Registry::keep_positions`] when something is due.
    wake: Notify,
    /// Held by whoever writes what is due.
    writing: tokio::sync::Mutex<()>,
}

/// Whose a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ours.
    Owner,
    /// Another session's: of this process or another.
    FormerOwner,
    /// Nobody's: it is being dropped, or was.
    Gone,
    /// Ours, in a state of the database that does not know of it yet: it was restored.
    Restored,
}

/// The right to write a stream's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    slot: SlotName,
    epoch: i64,
    former: Option<(String, i64)>,
}

impl Registry {
    /// The registry in this database, or none.
    pub fn new(database: Option<Database>) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let instance = format!("{}-{started:x}", std::process::id());
        Self { database, instance, due: Mutex::default(), wake: Notify::new(), writing: tokio::sync::Mutex::default() }
    }

    /// Writes down that a slot is about to be made. False: there is a stream of that name.
    pub async fn begin_creation(&self, stream: &NewStream, system: &System) -> Result<bool, QueryError> {
        let Some(database) = &self.database else { return Ok(true) };
        database.begin_creation(stream, system, &self.instance).await
    }

    /// Writes down that the slot is there.
    pub async fn finish_creation(&self, slot: &SlotName, consistent_point: Lsn) -> Result<(), QueryError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.finish_creation(slot, consistent_point).await
    }

    /// Whether anything is kept at all.
    pub fn is_there(&self) -> bool {
        self.database.is_some()
    }

    /// Forgets adopted streams whose slots somebody has dropped.
    pub async fn forget_dropped(&self) -> Result<(), QueryError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.forget_dropped().await
    }

    /// Slots that are about to be made or dropped, perhaps by an instance that is dead.
    pub async fn unfinished(&self) -> Result<Vec<SlotName>, QueryError> {
        let Some(database) = &self.database else { return Ok(vec![]) };
        database.unfinished().await
    }

    /// The streams that `/v1/init` made, whichever process it was asked of.
    pub async fn inits(&self) -> Result<Vec<SlotName>, QueryError> {
        let Some(database) = &self.database else { return Ok(vec![]) };
        database.inits().await
    }

    /// All streams, by their names.
    pub async fn records(&self) -> Result<Vec<Record>, QueryError> {
        let Some(database) = &self.database else { return Ok(vec![]) };
        database.records().await
    }

    /// A stream, if it is one of ours.
    pub async fn record(&self, slot: &SlotName) -> Result<Option<Record>, QueryError> {
        let Some(database) = &self.database else { return Ok(None) };
        database.record(slot).await
    }

    /// What the client of a stream acknowledged last, if that is still to be written down.
    pub fn due(&self, slot: &SlotName) -> Option<Lsn> {
        self.due_positions().get(slot).map(|due| due.acknowledged)
    }

    /// Makes us the owner of a stream, and says what its client acknowledged last, and in which timeline. None: the stream is not there any more.
    pub async fn take(&self, slot: &SlotName, system: &System) -> Result<Option<(Ownership, Option<(Lsn, i32)>)>, QueryError> {
        let Some(database) = &self.database else { return Ok(Some((Ownership { slot: slot.clone(), epoch: 0, former: None }, None))) };
        // What was acknowledged under the ownership that ends here would not count any more.
        self.flush().await?;
        let taken = database.take(slot, system, &self.instance).await?;
        Ok(taken.map(|taken| (Ownership { slot: slot.clone(), epoch: taken.epoch, former: taken.former }, taken.acknowledged)))
    }

    /// Whether a stream may be taken from another instance: not if it went to and fro of late.
    pub async fn may_take_over(&self, slot: &SlotName) -> Result<bool, QueryError> {
        let Some(database) = &self.database else { return Ok(true) };
        database.take_over(slot, TAKEOVER_PERIOD, MAX_TAKEOVERS).await
    }

    /// Gives a stream back that could not be opened after all, so that whoever has it keeps it.
    pub async fn give_back(&self, ownership: &Ownership) -> Result<(), QueryError> {
        let (Some(database), Some((owner, epoch))) = (&self.database, &ownership.former) else { return Ok(()) };
        database.give_back(&ownership.slot, ownership.epoch, owner, *epoch).await
    }

    /// Whether the stream is still ours.
    pub async fn standing(&self, ownership: &Ownership) -> Result<Standing, QueryError> {
        let Some(database) = &self.database else { return Ok(Standing::Owner) };
        Ok(match database.owner(&ownership.slot).await? {
            Some(owner) if owner == (self.instance.clone(), ownership.epoch) => Standing::Owner,
            Some((_, epoch)) if epoch < ownership.epoch => Standing::Restored,
            Some(_) => Standing::FormerOwner,
            None => Standing::Gone,
        })
    }

    /// Writes down that a slot is about to be dropped.
    pub async fn begin_removal(&self, slot: &SlotName) -> Result<(), QueryError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.begin_removal(slot).await
    }

    /// Writes down that it is not to be dropped after all.
    pub async fn undo_removal(&self, slot: &SlotName) -> Result<(), QueryError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.undo_removal(slot).await
    }

    /// Forgets a stream.
    pub async fn forget(&self, slot: &SlotName) -> Result<(), QueryError> {
        self.due_positions().remove(slot);
        let Some(database) = &self.database else { return Ok(()) };
        database.forget(slot).await
    }

    /// Marks a position to be kept, with the next write, and the history that it is in.
    pub fn acknowledged(&self, ownership: &Ownership, acknowledged: Lsn, timeline: i32) {
        if self.database.is_some() {
            let position = Position { slot: ownership.slot.clone(), epoch: ownership.epoch, acknowledged, timeline };
            self.due_positions().insert(ownership.slot.clone(), position);
            self.wake.notify_one();
        }
    }

    /// Writes what is due, now. What could not be written stays due.
    pub async fn flush(&self) -> Result<(), QueryError> {
        let Some(database) = &self.database else { return Ok(()) };
        // Who finds nothing due must not go on before what another one took has been written.
        let _writing = self.writing.lock().await;
        let positions: Vec<Position> = self.due_positions().values().cloned().collect();
        if positions.is_empty() {
            return Ok(());
        }
        database.keep(&positions).await?;
        self.due_positions().retain(|_, due| !positions.contains(due));
        Ok(())
    }

    /// Writes what is due, at most once in [`REGISTRY_INTERVAL`], until `stop`.
    pub async fn keep_positions(&self, stop: CancellationToken) {
        let due = async || {
            self.wake.notified().await;
            sleep(REGISTRY_INTERVAL).await;
        };
        while stop.run_until_cancelled(due()).await.is_some() {
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "acknowledged positions are not kept yet; trying again");
                self.wake.notify_one();
            }
        }
    }

    fn due_positions(&self) -> std::sync::MutexGuard<'_, HashMap<SlotName, Position>> {
        self.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
