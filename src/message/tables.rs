//! The tables of a snapshot.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{KeyValues, SLOT_NAME};

/// The query of `/v1/snapshot/tables`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = SnapshotTablesQuery { slot_name: Some(String::from("search_index")), tables: None })]
pub struct SnapshotTablesQuery {
    /// The stream whose snapshot is meant; without it: the stream that `/v1/init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = SLOT_NAME))]
    pub slot_name: Option<String>,
    /// The only tables to tell of: `table` (in `public`), `schema.table`, `schema.*`, as in SQL, with commas between; without it: all that the
    /// stream is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = table_list!()))]
    pub tables: Option<String>,
}

/// The tables of a snapshot that its stream is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = SnapshotTables { tables: vec![SnapshotTable::example()] })]
pub struct SnapshotTables {
    /// In the order of their names.
    pub tables: Vec<SnapshotTable>,
}

/// A table as it was when the slot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// What it is.
    pub kind: TableKind,
    /// The partitioned table whose part it is, quoted as in SQL. That has its rows too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub partition_of: Option<String>,
    /// Its columns, in order.
    pub columns: Vec<SnapshotColumn>,
    /// The columns that tell its rows apart, which `after` and `until` want: those of the primary key, or of a unique index over columns that are
    /// never null. None: it can be paged through by `offset` only.
    pub key: Vec<String>,
    /// How many rows it has, as Postgres estimates; null if it does not.
    pub estimated_rows: Option<i64>,
    /// Keys that cut a table of more than 8 MiB with a key into parts of about the same size: each is the `until` of one reader and the `after`
    /// of the next. They are looked for in the first 10 seconds of the call.
    pub split_points: Vec<KeyValues>,
    /// Whether the service's role may read it.
    pub readable: bool,
    /// Whether its changes are streamed.
    pub streamed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub why: Option<String>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL has it. What its values look like says `/v1/schemas/tables/{table}`.
    #[serde(rename = "type")]
    pub sql_type: String,
    /// Whether it is never null.
    pub not_null: bool,
}

/// What has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TableKind {
    /// A table, perhaps a partition.
    #[serde(rename = "table")]
    Table,
    /// A table whose rows are in its partitions.
    #[serde(rename = "partitioned table")]
    PartitionedTable,
    /// A view.
    #[serde(rename = "view")]
    View,
    /// A view whose rows are kept.
    #[serde(rename = "materialized view")]
    MaterializedView,
    /// A table of another server.
    #[serde(rename = "foreign table")]
    ForeignTable,
}

impl SnapshotTable {
    fn example() -> Self {
        let key = |id: u32| KeyValues(BTreeMap::from([(String::from("id"), id.to_string())]));
        let column = |name: &str, sql_type: &str| SnapshotColumn { name: name.to_owned(), sql_type: sql_type.to_owned(), not_null: true };
        Self {
            schema: String::from("public"),
            table: String::from("orders"),
            kind: TableKind::Table,
            partition_of: None,
            columns: vec![column("id", "bigint"), column("total", "numeric(12,2)")],
            key: vec![String::from("id")],
            estimated_rows: Some(3_000_000),
            split_points: vec![key(1_000_123), key(2_000_456)],
            readable: true,
            streamed: true,
            why: None,
        }
    }
}
