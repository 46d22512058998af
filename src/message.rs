//! All that crosses HTTP and the websocket. Only these types derive serde; their JSON Schemas are in `schemas/`.
//!
//! Names are camelCase, but for what the original called `order_by` and `nextlsn`, and what wal2json calls its own members.

/// The pattern of an identifier: to Postgres, whatever is not ASCII is a letter. A name has at most 63 bytes.
macro_rules! identifier {
    () => {
        r#"([A-Za-z_]|[^\u0000-\u007f])([A-Za-z0-9_$]|[^\u0000-\u007f]){0,62}|"([^"\u0000]|""){1,63}""#
    };
}

/// The pattern of a list: commas between items, and spaces round them.
macro_rules! list {
    ($item:expr) => {
        concat!("^ *", $item, "( *, *", $item, ")* *$")
    };
}

/// The pattern of a list of tables.
macro_rules! table_list {
    () => {
        list!(concat!("(", identifier!(), r")(\.(", identifier!(), r"|\*))?"))
    };
}

mod acknowledgement;
mod events;
mod problem;
mod schema;
mod service;
mod snapshot;
mod stream;
mod streams;
mod tables;
mod wal2json;

pub use acknowledgement::{AcknowledgeRequest, Acknowledgement};
pub use events::{Event, EventTable, EventsMessage, Notice, NoticeCode, NoticeMessage};
pub use problem::{Blocker, Fault, Problem, ProblemCode, StreamClose, StreamError, StreamErrorCode, pointer};
pub use schema::{SchemaEntry, SchemaList, TableSchemaQuery};
pub use service::{Health, InitResponse, Status};
pub use snapshot::{KeyValues, OrderBy, SnapshotDataRequest};
pub use stream::{NumberForm, StreamFormat, StreamQuery};
pub use streams::{
    CreateStreamRequest, SnapshotInfo, SnapshotQuery, SnapshotState, StreamAction, StreamInfo, StreamKind, StreamList, StreamState,
    WalAlarm, WalStatus,
};
pub use tables::{SnapshotColumn, SnapshotTable, SnapshotTables, SnapshotTablesQuery, TableKind};
pub use wal2json::{
    ChangeV1, Column, ColumnsV1, ContextV2, KeyColumn, OldKeys, PrimaryKey, TableV1, TableV2, Wal2jsonV1Message, Wal2jsonV2Record,
};

/// The pattern of a position in the WAL.
const LSN: &str = "^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$";

/// The pattern of a slot's name.
const SLOT_NAME: &str = "^[a-z0-9_]{1,63}$";
