//! Streams are made and ended: the one of `/v1/init`, and all others.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{Error, Sidecar};
use crate::config::{INIT_QUEUE_TIMEOUT, MAX_ENDED_STREAMS, SLOT_RELEASE_TIMEOUT};
use crate::contract::creation::Creation;
use crate::filter::Filter;
use crate::message::{StreamInfo, StreamKind, StreamState};
use crate::name::SlotName;
use crate::postgres::service::QueryError;
use crate::postgres::streams::{Lock, NewStream};
use crate::seat::{Reason, ShuttingDown};
use crate::slot::{self, CreateError, Maker, ReleaseError};

/// Different names to try before giving up: with some ten million of them, two clashes in a row are no chance any more.
const MAX_NAME_ATTEMPTS: usize = 5;

impl Sidecar {
    /// Makes a new stream, then ends and drops the one that was made before.
    pub async fn init(self: &Arc<Self>) -> Result<SlotName, Error> {
        let sidecar = Arc::clone(self);
        self.to_its_end(async move {
            let turn = async {
                let turn = timeout(INIT_QUEUE_TIMEOUT, sidecar.init_turn.lock()).await.map_err(|_| Error::Busy)?;
                let mut lock = Lock::connect(&sidecar.config).await?;
                lock.init().await.map_err(|error| match error {
                    QueryError::Timeout(INIT_QUEUE_TIMEOUT) => Error::Busy,
                    error => error.into(),
                })?;
                Ok::<_, Error>((turn, lock))
            };
            let (turn, mut lock) = sidecar.stop.run_until_cancelled(turn).await.ok_or(ShuttingDown)??;
            let made = sidecar.replace_init(&mut lock).await;
            lock.release().await;
            drop(turn);
            made
        })
        .await
    }

    async fn replace_init(&self, lock: &mut Lock) -> Result<SlotName, Error> {
        self.clear_unfinished(lock).await?;
        let mut former = self.init_streams().await?;
        let slots = self.database.slot_count().await?;
        if slots.used >= slots.limit {
            for slot in former.drain(..) {
                self.end(lock, &slot, Reason::SlotGone).await.map_err(Error::of_former)?;
            }
        }
        let made = self.make_unnamed(lock, StreamKind::Init, Filter::default(), true).await?;
        self.known().inits.push(made.clone());
        for slot in former {
            if self.stop.is_cancelled() {
                break;
            }
            // The new stream stands whatever becomes of the former: the next call tries again.
            if let Err(error) = self.end(lock, &slot, Reason::SlotGone).await {
                tracing::warn!(%slot, %error, "the former stream of /v1/init is not ended yet");
            }
        }
        Ok(made)
    }

    /// The streams that `/v1/init` made and that are not ended, the latest last: as our own table has it, or else as this process knows.
    pub(super) async fn init_streams(&self) -> Result<Vec<SlotName>, QueryError> {
        if self.registry.is_there() { self.registry.inits().await } else { Ok(self.known().inits.clone()) }
    }

    /// Makes one more stream.
    pub async fn create_stream(self: &Arc<Self>, creation: Creation) -> Result<StreamInfo, Error> {
        self.needs_registry()?;
        let sidecar = Arc::clone(self);
        let (answer, made) = oneshot::channel();
        let making = self.to_its_end(async move {
            let turn = async {
                let turn = timeout(INIT_QUEUE_TIMEOUT, sidecar.creations.acquire()).await.map_err(|_| Error::Busy)?;
                Ok::<_, Error>((turn, Lock::connect(&sidecar.config).await?))
            };
            let (_turn, mut lock) = sidecar.stop.run_until_cancelled(turn).await.ok_or(ShuttingDown)??;
            let Creation { name, filter, snapshot: has_snapshot } = creation;
            let is_named = name.is_some();
            let made = match name {
                Some(slot) => sidecar.make_named(&mut lock, NewStream { slot, kind: StreamKind::Stream, filter, has_snapshot }).await,
                None => sidecar.make_unnamed(&mut lock, StreamKind::Stream, filter, has_snapshot).await,
            };
            match made {
                Ok(slot) => {
                    let shown = sidecar.show_made(&mut lock, &slot).await;
                    // Who has gone in the meantime, and does not know the name, would call again and leave this one behind.
                    if answer.send(shown).is_err_and(|shown| shown.is_ok()) && !is_named {
                        sidecar.end_unknown(&mut lock, &slot).await;
                    }
                }
                Err(error) => drop(answer.send(Err(error))),
            }
            lock.release().await;
            Ok::<_, Error>(())
        });
        tokio::select! {
            biased;
            Ok(shown) = made => shown,
            failed = making => Err(failed.err().unwrap_or(Error::BrokenOff)),
        }
    }

    /// How a new stream looks. One that nobody was told of is ended again: nobody would know that it keeps WAL.
    async fn show_made(&self, lock: &mut Lock, slot: &SlotName) -> Result<StreamInfo, Error> {
        let shown = self.show_stream(slot).await;
        if shown.is_err() {
            self.end_unknown(lock, slot).await;
        }
        shown
    }

    async fn end_unknown(&self, lock: &mut Lock, slot: &SlotName) {
        if let Err(error) = self.end(lock, slot, Reason::SlotGone).await {
            tracing::warn!(%slot, %error, "a stream that was made for a call that failed is still there");
        }
    }

    async fn make_unnamed(&self, lock: &mut Lock, kind: StreamKind, filter: Filter, has_snapshot: bool) -> Result<SlotName, Error> {
        let mut attempts = 1;
        loop {
            let stream = NewStream { slot: SlotName::generate(), kind, filter: filter.clone(), has_snapshot };
            match self.make_named(lock, stream).await {
                Err(Error::NameTaken(_)) if attempts < MAX_NAME_ATTEMPTS => attempts += 1,
                made => return made,
            }
        }
    }

    async fn make_named(&self, lock: &mut Lock, stream: NewStream) -> Result<SlotName, Error> {
        let slot = stream.slot.clone();
        if !lock.try_stream(&slot).await? {
            return Err(Error::NameTaken(slot));
        }
        // With the lock in hand: nobody is at work on what is unfinished.
        match self.registry.record(&slot).await? {
            Some(record) if record.state != StreamState::Ready => slot::remove(&self.database, &self.registry, &slot).await?,
            Some(record) if record.stream.kind == StreamKind::Adopted && record.slot.is_none() => self.registry.forget(&slot).await?,
            Some(_) => return Err(Error::NameTaken(slot)),
            None => {}
        }
        // Not so much as written down: what is left of whoever dies here would say that the slot is ours.
        if self.database.slot(&slot).await?.is_some() {
            return Err(Error::NameTaken(slot));
        }
        // Who streamed the one before of that name, and its snapshot, may not know yet that it is gone: another instance may have ended it.
        self.seats.clear(&slot, Reason::SlotGone, Instant::now() + SLOT_RELEASE_TIMEOUT).await;
        self.snapshots.forget(&slot).await;
        let maker = Maker { config: &self.config, database: &self.database, registry: &self.registry, stop: &self.stop };
        let anchor = maker.make(&stream).await.map_err(|error| match error {
            CreateError::Exists => Error::NameTaken(slot.clone()),
            error => error.into(),
        })?;
        self.known().ended.retain(|ended| *ended != slot);
        if let Some(anchor) = anchor {
            self.snapshots.insert(slot.clone(), anchor);
        }
        tracing::info!(%slot, kind = stream.kind.as_str(), "stream made");
        Ok(slot)
    }

    /// Ends a stream, whoever streams it, and drops its slot.
    pub async fn delete_stream(self: &Arc<Self>, slot: SlotName) -> Result<(), Error> {
        self.needs_registry()?;
        let sidecar = Arc::clone(self);
        self.to_its_end(async move {
            sidecar.registry.record(&slot).await?.ok_or_else(|| sidecar.no_stream(&slot))?;
            let mut lock = Lock::connect(&sidecar.config).await?;
            let ended = sidecar.end(&mut lock, &slot, Reason::SlotGone).await;
            lock.release().await;
            ended
        })
        .await
    }

    /// Removes what instances left behind that died while they made or dropped a slot.
    async fn clear_unfinished(&self, lock: &mut Lock) -> Result<(), QueryError> {
        for slot in self.registry.unfinished().await? {
            if !lock.try_stream(&slot).await? {
                continue;
            }
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
        let mut lock = Lock::connect(&self.config).await?;
        let cleared = async { if lock.try_init().await? { self.clear_unfinished(&mut lock).await } else { Ok(()) } };
        let cleared = cleared.await;
        lock.release().await;
        cleared
    }

    /// Ends a stream of ours, whoever streams it, and drops its slot. Whoever else is at it may be making the next one of that name.
    pub(super) async fn end(&self, lock: &mut Lock, slot: &SlotName, reason: Reason) -> Result<(), Error> {
        if !lock.try_stream(slot).await? {
            return Err(Error::BeingMade(slot.clone()));
        }
        self.registry.begin_removal(slot).await?;
        self.seats.clear(slot, reason, Instant::now() + SLOT_RELEASE_TIMEOUT).await;
        if let Err(error) = slot::remove(&self.database, &self.registry, slot).await {
            // Whoever streams it may not be ended: what was refused must not be done later, when nobody expects it.
            if matches!(error, ReleaseError::InUse(_)) {
                self.registry.undo_removal(slot).await?;
            }
            return Err(error.into());
        }
        self.has_ended(slot).await;
        tracing::info!(%slot, "stream ended and slot dropped");
        Ok(())
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
        self.snapshots.forget(slot).await;
    }

    /// The slot is dropped: there is nothing left to end.
    pub(super) async fn has_ended(&self, slot: &SlotName) {
        self.known().inits.retain(|init| init != slot);
        self.slot_gone(slot).await;
    }

    pub(super) fn needs_registry(&self) -> Result<(), Error> {
        if self.registry.is_there() { Ok(()) } else { Err(Error::RegistryMissing) }
    }
}
