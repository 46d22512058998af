//! One consumer a stream: the newest connection takes the seat, and whoever had it is told and waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::name::SlotName;

/// Why a session is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A newer connection has the stream now.
    Replaced,
    /// The slot is about to be dropped.
    SlotGone,
    /// The service shuts down.
    Stopping,
}

/// The seats of all streams.
#[derive(Debug, Default)]
pub struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    seats: HashMap<SlotName, Handle>,
    is_closed: bool,
}

/// What the next one needs to make the present one leave.
#[derive(Debug)]
struct Handle {
    stop: watch::Sender<Option<Reason>>,
    left: CancellationToken,
}

/// Held by a session while it has its stream; dropped when it has let go of the slot.
#[derive(Debug)]
pub struct Occupant {
    stop: watch::Receiver<Option<Reason>>,
    _left: DropGuard,
}

/// The service shuts down: nobody is seated any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service shuts down")]
pub struct ShuttingDown;

impl Seats {
    /// Takes the seat of a stream, and waits until whoever had it has left or the time is over.
    pub async fn take(&self, slot: &SlotName, deadline: Instant) -> Result<Occupant, ShuttingDown> {
        let (stop, stopped) = watch::channel(None);
        let left = CancellationToken::new();
        let occupant = Occupant { stop: stopped, _left: left.clone().drop_guard() };
        let former = {
            let mut taken = self.taken();
            if taken.is_closed {
                return Err(ShuttingDown);
            }
            // Seats of sessions that are over are cleared away here, so that there are never more than streams have had since.
            taken.seats.retain(|_, handle| !handle.left.is_cancelled());
            taken.seats.insert(slot.clone(), Handle { stop, left })
        };
        if let Some(former) = former {
            former.leave(Reason::Replaced, deadline).await;
        }
        Ok(occupant)
    }

    /// Makes whoever streams this slot leave, and waits until it has or the time is over.
    pub async fn clear(&self, slot: &SlotName, reason: Reason, deadline: Instant) {
        let handle = self.taken().seats.remove(slot);
        if let Some(handle) = handle {
            handle.leave(reason, deadline).await;
        }
    }

    /// Makes everybody leave, and seats nobody any more.
    pub fn close(&self) {
        let mut taken = self.taken();
        taken.is_closed = true;
        for handle in taken.seats.values() {
            handle.stop.send_replace(Some(Reason::Stopping));
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    async fn leave(&self, reason: Reason, deadline: Instant) {
        self.stop.send_replace(Some(reason));
        let _ = timeout_at(deadline, self.left.cancelled()).await;
    }
}

impl Occupant {
    /// Waits until the session is to end. The future may be dropped at any time.
    pub async fn stopped(&mut self) -> Reason {
        let reason = self.stop.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        match reason {
            Some(reason) => reason,
            // Nobody is left who could tell.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::time::Duration;

    fn slot() -> SlotName {
        "delta_face56".parse().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn the_newest_gets_the_seat_when_the_one_before_has_left() {
        let seats = Seats::default();
        let mut first = seats.take(&slot(), soon()).await.unwrap();
        assert!(first.stopped().now_or_never().is_none());
        let (deadline, name) = (soon(), slot());
        let mut second = Box::pin(seats.take(&name, deadline));
        assert!(second.as_mut().now_or_never().is_none(), "the first is still there");
        assert_eq!(first.stopped().await, Reason::Replaced);
        drop(first);
        assert!(second.await.unwrap().stopped().now_or_never().is_none());
    }

    #[tokio::test]
    async fn nobody_is_seated_in_a_closed_house() {
        let seats = Seats::default();
        let mut occupant = seats.take(&slot(), soon()).await.unwrap();
        seats.close();
        assert_eq!(occupant.stopped().await, Reason::Stopping);
        assert!(seats.take(&slot(), soon()).await.is_err());
    }
}
