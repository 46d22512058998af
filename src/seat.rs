//! One consumer a stream: the newest connection takes the seat, and whoever had it is told and waited for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{MAX_TAKEOVERS, TAKEOVER_PERIOD};
use crate::lsn::Lsn;
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
    /// The server keeps too much WAL for it.
    TooMuchWal,
    /// The same, and the slot is about to be dropped for it.
    DroppedForItsWal,
}

/// What a session hears beside its connection.
#[derive(Debug)]
pub enum Call {
    /// It is to end.
    Leave(Reason),
    /// The client acknowledges by another way than the connection.
    Acknowledge(Word),
}

/// The client's word that everything up to a position is durable on its side.
#[derive(Debug)]
pub struct Word {
    /// The position.
    pub position: Lsn,
    /// How far the server was by then, if that was asked for. Without it, only what was sent counts.
    pub flushed: Option<Lsn>,
    /// To be told that it counts. To drop it says that it does not.
    pub accepted: oneshot::Sender<()>,
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

/// Words that may wait for a session; the next one waits for its place.
const MAX_WORDS: usize = 16;

/// Who wants a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A client, which may take the seat from another.
    Client {
        /// Whether it wants that.
        takeover: bool,
    },
    /// Nobody's client, on an errand: it takes the seat from nobody, and any client may have it.
    Errand,
}

/// What the next one needs to make the present one leave.
#[derive(Debug)]
struct Handle {
    stop: watch::Sender<Option<Reason>>,
    words: mpsc::Sender<Word>,
    left: CancellationToken,
    seen: Arc<Seen>,
    /// When the seat was last taken from somebody who had it, the latest last.
    takeovers: Vec<Instant>,
    is_errand: bool,
}

/// What others may see of a session.
#[derive(Debug, Default)]
struct Seen {
    /// How far the client was sent changes.
    sent: AtomicU64,
    /// Why nothing comes from Postgres, while that is so.
    stalled: Mutex<Option<String>>,
    /// Whether it has ended and only has to let go of the slot.
    is_leaving: AtomicBool,
}

/// Held by a session while it has its stream; dropped when it has let go of the slot.
#[derive(Debug)]
pub struct Occupant {
    stop: watch::Receiver<Option<Reason>>,
    words: mpsc::Receiver<Word>,
    seen: Arc<Seen>,
    _left: DropGuard,
}

/// The service shuts down: nobody is seated any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service shuts down")]
pub struct ShuttingDown;

/// The seat is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSeated {
    /// By nobody.
    #[error(transparent)]
    ShuttingDown(#[from] ShuttingDown),
    /// Somebody has it, and whoever asked did not want to take it from them.
    #[error("somebody has this stream, and takeover=false was asked for")]
    Taken,
    /// It goes to and fro, as between two clients that both come again at once.
    #[error(
        "this stream was taken over {MAX_TAKEOVERS} times within {} s: two clients seem to take it from each other. Each stream is for one client; 4409 is final",
        TAKEOVER_PERIOD.as_secs()
    )]
    Fought,
}

impl Seats {
    /// Takes the seat of a stream, and waits until whoever had it has left or the time is over.
    pub async fn take(&self, slot: &SlotName, arrival: Arrival, deadline: Instant) -> Result<Occupant, NotSeated> {
        let (stop, stopped) = watch::channel(None);
        let (words, said) = mpsc::channel(MAX_WORDS);
        let (left, seen) = (CancellationToken::new(), Arc::<Seen>::default());
        let former = {
            let mut taken = self.taken();
            if taken.is_closed {
                return Err(ShuttingDown.into());
            }
            // Seats of sessions that are over are cleared away here, so that there are never more than streams have had since.
            taken.seats.retain(|_, handle| !handle.left.is_cancelled());
            let takeovers = match taken.seats.get(slot) {
                None => vec![],
                Some(former) if former.gives_way_to(arrival) => former.takeovers.clone(),
                Some(former) if arrival == (Arrival::Client { takeover: true }) => former.taken_over()?,
                Some(_) => return Err(NotSeated::Taken),
            };
            let is_errand = arrival == Arrival::Errand;
            taken.seats.insert(slot.clone(), Handle { stop, words, left: left.clone(), seen: seen.clone(), takeovers, is_errand })
        };
        let occupant = Occupant { stop: stopped, words: said, seen, _left: left.drop_guard() };
        if let Some(former) = former {
            former.leave(Reason::Replaced, deadline).await;
        }
        Ok(occupant)
    }

    /// How far the one who has the seat was sent changes; none if nobody has it.
    pub fn sent(&self, slot: &SlotName) -> Option<Lsn> {
        self.taken().seated(slot).map(|handle| Lsn::from(handle.seen.sent.load(Ordering::Relaxed)))
    }

    /// Whether nobody has any seat.
    pub fn are_free(&self) -> bool {
        self.taken().seats.values().all(|handle| handle.left.is_cancelled())
    }

    /// The streams to whose clients nothing comes from Postgres, each with the reason.
    pub fn stalled(&self) -> Vec<(SlotName, String)> {
        let taken = self.taken();
        let seated = taken.seats.iter().filter(|(_, handle)| !handle.left.is_cancelled() && !handle.is_errand);
        seated.filter_map(|(slot, handle)| Some((slot.clone(), handle.seen.stalled().clone()?))).collect()
    }

    /// Hands the client's word to whoever has the seat, and says whether it counts; none if nobody has it.
    pub async fn acknowledge(&self, slot: &SlotName, position: Lsn, flushed: Option<Lsn>, deadline: Instant) -> Option<bool> {
        let words = self.taken().seated(slot)?.words.clone();
        let (accepted, answer) = oneshot::channel();
        let asking = async {
            words.send(Word { position, flushed, accepted }).await.ok()?;
            answer.await.ok()
        };
        Some(timeout_at(deadline, asking).await.is_ok_and(|accepted| accepted.is_some()))
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

impl Taken {
    fn seated(&self, slot: &SlotName) -> Option<&Handle> {
        self.seats.get(slot).filter(|handle| !handle.left.is_cancelled())
    }
}

impl Seen {
    fn stalled(&self) -> MutexGuard<'_, Option<String>> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Whether whoever has the seat does not mind: its client has left, or there never was one.
    fn gives_way_to(&self, arrival: Arrival) -> bool {
        self.seen.is_leaving.load(Ordering::Relaxed) || (self.is_errand && arrival != Arrival::Errand)
    }

    /// When the seat was taken over of late, this time included; unless that is too often.
    fn taken_over(&self) -> Result<Vec<Instant>, NotSeated> {
        let now = Instant::now();
        let mut takeovers = self.takeovers.clone();
        takeovers.retain(|at| now.duration_since(*at) < TAKEOVER_PERIOD);
        if takeovers.len() >= MAX_TAKEOVERS {
            return Err(NotSeated::Fought);
        }
        takeovers.push(now);
        Ok(takeovers)
    }

    async fn leave(&self, reason: Reason, deadline: Instant) {
        self.stop.send_replace(Some(reason));
        let _ = timeout_at(deadline, self.left.cancelled()).await;
    }
}

impl Occupant {
    /// Tells whoever asks how far the client was sent changes.
    pub fn has_sent(&self, position: Lsn) {
        self.seen.sent.store(position.to_u64(), Ordering::Relaxed);
    }

    /// Tells whoever asks why nothing comes from Postgres; none once something does.
    pub fn has_stalled(&self, reason: Option<String>) {
        *self.seen.stalled() = reason;
    }

    /// Waits until the session is to end. The future may be dropped at any time.
    pub async fn stopped(&mut self) -> Reason {
        stopped(&mut self.stop).await
    }

    /// Tells whoever comes next that it takes the seat from nobody.
    pub fn is_leaving(&self) {
        self.seen.is_leaving.store(true, Ordering::Relaxed);
    }

    /// Waits for the client's word by another way than the connection; none once nobody can say one. The future may be dropped at any time.
    pub async fn word(&mut self) -> Option<Word> {
        self.words.recv().await
    }

    /// Waits for what there is to hear. The future may be dropped at any time.
    pub async fn called(&mut self) -> Call {
        tokio::select! {
            biased;
            reason = stopped(&mut self.stop) => Call::Leave(reason),
            Some(word) = self.words.recv() => Call::Acknowledge(word),
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Reason>>) -> Reason {
    let reason = stop.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
    match reason {
        Some(reason) => reason,
        // Nobody is left who could tell.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::time::Duration;

    const CLIENT: Arrival = Arrival::Client { takeover: true };
    const POLITE: Arrival = Arrival::Client { takeover: false };

    fn slot() -> SlotName {
        "delta_face56".parse().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn the_newest_gets_the_seat_when_the_one_before_has_left() {
        let seats = Seats::default();
        let mut first = seats.take(&slot(), CLIENT, soon()).await.unwrap();
        assert!(first.stopped().now_or_never().is_none());
        let (deadline, name) = (soon(), slot());
        let mut second = Box::pin(seats.take(&name, CLIENT, deadline));
        assert!(second.as_mut().now_or_never().is_none(), "the first is still there");
        assert_eq!(first.stopped().await, Reason::Replaced);
        drop(first);
        assert!(second.await.unwrap().stopped().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_does_not_want_to_take_over_waits_for_nobody() {
        let seats = Seats::default();
        let first = seats.take(&slot(), POLITE, soon()).await.unwrap();
        assert_eq!(seats.take(&slot(), POLITE, soon()).await.unwrap_err(), NotSeated::Taken);
        first.has_sent(Lsn::from(7));
        assert_eq!(seats.sent(&slot()), Some(Lsn::from(7)));
        drop(first);
        assert_eq!(seats.sent(&slot()), None);
        assert!(seats.take(&slot(), POLITE, soon()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_goes_to_and_fro_stays_where_it_is() {
        let seats = Seats::default();
        let long_ago = Instant::now();
        let _first = seats.take(&slot(), CLIENT, long_ago).await.unwrap();
        let _second = seats.take(&slot(), CLIENT, long_ago).await.unwrap();
        let mut third = seats.take(&slot(), CLIENT, long_ago).await.unwrap();
        assert_eq!(seats.take(&slot(), CLIENT, long_ago).await.unwrap_err(), NotSeated::Fought);
        assert!(third.stopped().now_or_never().is_none(), "who has it keeps it");
        tokio::time::advance(TAKEOVER_PERIOD).await;
        assert!(seats.take(&slot(), CLIENT, long_ago).await.is_ok());
    }

    #[tokio::test]
    async fn who_is_on_an_errand_gives_way_to_every_client_and_takes_from_none() {
        let seats = Seats::default();
        for _ in 0..=MAX_TAKEOVERS {
            let mut errand = seats.take(&slot(), Arrival::Errand, soon()).await.unwrap();
            assert_eq!(seats.take(&slot(), Arrival::Errand, soon()).await.unwrap_err(), NotSeated::Taken);
            let leaving = async {
                assert_eq!(errand.stopped().await, Reason::Replaced);
                drop(errand);
            };
            let (slot, deadline) = (slot(), soon());
            let (client, ()) = tokio::join!(seats.take(&slot, POLITE, deadline), leaving);
            let _client = client.unwrap();
            assert_eq!(seats.take(&slot, Arrival::Errand, deadline).await.unwrap_err(), NotSeated::Taken);
        }
    }

    #[tokio::test]
    async fn from_who_is_leaving_the_seat_is_taken_by_everybody_and_as_often_as_one_likes() {
        let seats = Seats::default();
        for arrival in [CLIENT, CLIENT, CLIENT, CLIENT, POLITE, Arrival::Errand] {
            let former = seats.take(&slot(), CLIENT, soon()).await.unwrap();
            former.is_leaving();
            let (slot, deadline) = (slot(), soon());
            let leaving = async { drop(former) };
            assert!(tokio::join!(seats.take(&slot, arrival, deadline), leaving).0.is_ok());
        }
    }

    #[tokio::test]
    async fn a_word_goes_to_whoever_has_the_seat() {
        let seats = Seats::default();
        let (position, deadline, slot) = (Lsn::from(7), soon(), slot());
        assert_eq!(seats.acknowledge(&slot, position, None, deadline).await, None);
        let mut occupant = seats.take(&slot, CLIENT, deadline).await.unwrap();
        let hearing = async {
            let Call::Acknowledge(word) = occupant.called().await else { panic!("it is to stay") };
            assert_eq!(word.position, position);
            word.accepted.send(())
        };
        assert_eq!(tokio::join!(seats.acknowledge(&slot, position, None, deadline), hearing), (Some(true), Ok(())));
        let asking = seats.acknowledge(&slot, position, None, deadline);
        let leaving = async { drop(occupant) };
        assert_eq!(tokio::join!(asking, leaving).0, Some(false), "nobody hears it any more");
    }

    #[tokio::test]
    async fn nobody_is_seated_in_a_closed_house() {
        let seats = Seats::default();
        let mut occupant = seats.take(&slot(), CLIENT, soon()).await.unwrap();
        seats.close();
        assert_eq!(occupant.stopped().await, Reason::Stopping);
        assert!(seats.take(&slot(), CLIENT, soon()).await.is_err());
    }
}
