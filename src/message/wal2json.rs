//! Messages of a stream in wal2json's own formats: these types say what wal2json writes, which goes to the client as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LSN;

/// A transaction as wal2json's format 1 has it, or a part of one that is too long for one message. A message of `pg_logical_emit_message`
/// outside of transactions comes alone, without `nextlsn`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Wal2jsonV1Message::example())]
pub struct Wal2jsonV1Message {
    /// The transaction's number, with `includeXids`; null outside of transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// Where the transaction ends: what to acknowledge. Only on its last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = LSN))]
    pub nextlsn: Option<String>,
    /// When it was committed, with `includeTimestamp`, as Postgres writes it; null outside of transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The replication origin it came from, with `includeOrigin`; 0 is this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<u16>,
    /// What happened, in its order. TRUNCATE is not told.
    pub change: Vec<ChangeV1>,
}

/// What happened, as format 1 has it. Lists of columns are parallel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ChangeV1 {
    /// A new row.
    #[schemars(title = "InsertV1")]
    Insert {
        /// The table.
        #[serde(flatten)]
        table: TableV1,
        /// The row.
        #[serde(flatten)]
        columns: ColumnsV1,
    },
    /// A row changed.
    #[schemars(title = "UpdateV1")]
    Update {
        /// The table.
        #[serde(flatten)]
        table: TableV1,
        /// The row from now on, without columns whose large values did not change.
        #[serde(flatten)]
        columns: ColumnsV1,
        /// What the row was known by before.
        oldkeys: OldKeys,
    },
    /// A row is gone.
    #[schemars(title = "DeleteV1")]
    Delete {
        /// The table.
        #[serde(flatten)]
        table: TableV1,
        /// What the row was known by.
        oldkeys: OldKeys,
    },
    /// What `pg_logical_emit_message` wrote.
    #[schemars(title = "LogicalMessageV1")]
    Message {
        /// Whether it belongs to its transaction, or stands for itself.
        transactional: bool,
        /// Whom it is for.
        prefix: String,
        /// Its text, up to the first NUL.
        content: String,
    },
}

/// A table, and what it has beside columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableV1 {
    /// Its schema, unless `includeSchemas=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub schema: Option<String>,
    /// The table; a partition is one.
    pub table: String,
    /// Its primary key, with `includePk`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PrimaryKey")]
    pub pk: Option<PrimaryKey>,
}

/// A row, as parallel lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnsV1 {
    /// The columns' names.
    pub columnnames: Vec<String>,
    /// Their types as SQL writes them, unless `includeTypes=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub columntypes: Option<Vec<String>>,
    /// Their types' OIDs, with `includeTypeOids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<i64>")]
    pub columntypeoids: Option<Vec<i64>>,
    /// Their numbers in the table, with `includeColumnPositions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<i16>")]
    pub columnpositions: Option<Vec<i16>>,
    /// Whether they may be null, with `includeNotNull`; empty with `includeTypes=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<bool>")]
    pub columnoptionals: Option<Vec<bool>>,
    /// SQL of their defaults, with `includeDefault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Option<String>>")]
    pub columndefaults: Option<Vec<Option<String>>>,
    /// Their values: numbers and booleans as themselves, NaN and the infinities of numbers as null, all else as text.
    pub columnvalues: Vec<Value>,
}

/// What a row was known by: the columns of its replica identity that are not null, as parallel lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OldKeys {
    /// The columns' names.
    pub keynames: Vec<String>,
    /// Their types as SQL writes them, unless `includeTypes=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub keytypes: Option<Vec<String>>,
    /// Their types' OIDs, with `includeTypeOids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<i64>")]
    pub keytypeoids: Option<Vec<i64>>,
    /// Their values.
    pub keyvalues: Vec<Value>,
}

/// A table's primary key, as parallel lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryKey {
    /// The columns' names.
    pub pknames: Vec<String>,
    /// Their types as SQL writes them; empty with `includeTypes=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub pktypes: Option<Vec<String>>,
}

impl Wal2jsonV1Message {
    fn example() -> Self {
        let columns = ColumnsV1 {
            columnnames: vec![String::from("id"), String::from("name")],
            columntypes: Some(vec![String::from("integer"), String::from("text")]),
            columntypeoids: None,
            columnpositions: None,
            columnoptionals: None,
            columndefaults: None,
            columnvalues: vec![json!(3), json!("newval1")],
        };
        let table = TableV1 { schema: Some(String::from("public")), table: String::from("test_table"), pk: None };
        Self {
            xid: None,
            nextlsn: Some(String::from("0/170FCB0")),
            timestamp: None,
            origin: None,
            change: vec![ChangeV1::Insert { table, columns }],
        }
    }
}

/// A record of wal2json's format 2: the beginning or the end of a transaction, or something that happened in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action")]
#[schemars(example = Wal2jsonV2Record::example())]
pub enum Wal2jsonV2Record {
    /// A transaction begins.
    #[schemars(title = "BeginV2")]
    B {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// Where it will have ended. It is not to be acknowledged before the end has come.
        #[schemars(regex(pattern = LSN))]
        nextlsn: String,
    },
    /// A transaction is complete.
    #[schemars(title = "CommitV2")]
    C {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// Where it ends: what to acknowledge.
        #[schemars(regex(pattern = LSN))]
        nextlsn: String,
    },
    /// A new row.
    #[schemars(title = "InsertV2")]
    I {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// The table.
        #[serde(flatten)]
        table: TableV2,
        /// The row.
        columns: Vec<Column>,
    },
    /// A row changed.
    #[schemars(title = "UpdateV2")]
    U {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// The table.
        #[serde(flatten)]
        table: TableV2,
        /// The row from now on, without columns whose large values did not change.
        columns: Vec<Column>,
        /// What the row was known by before: the columns of its replica identity.
        identity: Vec<Column>,
    },
    /// A row is gone.
    #[schemars(title = "DeleteV2")]
    D {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// The table.
        #[serde(flatten)]
        table: TableV2,
        /// What the row was known by: the columns of its replica identity.
        identity: Vec<Column>,
    },
    /// All rows of a table are gone.
    #[schemars(title = "TruncateV2")]
    T {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// The table.
        #[serde(flatten)]
        table: TableV2,
    },
    /// What `pg_logical_emit_message` wrote.
    #[schemars(title = "LogicalMessageV2")]
    M {
        /// The transaction.
        #[serde(flatten)]
        context: ContextV2,
        /// Whether it belongs to its transaction, or stands for itself.
        transactional: bool,
        /// Whom it is for.
        prefix: String,
        /// Its text, up to the first NUL.
        content: String,
    },
}

/// What any record has. Outside of transactions, what is about a transaction is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContextV2 {
    /// The transaction's number, with `includeXids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// When it was committed, with `includeTimestamp`, as Postgres writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The replication origin it came from, with `includeOrigin`; 0 is this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<u16>,
    /// Where the record stands; for the beginning and the end of a transaction, the start of what commits it.
    #[schemars(regex(pattern = LSN))]
    pub lsn: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableV2 {
    /// Its schema, unless `includeSchemas=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub schema: Option<String>,
    /// The table; a partition is one.
    pub table: String,
    /// Its primary key, with `includePk`; empty if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<KeyColumn>")]
    pub pk: Option<Vec<KeyColumn>>,
}

/// A column with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as SQL writes it, unless `includeTypes=false`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub type_name: Option<String>,
    /// Its type's OID, with `includeTypeOids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub typeoid: Option<i64>,
    /// Its value: numbers and booleans as themselves, NaN and the infinities of numbers as null, all else as text.
    pub value: Value,
    /// Whether it may be null, with `includeNotNull`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub optional: Option<bool>,
    /// Its number in the table, with `includeColumnPositions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i16")]
    pub position: Option<i16>,
    /// SQL of its default, with `includeDefault`; null if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// A column of a primary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its type as SQL writes it, unless `includeTypes=false`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub type_name: Option<String>,
    /// Its type's OID, with `includeTypeOids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub typeoid: Option<i64>,
}

impl Wal2jsonV2Record {
    fn example() -> Self {
        let column = |name: &str, type_name: &str, value| Column {
            name: name.to_owned(),
            type_name: Some(type_name.to_owned()),
            typeoid: None,
            value,
            optional: None,
            position: None,
            default: None,
        };
        Self::I {
            context: ContextV2 { xid: None, timestamp: None, origin: None, lsn: String::from("0/170FB10") },
            table: TableV2 { schema: Some(String::from("public")), table: String::from("test_table"), pk: None },
            columns: vec![column("id", "integer", json!(3)), column("name", "text", json!("newval1"))],
        }
    }
}
