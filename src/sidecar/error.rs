//! Why a call failed.

use crate::lsn::Lsn;
use crate::name::{SlotName, TableName};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::QueryError;
use crate::postgres::wire::WireError;
use crate::seat::{Reason, ShuttingDown};
use crate::slot::{CreateError, ReleaseError};
use crate::snapshot::SnapshotError;

/// `/v1/init` failed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Too many others are in front.
    #[error("other calls of /v1/init are still at work: try again")]
    Busy,
    /// The slot could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The stream before could not be ended.
    #[error("the stream that /v1/init made before cannot be ended: {0}")]
    Release(#[from] ReleaseError),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The service shuts down.
    #[error(transparent)]
    ShuttingDown(#[from] ShuttingDown),
    /// A fault of ours.
    #[error("broken off in the middle: see the log")]
    BrokenOff,
}

/// There is no such stream, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    /// Never heard of.
    #[error("there is no wal2json slot {0} in this database: make one with /v1/init")]
    Unknown(SlotName),
    /// It was replaced or dropped.
    #[error("the stream {0} is gone: /v1/init was called again, or its slot was dropped. Start over with /v1/init")]
    Gone(SlotName),
    /// No stream was named and there is none to be meant.
    #[error("no slotName was given and there is no stream of /v1/init: call /v1/init first")]
    NoInit,
}

/// Rows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such stream.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// There is, but its rows cannot be had.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// A table could not be described.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is none, or it is none that a client may see.
    #[error("there is no table {0}, or it is one of the system")]
    NoSuchTable(TableName),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// A stream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such stream.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// The server has thrown away WAL that the slot needs.
    #[error("slot {0} is lost: Postgres has removed WAL that it needs (max_slot_wal_keep_size). Start over with /v1/init")]
    Lost(SlotName),
    /// The client is ahead of the server, which was restored to an earlier state.
    #[error(
        "the client of {slot} has acknowledged {acknowledged}, but the server is only at {flushed}: it was restored to an earlier state. Start over with /v1/init"
    )]
    Ahead {
        /// The stream.
        slot: SlotName,
        /// What was kept.
        acknowledged: Lsn,
        /// Where the server is.
        flushed: Lsn,
    },
    /// The slot is not finished.
    #[error("slot {0} is being made: try again")]
    BeingMade(SlotName),
    /// A newer connection came in between, or the stream was ended.
    #[error("{}", superseded(.0))]
    Superseded(Reason),
    /// wal2json refused what it was told.
    #[error("the wal2json of this server cannot do this: {0}")]
    Unsupported(#[source] ServerError),
    /// Somebody else has the slot.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The replication connection failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The service shuts down.
    #[error(transparent)]
    ShuttingDown(#[from] ShuttingDown),
    /// A fault of ours.
    #[error("broken off in the middle: see the log")]
    BrokenOff,
}

impl OpenError {
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Self::Wire(WireError::Server(error)) if error.condition() == Condition::InUse)
    }
}

fn superseded(reason: &Reason) -> &'static str {
    match reason {
        Reason::Replaced => "a newer connection has this stream",
        Reason::SlotGone => "the stream has just been ended: start over with /v1/init",
        Reason::Stopping => "the service shuts down",
    }
}
