//! All that crosses HTTP and the websocket. Only these types derive serde; their JSON Schemas are in `schemas/`.
//!
//! Names are camelCase, but for what the original called `order_by` and `nextlsn`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = StreamQuery { slot_name: String::from("delta_face56"), empty_transactions: false })]
pub struct StreamQuery {
    /// The stream to follow: its slot.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,63}$"))]
    pub slot_name: String,
    /// Whether to send transactions without a change for the client, as `"change":[]`. Each is then to be acknowledged like any other.
    #[serde(default)]
    pub empty_transactions: bool,
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
