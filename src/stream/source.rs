//! Where a session's frames come from: the wire of its slot, which can be taken up anew at any position, with other options.
//!
//! Who asks for frames and who confirms need not know when that happens: while there is no wire, no frame comes, and a confirmation waits for
//! the next one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Route;
use super::ending::{Ending, still_ours};
use crate::config::SLOT_RELEASE_TIMEOUT;
use crate::lsn::Lsn;
use crate::postgres::replication::{Frame, Replication};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::wire::{Wire, WireError};
use crate::wal2json::options::PluginOptions;

/// How long to wait before a slot is asked for again that our former process has not let go of yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The wire of a slot.
pub(super) struct Source {
    line: Line,
    status_interval: Duration,
}

enum Line {
    Open(Box<Replication>),
    Opening(Pin<Box<dyn Future<Output = Result<Replication, Ending>> + Send>>),
}

/// What came.
pub(super) enum Next {
    /// A frame.
    Frame(Frame),
    /// The wire has been taken up anew: it has not heard of any confirmation yet.
    Opened,
}

impl Source {
    pub(super) fn new(replication: Replication) -> Self {
        let status_interval = replication.status_interval();
        Self { line: Line::Open(Box::new(replication)), status_interval }
    }

    /// How often the server wants to hear of us, at least.
    pub(super) fn status_interval(&self) -> Duration {
        self.status_interval
    }

    /// What comes next. The future may be dropped at any time; nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Next, NextError> {
        match &mut self.line {
            Line::Open(replication) => Ok(Next::Frame(replication.next().await?)),
            Line::Opening(opening) => {
                let replication = opening.as_mut().await?;
                self.line = Line::Open(Box::new(replication));
                Ok(Next::Opened)
            }
        }
    }

    /// Lets go of the wire and takes it up at `position`. What was on its way is thrown away, and comes again if it lies behind that.
    pub(super) fn reopen(&mut self, route: &Arc<Route>, position: Lsn, options: PluginOptions, max_bytes: usize) {
        let former = match &self.line {
            Line::Open(replication) => Some(replication.pid()),
            Line::Opening(_) => None,
        };
        self.line = Line::Opening(Box::pin(open(route.clone(), former, position, options, max_bytes)));
    }

    /// Tells the server that everything up to `confirmed` will never be asked for again.
    pub(super) async fn confirm(&mut self, confirmed: Lsn) -> Result<(), WireError> {
        match &mut self.line {
            Line::Open(replication) => replication.confirm(confirmed).await,
            Line::Opening(_) => Ok(()),
        }
    }

    /// Ends the stream so that the server has read all that was confirmed.
    pub(super) async fn finish(self, limit: Duration) {
        if let Line::Open(replication) = self.line {
            replication.finish(limit).await;
        }
    }
}

/// Why nothing came.
pub(super) enum NextError {
    /// The wire failed.
    Wire(WireError),
    /// It could not be taken up anew.
    Ended(Ending),
}

impl From<WireError> for NextError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Ending> for NextError {
    fn from(ending: Ending) -> Self {
        Self::Ended(ending)
    }
}

async fn open(
    route: Arc<Route>,
    former: Option<i32>,
    position: Lsn,
    options: PluginOptions,
    max_bytes: usize,
) -> Result<Replication, Ending> {
    let deadline = Instant::now() + SLOT_RELEASE_TIMEOUT;
    if let Some(pid) = former {
        // It may be in the middle of a long text that nobody reads any more.
        route.database.terminate_former(&route.slot, pid).await?;
    }
    loop {
        match start(&route, position, &options, max_bytes).await? {
            Err(WireError::Server(error)) if is_passing(&error) && Instant::now() < deadline => sleep(RETRY_INTERVAL).await,
            // Whoever has the slot now, or dropped it, is found out afterwards.
            Err(WireError::Server(error)) if matches!(error.condition(), Condition::InUse | Condition::NoSuchObject) => {
                return Err(Ending::PostgresAway(WireError::Server(error).into()));
            }
            started => return Ok(started?),
        }
    }
}

async fn start(route: &Route, position: Lsn, options: &PluginOptions, max_bytes: usize) -> Result<Result<Replication, WireError>, Ending> {
    let wire = match Wire::connect(&route.config, &format!("pgdeltastream {}", route.slot), &[]).await {
        Ok(wire) => wire,
        Err(error) => return Ok(Err(error)),
    };
    // Whoever took the stream in the meantime has it.
    still_ours(route).await??;
    Ok(Replication::start(wire, &route.slot, position, options, max_bytes).await)
}

/// Our former process has not gone yet, with the slot, or with the place of a process.
fn is_passing(error: &ServerError) -> bool {
    matches!(error.condition(), Condition::InUse | Condition::LimitReached)
}
