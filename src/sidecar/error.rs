//! Why a call failed.

use crate::config::SETTLE_TIMEOUT;
use crate::filter::FilterError;
use crate::lsn::Lsn;
use crate::name::{SlotName, TableName};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::QueryError;
use crate::postgres::wire::WireError;
use crate::progress::Ahead;
use crate::seat::{NotSeated, Reason, ShuttingDown};
use crate::slot::{CreateError, ReleaseError};
use crate::snapshot::SnapshotError;
use crate::stream::Fault;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Never heard of such a stream.
    #[error("there is no wal2json slot {0} in this database: make one with /v1/init or POST /v1/streams")]
    UnknownStream(SlotName),
    /// The stream was replaced or dropped.
    #[error(
        "the stream {0} is gone: /v1/init was called again, or it was deleted, or its slot was dropped. Start over with /v1/init, or make it anew"
    )]
    StreamGone(SlotName),
    /// No stream was named and there is none to be meant.
    #[error("no slotName was given and there is no stream of /v1/init: call /v1/init first")]
    NoInit,
    /// The stream is in our own table, and its slot is not there.
    #[error(
        "the slot of stream {0} is not there any more: somebody dropped it. DELETE /v1/streams/{0}, make it anew, and start over with its snapshot"
    )]
    SlotMissing(SlotName),
    /// The server has thrown away WAL that the slot needs.
    #[error(
        "slot {0} is lost: Postgres has removed WAL that it needs (max_slot_wal_keep_size). Start over with /v1/init, or delete the stream and make it anew"
    )]
    SlotLost(SlotName),
    /// Somebody is at work on the slot.
    #[error("slot {0} is being made, or removed: try again")]
    BeingMade(SlotName),
    /// There is a slot, or a stream, of that name.
    #[error("there is a stream or a replication slot {0}, or one is being made: choose another name, or drop that one")]
    NameTaken(SlotName),
    /// Too many others are in front.
    #[error("other calls that make streams are still at work: try again")]
    Busy,
    /// We may have no tables of our own.
    #[error(
        "streams of their own need the tables of this service, which its role may not make. Run pgdeltastream migrate with a role that may, or GRANT CREATE ON DATABASE to this one, and start the service again; /v1/init works without"
    )]
    RegistryMissing,
    /// The slot could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Somebody else has the slot.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The stream before could not be ended.
    #[error("the stream that /v1/init made before cannot be ended: {0}")]
    Former(#[source] ReleaseError),
    /// The snapshot's rows cannot be had.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// There is no such table, or it is none that a client may see.
    #[error("there is no table {0}, or it is one of the system")]
    NoSuchTable(TableName),
    /// The connection wants nothing that the stream is about.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Somebody has the stream and keeps it.
    #[error("{0}")]
    Occupied(NotSeated),
    /// A newer connection came in between, or the stream was ended.
    #[error("{}", superseded(.0))]
    Superseded(Reason),
    /// The client is ahead of the server, which was restored to an earlier state, or promoted before it had all.
    #[error(
        "the client of {slot} has acknowledged {acknowledged}, but of its history the server has only what is before {common}: it was restored to an earlier state, or promoted before it had all. Start over with /v1/init, or delete the stream and make it anew"
    )]
    Ahead {
        /// The stream.
        slot: SlotName,
        /// What was kept.
        acknowledged: Lsn,
        /// Up to where client and server have the same.
        common: Lsn,
    },
    /// The server follows another one.
    #[error("Postgres is a standby, which cannot be streamed from until it is promoted")]
    Standby,
    /// The client says to have what the server has not written.
    #[error(transparent)]
    Unreached(#[from] Ahead),
    /// It took too long to pass what the client has acknowledged.
    #[error("{slot} has not got to {position} within {} s: try again, it goes on from where it is", SETTLE_TIMEOUT.as_secs())]
    Unsettled {
        /// The stream.
        slot: SlotName,
        /// What was acknowledged.
        position: Lsn,
    },
    /// The stream cannot go on.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Nothing comes from Postgres for a stream that somebody follows.
    #[error("stream {slot}: {reason}")]
    Stalled {
        /// The stream.
        slot: SlotName,
        /// Why.
        reason: String,
    },
    /// wal2json refused what it was told.
    #[error("the wal2json of this server cannot do this: {0}")]
    Unsupported(#[source] ServerError),
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

impl Error {
    /// That of the stream before, of which whoever asked for the next one knows nothing.
    pub(super) fn of_former(self) -> Self {
        match self {
            Self::Release(error) => Self::Former(error),
            error => error,
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Self::Wire(WireError::Server(error)) if error.condition() == Condition::InUse)
    }
}

impl From<NotSeated> for Error {
    fn from(error: NotSeated) -> Self {
        match error {
            NotSeated::ShuttingDown(error) => Self::ShuttingDown(error),
            error => Self::Occupied(error),
        }
    }
}

fn superseded(reason: &Reason) -> &'static str {
    match reason {
        Reason::Replaced => "a newer connection has this stream",
        Reason::SlotGone => "the stream has just been ended: start over with /v1/init, or make it anew",
        Reason::Stopping => "the service shuts down",
        Reason::TooMuchWal => "Postgres keeps more WAL for this stream than WAL_LIMIT_BYTES",
        Reason::DroppedForItsWal => "the stream has just been dropped, since Postgres kept more WAL for it than WAL_LIMIT_BYTES",
    }
}
