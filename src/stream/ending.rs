//! How a session ends, and how it is found out why Postgres hung up.

use tokio::time::{Instant, sleep};

use super::Route;
use crate::config::{DROP_INTERVAL, DROP_PATIENCE};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::QueryError;
use crate::postgres::slots::Slot;
use crate::postgres::wire::WireError;
use crate::progress::Backwards;
use crate::registry::Standing;
use crate::seat::Reason;
use crate::wal2json::Malformed;

/// Errors of the server that pass: it stops, or it has no room for us now. That a slot has lost its WAL is found out afterwards.
const PASSING: [Condition; 4] = [Condition::Terminated, Condition::LimitReached, Condition::Passing, Condition::NotInState];

/// How a session ended.
#[derive(Debug)]
pub enum Ending {
    /// The client closed, or its connection broke.
    ClientLeft,
    /// What the client had acknowledged has been passed, which was all there was to do.
    Settled,
    /// The client sent a frame over the limit.
    FrameTooLarge,
    /// The service shuts down.
    Stopping,
    /// A newer connection has the stream now.
    Replaced,
    /// The slot was dropped, or its stream was replaced by another `/v1/init`.
    SlotGone,
    /// Postgres went away.
    PostgresAway(Away),
    /// What came from Postgres made no sense, or it cannot go on.
    Fault(Fault),
}

/// Postgres went away.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// From the slot's connection.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// From the others.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// What came from Postgres made no sense, or it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Postgres or wal2json cannot go on.
    #[error("Postgres cannot go on with this slot: {0}")]
    Server(#[source] ServerError),
    /// A single change is too long to be read, now or ever.
    #[error("row_too_large: a change of one row is longer than MAX_ROW_BYTES, or than wal2json can write")]
    RowTooLarge,
    /// Positions went backwards.
    #[error(transparent)]
    Backwards(#[from] Backwards),
    /// It is not what wal2json writes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl From<WireError> for Ending {
    /// A server that cannot write a change will not be able to the next time either.
    fn from(error: WireError) -> Self {
        match error {
            WireError::Server(error) if !PASSING.contains(&error.condition()) => Self::Fault(Fault::Server(error)),
            error => Self::PostgresAway(error.into()),
        }
    }
}

impl From<QueryError> for Ending {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Server(error) if !PASSING.contains(&error.condition()) => Self::Fault(Fault::Server(error)),
            error => Self::PostgresAway(error.into()),
        }
    }
}

impl<E: Into<Fault>> From<E> for Ending {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<Reason> for Ending {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Replaced => Self::Replaced,
            Reason::SlotGone => Self::SlotGone,
            Reason::Stopping => Self::Stopping,
        }
    }
}

/// Whether the connection was cut because the stream is somebody else's now, or gone. None: neither, or nobody can tell.
pub(super) async fn why_away(route: &Route) -> Option<Ending> {
    // Who drops a slot ends its process first, and the slot a moment later.
    let patience = Instant::now() + DROP_PATIENCE;
    loop {
        if let Err(ending) = still_ours(route).await.ok()? {
            return Some(ending);
        }
        match route.database.slot(&route.slot).await.ok()? {
            None | Some(Slot { is_lost: true, .. }) => return Some(Ending::SlotGone),
            Some(_) if Instant::now() >= patience => return None,
            Some(_) => sleep(DROP_INTERVAL).await,
        }
    }
}

/// Whether the stream is still ours; if not, what the session ends with.
pub(super) async fn still_ours(route: &Route) -> Result<Result<(), Ending>, QueryError> {
    Ok(match route.registry.standing(&route.ownership).await? {
        Standing::Owner => Ok(()),
        Standing::FormerOwner => Err(Ending::Replaced),
        Standing::Gone => Err(Ending::SlotGone),
    })
}
