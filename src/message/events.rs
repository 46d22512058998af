//! Messages of a stream with `format=events`. `format/events.rs` writes them, values as they come from Postgres; these types say what it writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::LSN;

/// The pattern of an event's id.
const ID: &str = "^([0-9A-F]{1,8}/[0-9A-F]{1,8}/){2}[0-9]{1,10}$";

/// A row as an object, or some columns of it: values by the row model, each under its column's name. What exactly the columns of a table
/// are, its own schema says: `/v1/schemas/tables/{table}`.
type Row = Map<String, Value>;

/// Everything that one transaction did, or a part of it. A message outside of transactions comes alone, with neither `xid` nor `nextlsn`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(example = EventsMessage::example())]
pub struct EventsMessage {
    /// Where the transaction ends: what to acknowledge. Only on its last part.
    #[serde(rename = "nextlsn", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = LSN))]
    pub next_lsn: Option<String>,
    /// The transaction's number.
    pub xid: Option<u32>,
    /// When it was committed, in UTC.
    #[schemars(extend("format" = "date-time"))]
    pub commit_time: Option<String>,
    /// Which part of the transaction this is, from 0. A new connection starts at 0 again: what came of an incomplete one is to be dropped.
    pub part: u32,
    /// Whether it is the last one.
    pub last: bool,
    /// What happened, in its order.
    pub events: Vec<Event>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A new row.
    #[schemars(title = "InsertEvent")]
    Insert {
        /// Which event this is, and of which table.
        #[serde(flatten)]
        of: EventTable,
        /// The row.
        new: Row,
    },
    /// A row changed.
    #[schemars(title = "UpdateEvent")]
    Update {
        /// Which event this is, and of which table.
        #[serde(flatten)]
        of: EventTable,
        /// What the row was known by before: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Row")]
        key: Option<Row>,
        /// The whole row before, under `REPLICA IDENTITY FULL`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Row")]
        old: Option<Row>,
        /// The row from now on, without the columns that are `unchanged`.
        new: Row,
        /// Columns whose large values did not change, which Postgres does not send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Vec<String>", length(min = 1))]
        unchanged: Option<Vec<String>>,
        /// Columns may be left out of `new` because they are unchanged, or because the table did not have them yet: it cannot be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "bool", extend("const" = true))]
        unchanged_unknown: Option<bool>,
    },
    /// A row is gone.
    #[schemars(title = "DeleteEvent")]
    Delete {
        /// Which event this is, and of which table.
        #[serde(flatten)]
        of: EventTable,
        /// What the row was known by: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Row")]
        key: Option<Row>,
        /// The whole row, under `REPLICA IDENTITY FULL`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Row")]
        old: Option<Row>,
    },
    /// All rows of a table are gone. That of a partitioned table comes for itself and for each partition.
    #[schemars(title = "TruncateEvent")]
    Truncate {
        /// Which event this is, and of which table.
        #[serde(flatten)]
        of: EventTable,
    },
    /// What `pg_logical_emit_message` wrote.
    #[schemars(title = "MessageEvent")]
    Message {
        /// The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
        #[schemars(regex(pattern = ID))]
        id: String,
        /// Whom it is for.
        prefix: String,
        /// Its text, up to the first NUL.
        content: String,
        /// Whether it belongs to its transaction, or stands for itself.
        transactional: bool,
    },
}

/// Which event of which table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTable {
    /// The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    #[schemars(regex(pattern = ID))]
    pub id: String,
    /// The table's schema.
    pub schema: String,
    /// The table; a partition is one.
    pub table: String,
    /// The partitioned table at the top, if the table is a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub root: Option<String>,
    /// The schema of `root`, if it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub root_schema: Option<String>,
}

impl EventsMessage {
    fn example() -> Self {
        let row = |row: Value| row.as_object().cloned().unwrap_or_default();
        Self {
            next_lsn: Some(String::from("0/170FCB0")),
            xid: Some(741),
            commit_time: Some(String::from("2026-11-23T17:57:57.21Z")),
            part: 0,
            last: true,
            events: vec![Event::Update {
                of: EventTable {
                    id: String::from("0/170FC80/0/170FB10/0"),
                    schema: String::from("public"),
                    table: String::from("test_table"),
                    root: None,
                    root_schema: None,
                },
                key: Some(row(json!({"id": 3}))),
                old: None,
                new: row(json!({"id": 3, "name": "newval1"})),
                unchanged: Some(vec![String::from("big_text")]),
                unchanged_unknown: None,
            }],
        }
    }
}

/// Something that a client of `format=events` should know, and that is no event. Never before the first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = NoticeMessage::example())]
pub struct NoticeMessage {
    /// What it should know.
    pub notice: Notice,
}

/// What a client should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// What it is, for programs.
    pub code: NoticeCode,
    /// What happened, and what to do.
    #[schemars(length(min = 1))]
    pub message: String,
    /// The schema of the table it is about.
    pub schema: String,
    /// The table it is about.
    pub table: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCode {
    /// Updates and deletes of the table are left out, since nothing tells its rows apart.
    NoReplicaIdentity,
}

impl NoticeMessage {
    /// The frame's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn example() -> Self {
        let message = r#"updates and deletes of "public"."logs" are left out, since nothing tells its rows apart: give it a primary key, or ALTER TABLE "public"."logs" REPLICA IDENTITY FULL"#;
        Self {
            notice: Notice {
                code: NoticeCode::NoReplicaIdentity,
                message: String::from(message),
                schema: String::from("public"),
                table: String::from("logs"),
            },
        }
    }
}
