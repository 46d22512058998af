//! Snapshots of slots are read by any number of readers, a page or a whole table at a time, in bounded memory.

mod lifetime;
mod listing;
mod writing;

use std::pin::pin;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::READER_STALL_TIMEOUT;
use crate::message::SnapshotDataRequest;
use crate::name::{SlotName, TableName};
use crate::postgres::reader::Reader;
use crate::postgres::server_error::Condition;
use crate::postgres::service::{Database, QueryError};
use crate::query::NoSuchRows;
use writing::Writer;

pub use lifetime::{Condition as SnapshotCondition, End, Reading, Snapshots};
pub use listing::list;
pub use writing::{Framing, NotText};

/// Pieces that may wait for a slow client; then reading from Postgres stops.
const MAX_WAITING_PIECES: usize = 4;

/// Rows of a snapshot could not be read, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream has none, or none any more.
    #[error("the snapshot of {0} {1}. Start over: with /v1/init, or by deleting the stream and making it anew")]
    Gone(SlotName, End),
    /// No such table under the snapshot, or none that clients may see.
    #[error("no table {0} at the time of the snapshot: expected table or schema.table, quoted and folded as in SQL")]
    NoSuchTable(TableName),
    /// The table has no such rows to ask for.
    #[error(transparent)]
    NoSuchRows(#[from] NoSuchRows),
    /// A value is none of its column's type.
    #[error("a value of after or until is none of its column's type: give each as a row has it")]
    NoSuchPlace,
    /// A value is not text.
    #[error(transparent)]
    NotText(#[from] NotText),
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

/// Which rows to read.
#[derive(Debug)]
pub struct Page {
    /// The snapshot.
    pub snapshot: Reading,
    /// Of which table.
    pub table: TableName,
    /// Which of them.
    pub request: SnapshotDataRequest,
    /// How they are framed.
    pub framing: Framing,
}

/// Reads rows. To be run beside whoever takes the pieces; ends when nobody does.
pub async fn read(database: Database, page: Page, pieces: Sender) {
    let read = tokio::select! {
        read = read_into(&database, &page, &pieces) => read,
        () = page.snapshot.too_old() => Err(SnapshotError::Gone(page.snapshot.slot().clone(), End::TooOld)),
        () = pieces.closed() => return,
    };
    let last = read.map(|()| Piece::End);
    let _ = timeout(READER_STALL_TIMEOUT, pieces.send(last)).await;
}

async fn read_into(database: &Database, page: &Page, pieces: &Sender) -> Result<(), SnapshotError> {
    let Page { snapshot, table: name, request, framing } = page;
    let mut reader = open(database, snapshot).await?;
    let Some(table) = reader.table(name).await? else { return Err(SnapshotError::NoSuchTable(name.clone())) };
    let selection = table.select(request, *framing == Framing::Lines)?;
    if !reader.accepts(&selection).await? {
        return Err(SnapshotError::NoSuchPlace);
    }
    reader.lock(&table).await.map_err(|error| about_table(error, name))?;
    if !reader.is_intact(database, &table).await? {
        return Err(SnapshotError::Rewritten(name.clone()));
    }
    let mut writer = Writer::new(&selection, *framing);
    for statement in selection.statements() {
        let left = selection.limit.map(|limit| limit - writer.rows());
        if left == Some(0) && writer.rows() > 0 {
            break;
        }
        let sql = statement.limited(left);
        let mut lines = pin!(reader.copy(&sql).await.map_err(|error| about_rows(error, name, request))?);
        while let Some(lines) = lines.try_next().await.map_err(|error| about_rows(error, name, request))? {
            if let Some(piece) = writer.add(&lines)? {
                send(piece, pieces).await?;
            }
        }
    }
    if *framing == Framing::Lines && !reader.is_intact(database, &table).await? {
        return Err(SnapshotError::Rewritten(name.clone()));
    }
    send(writer.finish(), pieces).await?;
    Ok(reader.finish().await?)
}

/// A reader of the snapshot, if it can still be imported.
async fn open(database: &Database, snapshot: &Reading) -> Result<Reader, SnapshotError> {
    let opened = Reader::open(database, snapshot.exported()).await?;
    opened.ok_or_else(|| {
        snapshot.lost();
        SnapshotError::Gone(snapshot.slot().clone(), End::Lost)
    })
}

async fn send(piece: Bytes, pieces: &Sender) -> Result<(), SnapshotError> {
    let sent = timeout(READER_STALL_TIMEOUT, pieces.send(Ok(Piece::Rows(piece)))).await;
    sent.map_err(|_| SnapshotError::Stalled)?.map_err(|_| SnapshotError::BrokenOff)
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
        (Some(Condition::NoOperator | Condition::NotSupported), Some(order_by)) => {
            SnapshotError::NoOrder { column: order_by.column.clone() }
        }
        (Some(Condition::NoOperator | Condition::NotSupported), None) => {
            SnapshotError::NoOrder { column: String::from("a column of the key") }
        }
        _ => about_table(error, table),
    }
}
