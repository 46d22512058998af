//! The snapshots that this process keeps, and how each comes to its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::SnapshotSettings;
use crate::name::SlotName;
use crate::postgres::reader::{Anchor, Exported};

/// Why a snapshot cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A client let it go.
    Released,
    /// Nobody read it for too long.
    Unread,
    /// It was there for as long as any may be.
    TooOld,
    /// Its connection was lost; or another process made it, or one before this.
    Lost,
    /// The stream never had one.
    Never,
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Released => "was let go (DELETE /v1/snapshot)",
            Self::Unread => "has expired: nobody read it for SNAPSHOT_TTL",
            Self::TooOld => "has expired: it was there for SNAPSHOT_MAX_AGE",
            Self::Lost => "is gone: it ends with the instance that made it and with its connection to Postgres",
            Self::Never => "was never there: the stream was made without one, or by somebody else",
        })
    }
}

/// All snapshots of this process.
#[derive(Debug, Clone)]
pub struct Snapshots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<HashMap<SlotName, Kept>>,
    settings: SnapshotSettings,
    /// Wakes [`Snapshots::expire`] when there may be something to wait for that there was not before.
    changed: Notify,
}

/// A snapshot that can be read, or how it ended. That is remembered for as long as there is the stream.
#[derive(Debug)]
enum Kept {
    Ready(Box<Snapshot>),
    Ended(End),
}

#[derive(Debug)]
struct Snapshot {
    anchor: Anchor,
    made_at: Instant,
    /// When the last reader left.
    read_at: Instant,
    readers: usize,
}

/// Held while a snapshot is read, which keeps it from expiring unread.
#[derive(Debug)]
pub struct Reading {
    snapshots: Snapshots,
    slot: SlotName,
    exported: Exported,
    /// When reading must end, whatever has become of the snapshot.
    too_old_at: Option<Instant>,
}

/// How a snapshot is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It can be read.
    Ready {
        /// What readers import.
        exported: Exported,
        /// When it ends, if nothing happens before.
        expires_at: Option<SystemTime>,
    },
    /// It cannot.
    Ended(End),
}

impl Snapshot {
    /// When it ends, if nothing happens before, and why.
    fn expiry(&self, settings: &SnapshotSettings) -> Option<(Instant, End)> {
        let unread = (self.readers == 0).then(|| (self.read_at + settings.ttl(), End::Unread));
        let too_old = settings.max_age().map(|max_age| (self.made_at + max_age, End::TooOld));
        unread.into_iter().chain(too_old).min_by_key(|(at, _)| *at)
    }
}

impl Snapshots {
    /// None yet.
    pub fn new(settings: SnapshotSettings) -> Self {
        Self(Arc::new(Shared { kept: Mutex::default(), settings, changed: Notify::new() }))
    }

    /// Keeps a new slot's snapshot.
    pub fn insert(&self, slot: SlotName, anchor: Anchor) {
        let now = Instant::now();
        let snapshot = Snapshot { anchor, made_at: now, read_at: now, readers: 0 };
        self.kept().insert(slot, Kept::Ready(Box::new(snapshot)));
        self.0.changed.notify_one();
    }

    /// Begins to read. None: this process knows nothing of a snapshot of that stream.
    pub fn read(&self, slot: &SlotName) -> Option<Result<Reading, End>> {
        match self.kept().get_mut(slot)? {
            Kept::Ended(end) => Some(Err(*end)),
            Kept::Ready(snapshot) => {
                snapshot.readers += 1;
                let exported = snapshot.anchor.exported().clone();
                let too_old_at = self.0.settings.max_age().map(|max_age| snapshot.made_at + max_age);
                Some(Ok(Reading { snapshots: self.clone(), slot: slot.clone(), exported, too_old_at }))
            }
        }
    }

    /// How a stream's snapshot is doing; none if this process knows nothing of one.
    pub fn condition(&self, slot: &SlotName) -> Option<Condition> {
        Some(match self.kept().get(slot)? {
            Kept::Ended(end) => Condition::Ended(*end),
            Kept::Ready(snapshot) => {
                let left = snapshot.expiry(&self.0.settings).map(|(at, _)| at.saturating_duration_since(Instant::now()));
                let expires_at = left.map(|left| SystemTime::now() + left);
                Condition::Ready { exported: snapshot.anchor.exported().clone(), expires_at }
            }
        })
    }

    /// Whether this process knows, or knew, a snapshot of that stream.
    pub fn knows(&self, slot: &SlotName) -> bool {
        self.kept().contains_key(slot)
    }

    /// Lets a snapshot go, if it is there. Who reads it may go on to the end.
    pub async fn release(&self, slot: &SlotName) {
        let snapshot = self.end(slot, End::Released, |_| true);
        if let Some(snapshot) = snapshot {
            snapshot.anchor.release().await;
        }
    }

    /// Takes note that a snapshot cannot be imported any more.
    pub fn lost(&self, slot: &SlotName, exported: &Exported) {
        if self.end(slot, End::Lost, |snapshot| snapshot.anchor.exported() == exported).is_some() {
            tracing::warn!(%slot, "snapshot lost: its connection to Postgres has ended");
        }
    }

    /// Lets a snapshot go and forgets it: its stream is no more.
    pub async fn forget(&self, slot: &SlotName) {
        let kept = self.kept().remove(slot);
        if let Some(Kept::Ready(snapshot)) = kept {
            snapshot.anchor.release().await;
        }
    }

    /// Lets all snapshots go.
    pub async fn release_all(&self) {
        let slots: Vec<SlotName> = self.kept().keys().cloned().collect();
        for slot in slots {
            self.release(&slot).await;
        }
    }

    /// Ends snapshots that nobody reads, or that are too old, until `stop`.
    pub async fn expire(&self, stop: CancellationToken) {
        loop {
            let next = {
                let kept = self.kept();
                let snapshots = kept.iter().filter_map(|(slot, kept)| match kept {
                    Kept::Ready(snapshot) => Some((slot, snapshot.expiry(&self.0.settings)?)),
                    Kept::Ended(_) => None,
                });
                snapshots.min_by_key(|(_, (at, _))| *at).map(|(slot, expiry)| (slot.clone(), expiry))
            };
            let expired = async {
                match &next {
                    Some((_, (at, _))) => sleep_until(*at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.changed.notified() => continue,
                () = expired => {}
            }
            if let Some((slot, (at, end))) = next {
                self.end_expired(&slot, at, end).await;
            }
        }
    }

    /// A reader may have come in the last moment.
    async fn end_expired(&self, slot: &SlotName, at: Instant, end: End) {
        let settings = &self.0.settings;
        if let Some(snapshot) = self.end(slot, end, |snapshot| snapshot.expiry(settings) == Some((at, end))) {
            tracing::info!(%slot, "the snapshot {end}");
            snapshot.anchor.release().await;
        }
    }

    /// Ends a snapshot that is ready, if it is that one.
    fn end(&self, slot: &SlotName, end: End, is_meant: impl FnOnce(&Snapshot) -> bool) -> Option<Box<Snapshot>> {
        let mut kept = self.kept();
        let Entry::Occupied(mut entry) = kept.entry(slot.clone()) else { return None };
        if !matches!(entry.get(), Kept::Ready(snapshot) if is_meant(snapshot)) {
            return None;
        }
        match entry.insert(Kept::Ended(end)) {
            Kept::Ready(snapshot) => Some(snapshot),
            Kept::Ended(_) => None,
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SlotName, Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// Of which stream.
    pub fn slot(&self) -> &SlotName {
        &self.slot
    }

    /// What to import.
    pub fn exported(&self) -> &Exported {
        &self.exported
    }

    /// Waits until reading must end, as the snapshot is too old.
    pub async fn too_old(&self) {
        match self.too_old_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Takes note that it cannot be imported any more.
    pub fn lost(&self) {
        self.snapshots.lost(&self.slot, &self.exported);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(Kept::Ready(snapshot)) = self.snapshots.kept().get_mut(&self.slot)
            && *snapshot.anchor.exported() == self.exported
        {
            snapshot.readers -= 1;
            snapshot.read_at = Instant::now();
        }
        self.snapshots.0.changed.notify_one();
    }
}
