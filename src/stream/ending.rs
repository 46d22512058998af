//! How a session ends, and how it is found out why Postgres hung up.

use tokio::time::{Instant, sleep};

use super::Route;
use crate::config::{DROP_INTERVAL, DROP_PATIENCE};
use crate::format::ReadError;
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::QueryError;
use crate::postgres::slots::Slot;
use crate::postgres::wire::WireError;
use crate::progress::Backwards;
use crate::registry::Standing;
use crate::seat::Reason;
use crate::wal2json::Malformed;

/// Errors of the server that pass: it stops, or it has no room for us now. That a slot has lost its WAL is found out afterwards.
///
/// Nor is a refused log-in final, for a stream that had logged in before: roles and passwords may come a moment after a server that was restored.
const PASSING: [Condition; 7] = [
    Condition::Terminated,
    Condition::LimitReached,
    Condition::InUse,
    Condition::Passing,
    Condition::NotInState,
    Condition::ReadOnly,
    Condition::LoginRefused,
];

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
    /// The stream cannot be had any more.
    SlotGone(Gone),
    /// The server keeps too much WAL for it.
    TooMuchWal,
    /// Postgres went away.
    PostgresAway(Away),
    /// What came from Postgres made no sense, or it cannot go on.
    Fault(Fault),
}

/// Why a stream cannot be had any more. Each begins with a word for programs, and fits into a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// It was deleted, or replaced by another `/v1/init`.
    #[error("stream_gone: the stream was ended: start over with /v1/init, or make it anew")]
    Dropped,
    /// It was dropped because the server kept too much WAL for it.
    #[error("stream_gone: Postgres kept more WAL for it than WAL_LIMIT_BYTES: start over with a new one")]
    DroppedForItsWal,
    /// The server has no slot of that name.
    #[error("slot_missing: the server has no such slot any more: start over with a new one")]
    Missing,
    /// There is one of that name which somebody else has made or used.
    #[error("slot_missing: the slot was made anew, or used by another program: start over with a new one")]
    OtherSlot,
    /// Another server answers at that address.
    #[error("slot_missing: this is another Postgres server: start over with a new slot")]
    OtherServer,
    /// The slot has lost WAL.
    #[error("slot_lost: Postgres has removed WAL that the slot needs: start over with a new one")]
    Lost,
    /// The client has more than the server.
    #[error("position_ahead: the server does not have all that its client has: start over with a new slot")]
    Ahead,
    /// The server remembers less of us than we had told it.
    #[error("position_ahead: the database was restored to an earlier state: start over with a new slot")]
    Restored,
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
    /// What comes now is not what was being sent.
    #[error("{0}: connect again")]
    Elsewhere(#[source] ReadError),
    /// The server follows another one.
    #[error("Postgres is a standby, and has not been promoted")]
    Standby,
}

impl Away {
    /// Whether another process has the slot, or the last place for one.
    pub(super) fn is_for_want_of_place(&self) -> bool {
        let Self::Wire(WireError::Server(error)) = self else { return false };
        matches!(error.condition(), Condition::InUse | Condition::LimitReached)
    }
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

impl From<Away> for Ending {
    fn from(away: Away) -> Self {
        match away {
            Away::Wire(error) => error.into(),
            Away::Query(error) => error.into(),
            Away::Elsewhere(_) | Away::Standby => Self::PostgresAway(away),
        }
    }
}

impl From<Gone> for Ending {
    fn from(gone: Gone) -> Self {
        Self::SlotGone(gone)
    }
}

impl From<ReadError> for Ending {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Malformed(malformed) => malformed.into(),
            error @ ReadError::AnotherTransaction => Self::PostgresAway(Away::Elsewhere(error)),
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
            Reason::SlotGone => Gone::Dropped.into(),
            Reason::Stopping => Self::Stopping,
            Reason::TooMuchWal => Self::TooMuchWal,
            Reason::DroppedForItsWal => Gone::DroppedForItsWal.into(),
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
            None => return Some(Gone::Missing.into()),
            Some(Slot { is_lost: true, .. }) => return Some(Gone::Lost.into()),
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
        Standing::Gone => Err(Gone::Dropped.into()),
        Standing::Restored => Err(Gone::Restored.into()),
    })
}
