//! A table as its JSON Schema describes it, from today's catalogue.

use std::collections::HashMap;

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::service::{Database, QueryError, run, short};
use super::transaction::ReadTransaction;
use crate::config::STATEMENT_TIMEOUT;
use crate::contract::table::{Changes, ColumnSchema, Identity, Kind, TableSchema};
use crate::name::TableName;

/// System schemas and our own hold no tables that a client may see. The columns that tell rows apart, and those of the primary key; the
/// partitioned table at the top.
const TABLE: &str = concat!(
    "
SELECT c.oid, c.relkind::text, c.relpersistence::text, c.relreplident::text, obj_description(c.oid, 'pg_class'),
    ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, ordinal)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.ordinal),
    ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
          WHERE i.indrelid = c.oid AND i.indisreplident ORDER BY a.attnum),
    root.nspname::text, root.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT rn.nspname, r.relname FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                   WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)) AS root ON true
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND ",
    is_for_clients!()
);

/// A value of variable length may be kept outside of its row.
const COLUMNS: &str = "
SELECT a.attnum, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
    a.attlen = -1 AND a.attstorage <> 'p', col_description(a.attrelid, a.attnum)
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Each column's type, and below it what a domain is over and what an array is of. An array's modifier is that of its elements.
const TYPES: &str = "
WITH RECURSIVE step AS (
    SELECT attnum, atttypid AS type, atttypmod AS modifier, 0 AS depth FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
  UNION ALL
    SELECT s.attnum, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END,
        CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE s.modifier END, s.depth + 1
    FROM step s JOIN pg_type t ON t.oid = s.type WHERE t.typtype = 'd' OR t.typoutput = 'array_out'::regproc)
SELECT s.attnum, t.oid, s.modifier, t.typtype = 'd', t.typtype <> 'd' AND t.typoutput = 'array_out'::regproc,
    ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM step s JOIN pg_type t ON t.oid = s.type ORDER BY s.attnum, s.depth DESC";

type TableRow = (Oid, String, String, String, Option<String>, Vec<String>, Vec<String>, Option<String>, Option<String>);
type ColumnRow = (i16, String, String, bool, bool, bool, Option<String>);
type TypeRow = (i16, Oid, i32, bool, bool, Vec<String>);

impl Database {
    /// Describes a table as it is now; none if there is none, or none that a client may see.
    pub async fn table_schema(&self, name: &TableName) -> Result<Option<TableSchema>, QueryError> {
        let mut transaction = ReadTransaction::acquire(&self.service, STATEMENT_TIMEOUT).await?;
        // All of it as of one moment.
        run(transaction.connection()?, ReadTransaction::BEGIN).await?;
        let schema = describe(transaction.connection()?, name).await?;
        transaction.finish().await?;
        Ok(schema)
    }
}

async fn describe(connection: &mut PgConnection, name: &TableName) -> Result<Option<TableSchema>, QueryError> {
    let table = sqlx::query_as(TABLE).bind(&name.schema).bind(&name.table);
    let table: Option<TableRow> = short(table.fetch_optional(&mut *connection)).await?;
    let Some((oid, kind, persistence, replident, comment, primary_key, index, root_schema, root)) = table else { return Ok(None) };
    let columns: Vec<ColumnRow> = short(sqlx::query_as(COLUMNS).bind(oid).fetch_all(&mut *connection)).await?;
    let types: Vec<TypeRow> = short(sqlx::query_as(TYPES).bind(oid).fetch_all(&mut *connection)).await?;
    let mut kinds = kinds(types);
    let columns = columns
        .into_iter()
        .map(|(position, name, type_name, not_null, generated, may_be_large, comment)| {
            let kind = kinds.remove(&position).unwrap_or(Kind::Scalar(0, -1));
            ColumnSchema { name, type_name, kind, not_null, generated, may_be_large, comment }
        })
        .collect();
    let root = root_schema.zip(root).map(|(schema, table)| TableName { schema, table });
    let identity = match (replident.as_str(), index) {
        ("f", _) => Identity::Full,
        ("i", index) if !index.is_empty() => Identity::Columns(index),
        ("d", _) if !primary_key.is_empty() => Identity::Columns(primary_key.clone()),
        _ => Identity::Nothing,
    };
    let changes = match (kind.as_str(), persistence.as_str()) {
        ("v", _) => Changes::None("a view"),
        ("m", _) => Changes::None("a materialised view"),
        ("f", _) => Changes::None("a foreign table"),
        (_, "u") => Changes::None("an unlogged table"),
        ("p", _) => Changes::OfPartitions(root.unwrap_or_else(|| name.clone())),
        _ => Changes::Own { identity, root },
    };
    Ok(Some(TableSchema { name: name.clone(), comment, columns, primary_key, changes }))
}

/// What values look like, for each column by its number. Those of one column follow each other, from the inside out.
fn kinds(types: Vec<TypeRow>) -> HashMap<i16, Kind> {
    let mut kinds = HashMap::new();
    for (position, Oid(oid), modifier, is_domain, is_array, labels) in types {
        let kind = match kinds.remove(&position) {
            Some(element) if is_array => Kind::Array(Box::new(element)),
            Some(base) if is_domain => base,
            _ if !labels.is_empty() => Kind::Enum(labels),
            _ => Kind::Scalar(oid, modifier),
        };
        kinds.insert(position, kind);
    }
    kinds
}
