//! What tables there are, what they are made of, and in which files they lie. Asked under a snapshot, the catalogue answers as of then.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::service::{Database, QueryError, short};
use super::types::{encoding_of, encodings};
use crate::name::TableName;
use crate::query::{Table, TableColumn};

/// What a table's rows depend on: where they lie, what the columns are, and what a view makes of them. Each fact with its relation.
pub type Facts = BTreeSet<(u32, String)>;

/// System schemas and our own hold no tables that a client may see.
const FIND: &str = concat!(
    "
SELECT c.oid, c.relkind IN ('r', 'p', 'm'), c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND ",
    is_for_clients!()
);

/// Each column with its type, that without a domain as SQL, whether it is never null, and the schema of operators that are not Postgres' own.
const COLUMNS: &str = "
WITH RECURSIVE base AS (
    SELECT attnum, atttypid AS type FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
  UNION ALL
    SELECT b.attnum, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
SELECT a.attname::text, a.atttypid, format_type(t.oid, -1), a.attnotnull,
    CASE WHEN t.typtype = 'b' AND t.typoutput <> 'array_out'::regproc AND n.nspname <> 'pg_catalog' THEN n.nspname::text END
FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd' JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum
ORDER BY a.attnum";

/// The primary key, else the first unique index whose columns are never null. By another collation than the column's own, rows may differ that
/// are the same to whoever orders by the column.
pub(super) const KEY: &str = "
SELECT a.attname::text FROM (
    SELECT i.indrelid, i.indkey, i.indnkeyatts FROM pg_index i
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM pg_attribute n
                      WHERE n.attrelid = i.indrelid AND NOT n.attnotnull AND n.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
      AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS k (attnum, by_collation)
                      JOIN pg_attribute n ON n.attrelid = i.indrelid AND n.attnum = k.attnum WHERE n.attcollation <> k.by_collation)
    ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS key
CROSS JOIN LATERAL unnest(key.indkey::int2[]) WITH ORDINALITY AS k (attnum, ordinal)
JOIN pg_attribute a ON a.attrelid = key.indrelid AND a.attnum = k.attnum
WHERE k.ordinal <= key.indnkeyatts ORDER BY k.ordinal";

/// A table is made of its partitions and heirs, a view of what it reads. A materialised view has rows of its own.
///
/// What is NOT NULL today the planner takes for such in any snapshot, and would pass over its nulls. A rewrite and a TRUNCATE make new files. A column that was dropped and added again has the same name and another number. Heirs have the
/// columns of what they are heirs of.
const FACTS: &str = "
WITH RECURSIVE made_of (oid, is_heir) AS (
    SELECT $1::oid, false
  UNION
    SELECT part.oid, part.is_heir FROM made_of m CROSS JOIN LATERAL (
        SELECT i.inhrelid AS oid, true AS is_heir FROM pg_inherits i WHERE i.inhparent = m.oid
      UNION ALL
        SELECT d.refobjid, false FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d ON d.objid = r.oid
        WHERE v.oid = m.oid AND v.relkind = 'v' AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass) AS part)
SELECT c.oid, 'file ' || c.relfilenode FROM made_of m JOIN pg_class c ON c.oid = m.oid
UNION ALL
SELECT m.oid, concat_ws(' ', 'column', a.attnum, a.atttypid, a.attnotnull, a.attname) FROM made_of m JOIN pg_attribute a ON a.attrelid = m.oid
WHERE NOT m.is_heir AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT m.oid, 'view ' || hashtextextended(r.ev_action::text, 0) FROM made_of m JOIN pg_rewrite r ON r.ev_class = m.oid";

/// Finds a table and what it consists of.
pub(super) async fn table(connection: &mut PgConnection, name: &TableName) -> Result<Option<Table>, QueryError> {
    let find = sqlx::query_as(FIND).bind(&name.schema).bind(&name.table);
    let found: Option<(Oid, bool, bool)> = short(find.fetch_optional(&mut *connection)).await?;
    let Some((Oid(oid), has_places, has_heirs)) = found else { return Ok(None) };
    let columns: Vec<(String, Oid, String, bool, Option<String>)> =
        short(sqlx::query_as(COLUMNS).bind(Oid(oid)).fetch_all(&mut *connection)).await?;
    let types = encodings(connection, columns.iter().map(|(_, Oid(oid), ..)| *oid)).await?;
    let column = |(name, Oid(oid), sql_type, not_null, operators)| TableColumn {
        name,
        encoding: encoding_of(&types, oid),
        sql_type,
        not_null,
        operators,
    };
    let columns = columns.into_iter().map(column).collect();
    let key: Vec<String> = short(sqlx::query_scalar(KEY).bind(Oid(oid)).fetch_all(connection)).await?;
    let is_unique = !key.is_empty() && !has_heirs;
    Ok(Some(Table { oid, name: name.clone(), columns, key, by_place: has_places && !is_unique }))
}

/// The facts of a table, as the connection's snapshot has them.
pub(super) async fn facts(connection: &mut PgConnection, table: u32) -> Result<Facts, QueryError> {
    let rows: Vec<(Oid, String)> = short(sqlx::query_as(FACTS).bind(Oid(table)).fetch_all(connection)).await?;
    Ok(rows.into_iter().map(|(oid, fact)| (oid.0, fact)).collect())
}

/// Which of these tables the connection's snapshot knows.
pub(super) async fn known(connection: &mut PgConnection, tables: impl Iterator<Item = u32>) -> Result<BTreeSet<u32>, QueryError> {
    let tables: Vec<Oid> = tables.map(Oid).collect();
    let known: Vec<Oid> =
        short(sqlx::query_scalar("SELECT oid FROM pg_class WHERE oid = ANY ($1)").bind(tables).fetch_all(connection)).await?;
    Ok(known.into_iter().map(|oid| oid.0).collect())
}

impl Database {
    /// The facts of a table today, and which table has the name today.
    pub async fn facts_today(&self, table: &Table) -> Result<(Facts, Option<u32>), QueryError> {
        let mut connection = short(self.service.acquire()).await?;
        let named = sqlx::query_scalar("SELECT to_regclass($1)::oid").bind(table.name.to_string());
        let named: Option<Oid> = short(named.fetch_one(&mut *connection)).await?;
        Ok((facts(&mut connection, table.oid).await?, named.map(|oid| oid.0)))
    }
}
