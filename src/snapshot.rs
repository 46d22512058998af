//! Snapshots of slots: kept by an anchor, read by any number of readers, a page or a whole table at a time, in bounded memory.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::READER_STALL_TIMEOUT;
use crate::message::SnapshotDataRequest;
use crate::name::{SlotName, TableName};
use crate::postgres::reader::{Anchor, Exported, Reader};
use crate::postgres::server_error::Condition;
use crate::postgres::service::{Database, QueryError};
use crate::query::NoSuchColumn;

/// Rows travel in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait for a slow client; then reading from Postgres stops.
const MAX_WAITING_PIECES: usize = 4;

/// The snapshots that can be read now.
#[derive(Debug, Default)]
pub struct Snapshots {
    anchors: Mutex<HashMap<SlotName, Anchor>>,
}

/// Rows of a snapshot could not be read, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream has none, or none any more.
    #[error(
        "the snapshot of {0} is gone: it ends when this service restarts, when /v1/init is called again, or when Postgres restarts. Start over with /v1/init"
    )]
    Gone(SlotName),
    /// No such table under the snapshot, or none that clients may see.
    #[error("no table {0} at the time of the snapshot: expected table or schema.table, quoted and folded as in SQL")]
    NoSuchTable(TableName),
    /// No such column.
    #[error(transparent)]
    NoSuchColumn(#[from] NoSuchColumn),
    /// The column's type has no order.
    #[error("the values of {column} have no order: order by another column")]
    NoOrder {
        /// What was asked for.
        column: String,
    },
    /// The rows of the snapshot are not there any more.
    #[error(
        "{0} was truncated, rewritten (ALTER TABLE, VACUUM FULL, CLUSTER), renamed or dropped, or lost or changed a column or partition, since the snapshot was taken, so that its rows cannot be read any more. Start over with /v1/init"
    )]
    Rewritten(TableName),
    /// Our role may not read the table.
    #[error(
        "our role may not read {0}. Run: GRANT SELECT ON {0} TO the role of this service, and USAGE on its schema; where the table has row security, give the role BYPASSRLS"
    )]
    Forbidden(TableName),
    /// Whoever asked takes nothing any more.
    #[error("nobody has taken a row for {} s", READER_STALL_TIMEOUT.as_secs())]
    Stalled,
    /// The service ends before the rows do.
    #[error("the rows broke off: the service shuts down")]
    BrokenOff,
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// A JSON array in pieces, on their way.
#[derive(Debug)]
pub struct Pieces {
    queue: mpsc::Receiver<Result<Piece, SnapshotError>>,
    is_over: bool,
}

/// Where the pieces go.
pub type Sender = mpsc::Sender<Result<Piece, SnapshotError>>;

/// A part of the array's text.
#[derive(Debug)]
pub enum Piece {
    /// There are more.
    Rows(Bytes),
    /// All rows have been sent: only now is what came before the whole.
    End,
}

/// A channel for pieces.
pub fn pieces() -> (Sender, Pieces) {
    let (sender, queue) = mpsc::channel(MAX_WAITING_PIECES);
    (sender, Pieces { queue, is_over: false })
}

impl Pieces {
    /// The next piece. The array is complete when there is none; if it breaks off, the last one is an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, SnapshotError>> {
        if self.is_over {
            return None;
        }
        match self.queue.recv().await {
            Some(Ok(Piece::Rows(rows))) => return Some(Ok(rows)),
            Some(Ok(Piece::End)) => self.is_over = true,
            Some(Err(error)) => {
                self.is_over = true;
                return Some(Err(error));
            }
            None => {
                self.is_over = true;
                return Some(Err(SnapshotError::BrokenOff));
            }
        }
        None
    }
}

impl Snapshots {
    /// Keeps a new slot's snapshot until it is released.
    pub fn insert(&self, slot: SlotName, anchor: Anchor) {
        self.anchors().insert(slot, anchor);
    }

    /// Lets a snapshot go. Who reads it may go on to the end.
    pub async fn release(&self, slot: &SlotName) {
        let anchor = self.anchors().remove(slot);
        if let Some(anchor) = anchor {
            anchor.release().await;
        }
    }

    /// Lets all snapshots go.
    pub async fn release_all(&self) {
        let slots: Vec<SlotName> = self.anchors().keys().cloned().collect();
        for slot in slots {
            self.release(&slot).await;
        }
    }

    /// What readers import of a slot.
    pub fn exported(&self, slot: &SlotName) -> Option<Exported> {
        self.anchors().get(slot).map(|anchor| anchor.exported().clone())
    }

    fn anchors(&self) -> MutexGuard<'_, HashMap<SlotName, Anchor>> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which rows to read.
#[derive(Debug)]
pub struct Page {
    /// Of which stream's snapshot.
    pub slot: SlotName,
    /// The snapshot.
    pub snapshot: Exported,
    /// Of which table.
    pub table: TableName,
    /// Which of them.
    pub request: SnapshotDataRequest,
}

/// Reads rows. To be run beside whoever takes the pieces; ends when nobody does.
pub async fn read(database: Database, page: Page, pieces: Sender) {
    let read = tokio::select! {
        read = read_into(&database, &page, &pieces) => read,
        () = pieces.closed() => return,
    };
    let last = read.map(|()| Piece::End);
    let _ = timeout(READER_STALL_TIMEOUT, pieces.send(last)).await;
}

async fn read_into(database: &Database, page: &Page, pieces: &Sender) -> Result<(), SnapshotError> {
    let Page { slot, snapshot, table: name, request } = page;
    let mut reader = Reader::open(database, snapshot).await?.ok_or_else(|| SnapshotError::Gone(slot.clone()))?;
    let Some(table) = reader.table(name).await? else { return Err(SnapshotError::NoSuchTable(name.clone())) };
    let sql = table.page(request)?;
    reader.lock(&table).await.map_err(|error| about_table(error, name))?;
    if !reader.is_intact(database, &table).await? {
        return Err(SnapshotError::Rewritten(name.clone()));
    }
    {
        let mut rows = pin!(reader.rows(&table, &sql, PIECE_BYTES)?);
        while let Some(piece) = rows.try_next().await.map_err(|error| about_rows(error, name, request))? {
            let sent = timeout(READER_STALL_TIMEOUT, pieces.send(Ok(Piece::Rows(piece.into())))).await;
            sent.map_err(|_| SnapshotError::Stalled)?.map_err(|_| SnapshotError::BrokenOff)?;
        }
    }
    Ok(reader.finish().await?)
}

fn about_table(error: QueryError, table: &TableName) -> SnapshotError {
    match error.condition() {
        Some(Condition::NoSuchTable) => SnapshotError::Rewritten(table.clone()),
        Some(Condition::Forbidden) => SnapshotError::Forbidden(table.clone()),
        _ => error.into(),
    }
}

fn about_rows(error: QueryError, table: &TableName, request: &SnapshotDataRequest) -> SnapshotError {
    match (error.condition(), &request.order_by) {
        (Some(Condition::NoOperator), Some(order_by)) => SnapshotError::NoOrder { column: order_by.column.clone() },
        _ => about_table(error, table),
    }
}
