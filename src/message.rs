//! All that crosses HTTP and the websocket. Only these types derive serde; their JSON Schemas are in `schemas/`.
//!
//! Names are camelCase, but for what the original called `order_by` and `nextlsn`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pattern of a list: commas between items, and spaces round them.
macro_rules! list {
    ($item:expr) => {
        concat!("^ *", $item, "( *, *", $item, ")* *$")
    };
}

/// The pattern of an identifier: to Postgres, whatever is not ASCII is a letter.
macro_rules! identifier {
    () => {
        r#"([A-Za-z_]|[^\u0000-\u007f])([A-Za-z0-9_$]|[^\u0000-\u007f])*|"([^"\u0000]|"")+""#
    };
}

/// The pattern of a list of tables.
macro_rules! table_list {
    () => {
        list!(concat!("(", identifier!(), r")(\.(", identifier!(), r"|\*))?"))
    };
}

/// The answer to `/v1/init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = InitResponse { slot_name: String::from("delta_face56") })]
pub struct InitResponse {
    /// The replication slot that was made: the stream's name from here on.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,63}$"))]
    pub slot_name: String,
}

/// Which rows of the snapshot to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = SnapshotDataRequest::example())]
pub struct SnapshotDataRequest {
    /// The stream whose snapshot to read; without it: the stream that `/v1/init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9_]{1,63}$"))]
    pub slot_name: Option<String>,
    /// `table` or `schema.table`, quoted and folded as in SQL; without a schema: `public`.
    #[schemars(length(min = 1, max = 261), regex(pattern = r"^[^\u0000]*$"))]
    pub table: String,
    /// How many rows to pass over.
    #[serde(default)]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub offset: u64,
    /// How many rows to return at most; without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub limit: Option<u64>,
    /// What to order by. The table's key follows, so that pages tile; without this, the key alone.
    #[serde(default, rename = "order_by", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderBy")]
    pub order_by: Option<OrderBy>,
}

impl SnapshotDataRequest {
    fn example() -> Self {
        Self {
            slot_name: Some(String::from("delta_face56")),
            table: String::from("test_table"),
            offset: 0,
            limit: Some(5),
            order_by: Some(OrderBy { column: String::from("id"), order: String::from("ASC") }),
        }
    }
}

/// One column and a direction, for all columns of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderBy {
    /// A column of the table, quoted and folded as in SQL, or else exactly as it is called.
    #[schemars(length(min = 1, max = 130), regex(pattern = r"^[^\u0000]*$"))]
    pub column: String,
    /// `ASC` or `DESC`, in any case.
    #[serde(default = "OrderBy::ascending")]
    #[schemars(regex(pattern = r"^([Aa][Ss][Cc]|[Dd][Ee][Ss][Cc])$"))]
    pub order: String,
}

impl OrderBy {
    fn ascending() -> String {
        String::from("ASC")
    }
}

/// What a client sends over the websocket: everything up to this position is durable on its side. Further members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Acknowledgement { lsn: String::from("0/170FCB0") })]
pub struct Acknowledgement {
    /// A `nextlsn` that came over this stream.
    #[schemars(regex(pattern = r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$"))]
    pub lsn: String,
}

/// The query of `/v1/lr/stream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = StreamQuery::example())]
pub struct StreamQuery {
    /// The stream to follow: its slot.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,63}$"))]
    pub slot_name: String,
    /// What a message is like.
    #[serde(default)]
    pub format: StreamFormat,
    /// The only tables to tell of: `table` (in `public`), `schema.table`, `schema.*`, as in SQL, with commas between; with all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = table_list!()))]
    pub tables: Option<String>,
    /// Tables not to tell of, in the same way, whatever `tables` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = table_list!()))]
    pub exclude_tables: Option<String>,
    /// The only actions to send, with commas between them; without it: all. Format 1 has no `truncate`: alone, it is refused there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!("(insert|update|delete|truncate)")))]
    pub actions: Option<String>,
    /// Whether to send messages of `pg_logical_emit_message`; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub messages: Option<bool>,
    /// Whether to send transactions without a change for the client, as `"change":[]`. Each is then to be acknowledged like any other.
    #[serde(default)]
    pub empty_transactions: bool,
    /// How to write numbers; without it: as JSON numbers, with every digit. Only with `format=events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NumberForm")]
    pub numbers: Option<NumberForm>,
    /// wal2json: whether to say the transaction's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_xids: Option<bool>,
    /// wal2json: whether to say when the transaction was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_timestamp: Option<bool>,
    /// wal2json: whether to say a table's schema; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_schemas: Option<bool>,
    /// wal2json: whether to say the columns' types; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_types: Option<bool>,
    /// wal2json: whether to say the OIDs of the columns' types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_type_oids: Option<bool>,
    /// wal2json: whether types have their modifiers, as in `numeric(5,2)`; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_typmod: Option<bool>,
    /// wal2json: whether to say the type that a domain is over, instead of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_domain_data_type: Option<bool>,
    /// wal2json: whether to say the columns' numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_column_positions: Option<bool>,
    /// wal2json: whether to say the replication origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_origin: Option<bool>,
    /// wal2json: whether to say which columns are `NOT NULL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_not_null: Option<bool>,
    /// wal2json: whether to say the columns' defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_default: Option<bool>,
    /// wal2json: whether to say the primary key's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_pk: Option<bool>,
    /// wal2json: numbers of replication origins whose transactions not to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!("[1-9][0-9]{0,4}")))]
    pub filter_origins: Option<String>,
    /// wal2json: prefixes of messages not to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!(r"[^\u0000\u0009-\u000d ,\\]+")))]
    pub filter_msg_prefixes: Option<String>,
    /// wal2json: the only prefixes of messages to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!(r"[^\u0000\u0009-\u000d ,\\]+")))]
    pub add_msg_prefixes: Option<String>,
    /// wal2json, since 2.6: whether to write numbers as strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub numeric_data_types_as_string: Option<bool>,
}

impl StreamQuery {
    fn example() -> Self {
        Self {
            slot_name: String::from("delta_face56"),
            tables: Some(String::from(r#"orders, shop.*, shop."Line Items""#)),
            actions: Some(String::from("insert,update")),
            ..Self::default()
        }
    }
}

/// What a message of a stream is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum StreamFormat {
    /// One transaction, as wal2json's format 1 has it.
    #[default]
    #[serde(rename = "wal2json-v1")]
    Wal2jsonV1,
    /// One record, as wal2json's format 2 has it.
    #[serde(rename = "wal2json-v2")]
    Wal2jsonV2,
    /// One transaction, or a part of a large one, with rows as objects.
    #[serde(rename = "events")]
    Events,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum NumberForm {
    /// As strings.
    String,
}

/// A request that was not fulfilled, as RFC 9457 has it, with the `error` that clients of the original look for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `about:blank`: the code says what it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was expected, what came, and what to do.
    pub detail: String,
    /// What it is, for programs.
    pub code: String,
    /// The same as `detail`.
    pub error: String,
    /// Every fault of an invalid request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The process whose open transaction holds up the creation of a slot, or which holds a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocker: Option<Blocker>,
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Where, as a JSON pointer into the body; for a query string, `/` and the parameter's name.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

/// A process of the server that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Its process id; none for a prepared transaction.
    pub pid: Option<i32>,
    /// Its `application_name`, or the name of the prepared transaction.
    pub application: String,
    /// For how many seconds its transaction has been open; none where our role may not see it.
    pub age_seconds: Option<u64>,
}

/// What the client hears over the websocket about a frame of its own that cannot be accepted. The stream goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamError {
    /// What was expected and what came.
    pub error: String,
    /// What it is, for programs.
    pub code: String,
}

impl StreamError {
    /// The frame's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
