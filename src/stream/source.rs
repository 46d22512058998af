//! Where a session's frames come from: the wire of its slot, which can be taken up anew at any position, with other options.
//!
//! Who asks for frames and who confirms need not know when that happens: while there is no wire, no frame comes, and a confirmation waits for
//! the next one.

use std::future::pending;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::Route;
use super::ending::{Away, Ending, Gone, still_ours};
use crate::config::{IMPATIENT_TIMEOUT, MAX_UNHEARD, RECONNECT_DELAYS, SLOT_RELEASE_TIMEOUT};
use crate::lsn::Lsn;
use crate::postgres::replication::{Frame, Replication, System, common_history, identify};
use crate::postgres::server_error::Condition;
use crate::postgres::wire::{Wire, WireError};
use crate::wal2json::options::PluginOptions;

/// How long to wait before a slot is asked for again that our former process has not let go of yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The wire of a slot.
pub(super) struct Source {
    line: Line,
    /// Which history it is in: of the wire that there is, or was last.
    timeline: i32,
    /// The process at its other end, likewise.
    pid: i32,
    /// How far the server was when the wire was opened. Who gets there has all that there was.
    horizon: Lsn,
    /// Whether nothing has come yet from there or behind it.
    has_backlog: bool,
    status_interval: Duration,
    /// How many bytes had come by the last status update, and after how many of them in a row there was not one more.
    heard: u64,
    unheard: u32,
    /// When the wire was lost, until something new has come since.
    lost_at: Option<Instant>,
}

enum Line {
    Open(Box<Replication>),
    Opening {
        since: Instant,
        opening: Pin<Box<dyn Future<Output = Result<Reopened, Ending>> + Send>>,
    },
    /// It failed, which whoever waits for it is to hear.
    Broken(Away),
}

/// A wire that was just opened, and the server that it leads to.
pub struct Opened {
    /// The wire.
    pub replication: Replication,
    /// The server.
    pub system: System,
}

/// A wire that was taken up anew.
pub(super) struct Reopened {
    pub(super) opened: Opened,
    /// Up to there, the server's history is the one that the client has.
    pub(super) common: Lsn,
}

/// Why nothing comes.
pub(super) enum Lost {
    /// The wire failed.
    Wire(Away),
    /// It could not be taken up anew.
    ForGood(Ending),
}

/// Where and how to take up the wire.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// Behind this.
    pub(super) position: Lsn,
    /// What the slot can have been told at most.
    pub(super) settled: Lsn,
    pub(super) options: PluginOptions,
    pub(super) max_bytes: usize,
}

/// How a wire is taken up anew.
struct Attempt {
    route: Arc<Route>,
    start: Start,
    /// The history that the client has.
    timeline: i32,
    /// Our last process at the server, which may not have gone yet.
    former: i32,
}

impl Source {
    pub(super) fn new(Opened { replication, system }: Opened) -> Self {
        replication.set_backlog(true);
        Self {
            timeline: system.timeline,
            pid: replication.pid(),
            horizon: system.flushed,
            has_backlog: true,
            status_interval: replication.status_interval(),
            line: Line::Open(Box::new(replication)),
            heard: 0,
            unheard: 0,
            lost_at: None,
        }
    }

    /// How often the server wants to hear of us, at least.
    pub(super) fn status_interval(&self) -> Duration {
        self.status_interval
    }

    /// Which history the wire is in, or was last.
    pub(super) fn timeline(&self) -> i32 {
        self.timeline
    }

    /// Whether there is a wire.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.line, Line::Open(_))
    }

    /// Whether the server has yet to send what it had when the wire was opened.
    pub(super) fn has_backlog(&self) -> bool {
        self.has_backlog
    }

    /// For how long there has been none, if it is being opened.
    pub(super) fn away_for(&self) -> Option<Duration> {
        match &self.line {
            Line::Opening { since, .. } => Some(since.elapsed()),
            Line::Open(_) | Line::Broken(_) => None,
        }
    }

    /// What comes next over the wire; nothing while there is none. The future may be dropped at any time; nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Frame, Lost> {
        let Line::Open(replication) = &mut self.line else { return pending().await };
        let frame = replication.next().await.map_err(|error| Lost::Wire(error.into()))?;
        if frame.position().is_some_and(|position| position >= self.horizon) {
            self.has_backlog = false;
            replication.set_backlog(false);
        }
        Ok(frame)
    }

    /// Waits for a wire, where there is none. The future may be dropped at any time, until it is ready.
    pub(super) async fn opened(&mut self) -> Result<Reopened, Lost> {
        match &mut self.line {
            Line::Open(_) => pending().await,
            Line::Opening { opening, .. } => opening.as_mut().await.map_err(Lost::ForGood),
            Line::Broken(away) => Err(Lost::Wire(mem::replace(away, WireError::Ended.into()))),
        }
    }

    /// Goes on with a wire, which has not heard of any confirmation yet.
    pub(super) fn resume(&mut self, opened: Opened) {
        *self = Self { lost_at: self.lost_at, ..Self::new(opened) };
    }

    /// Lets go of the wire and takes it up anew. What was on its way is thrown away, and comes again if it lies behind the start.
    pub(super) fn reopen(&mut self, route: &Arc<Route>, start: Start) {
        let attempt = self.attempt(route, start);
        self.open(Instant::now(), reopen(attempt));
    }

    /// The same after the wire was lost: tries again for as long as streams wait for Postgres. If nothing new has come since it was lost the time
    /// before, it is still the same loss.
    pub(super) fn recover(&mut self, route: &Arc<Route>, start: Start, away: Away) {
        let attempt = self.attempt(route, start);
        let since = *self.lost_at.get_or_insert_with(Instant::now);
        self.open(since, recover(attempt, since, away));
    }

    fn attempt(&self, route: &Arc<Route>, start: Start) -> Attempt {
        Attempt { route: route.clone(), start, timeline: self.timeline, former: self.pid }
    }

    fn open(&mut self, since: Instant, opening: impl Future<Output = Result<Reopened, Ending>> + Send + 'static) {
        self.line = Line::Opening { since, opening: Box::pin(opening) };
    }

    /// Something came that had not come before.
    pub(super) fn has_advanced(&mut self) {
        self.lost_at = None;
    }

    /// The server has sent all up to there.
    pub(super) fn has_reached(&mut self, position: Lsn) {
        if position >= self.horizon {
            self.has_advanced();
        }
    }

    /// Tells the server that everything up to `confirmed` will never be asked for again. If that fails, whoever waits for the next frame hears
    /// of it.
    pub(super) async fn confirm(&mut self, confirmed: Lsn) {
        if let Line::Open(replication) = &mut self.line
            && let Err(error) = replication.confirm(confirmed, self.unheard > 0).await
        {
            self.break_off(error.into());
        }
    }

    /// Hangs up. Whoever waits for the next frame hears why.
    pub(super) fn break_off(&mut self, away: Away) {
        if self.is_open() {
            self.line = Line::Broken(away);
        }
    }

    /// The process at the other end of the wire.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether anything was heard of the server since this was asked last. While nobody listens, silence says nothing.
    pub(super) fn hear(&mut self, is_listening: bool) -> Heard {
        let Line::Open(replication) = &self.line else { return Heard::NotAsked };
        let heard = mem::replace(&mut self.heard, replication.heard());
        if heard < self.heard {
            self.unheard = 0;
            return Heard::Something;
        }
        self.unheard = if is_listening { self.unheard + 1 } else { 0 };
        if self.unheard < MAX_UNHEARD { Heard::NotAsked } else { Heard::Nothing(self.status_interval * self.unheard) }
    }

    /// Ends the stream so that the server has read all that was confirmed. Says whether that came about.
    pub(super) async fn finish(self, limit: Duration) -> bool {
        match self.line {
            Line::Open(replication) => replication.finish(limit).await,
            Line::Opening { .. } | Line::Broken(_) => false,
        }
    }
}

/// What was heard of the server since the last status update.
pub(super) enum Heard {
    /// It is there.
    Something,
    /// Not for several of them, though it was asked to answer: for so long.
    Nothing(Duration),
    /// Nothing can be said yet.
    NotAsked,
}

async fn reopen(mut attempt: Attempt) -> Result<Reopened, Ending> {
    let deadline = Instant::now() + SLOT_RELEASE_TIMEOUT;
    loop {
        match attempt.run().await {
            // Our former process has not gone yet, with the slot, or with the place of a process.
            Err(Ending::PostgresAway(away)) if away.is_for_want_of_place() && Instant::now() < deadline => sleep(RETRY_INTERVAL).await,
            Err(Ending::PostgresAway(away)) => return recover(attempt, Instant::now(), away).await,
            opened => return opened,
        }
    }
}

async fn recover(mut attempt: Attempt, since: Instant, mut away: Away) -> Result<Reopened, Ending> {
    let slot = attempt.route.slot.clone();
    let deadline = since + attempt.route.patience.pg_grace();
    let (soonest, latest) = RECONNECT_DELAYS;
    let delays = ExponentialBuilder::new().with_min_delay(soonest).with_max_delay(latest).with_jitter().without_max_times();
    for delay in delays.build() {
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        let next = deadline.min(now + delay);
        tracing::warn!(%slot, error = %away, "the wire to Postgres is lost: trying again in {} ms", (next - now).as_millis());
        sleep_until(next).await;
        // The last one may take its time too.
        match timeout_at(deadline.max(next + IMPATIENT_TIMEOUT), attempt.run()).await {
            Ok(Err(Ending::PostgresAway(error))) => away = error,
            Ok(Err(ending)) => return Err(ending),
            Ok(Ok(reopened)) => {
                tracing::info!(%slot, position = %attempt.start.position.min(reopened.common), "the wire to Postgres is there again");
                return Ok(reopened);
            }
            Err(_) => break,
        }
    }
    Err(Ending::PostgresAway(away))
}

impl Attempt {
    /// Takes up the wire, if that leads on in the history that the client has.
    async fn run(&mut self) -> Result<Reopened, Ending> {
        let (route, start) = (&self.route, &self.start);
        let mut wire = Wire::connect(&route.config, &format!("pgdeltastream {}", route.slot), &[]).await?;
        let system = identify(&mut wire).await?;
        if system.identifier != route.system {
            return Err(Gone::OtherServer.into());
        }
        if system.is_standby {
            return Err(Ending::PostgresAway(Away::Standby));
        }
        // Whoever took the stream in the meantime has it.
        still_ours(route).await??;
        let slot = route.database.slot(&route.slot).await?.filter(|slot| slot.is_ours).ok_or(Gone::Missing)?;
        if slot.is_lost {
            return Err(Gone::Lost.into());
        }
        let common = common_history(&mut wire, &system, self.timeline).await?;
        // A promoted standby may lack what was nothing for the client. The same server would have lost what it has.
        if start.position > common && system.timeline == self.timeline {
            return Err(Gone::Ahead.into());
        }
        let position = start.position.min(common);
        let confirmed = slot.confirmed_flush.filter(|confirmed| *confirmed <= start.settled).ok_or(Gone::OtherSlot)?;
        if confirmed > common {
            return Err(Gone::Ahead.into());
        }
        if slot.active_pid == Some(self.former) {
            // It may be in the middle of a long text that nobody reads any more, or not know yet that nobody is there.
            route.database.terminate_former(&route.slot, self.former).await?;
        }
        self.former = wire.pid();
        match Replication::start(wire, &route.slot, position, &start.options, start.max_bytes).await {
            Err(WireError::Server(error)) if error.condition() == Condition::NoSuchObject => Err(Gone::Missing.into()),
            started => Ok(Reopened { opened: Opened { replication: started?, system }, common }),
        }
    }
}
