//! The tables that readers may page through, as the catalogue has them under a snapshot.

use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, FromRow, Row};

use super::catalog::KEY;
use super::reader::Reader;
use super::relations::pairs;
use super::service::{QueryError, short};
use crate::name::TableName;

/// All in one statement, however many tables there are. What a partitioned table has is in its partitions. Heirs may repeat a key. Privileges are
/// those of today: a table that was dropped since has none.
const TABLES: &str = concat!(
    "
SELECT c.oid, c.relkind::text, c.relpersistence::text,
    coalesce(has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid), false),
    ARRAY[n.nspname::text, c.relname::text] || ",
    names_above!(),
    ",
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    ARRAY(SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    CASE WHEN c.relkind = 'p' THEN (SELECT sum(nullif(l.reltuples, -1)) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
                                    WHERE t.isleaf)::bigint
         WHEN c.relkind IN ('r', 'm', 'f') THEN nullif(c.reltuples, -1)::bigint END,
    CASE WHEN c.relkind = 'p' THEN (SELECT sum(SIZE) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)::bigint
         WHEN c.relkind IN ('r', 'm') THEN (SELECT SIZE FROM pg_class l WHERE l.oid = c.oid)::bigint END,
    CASE WHEN c.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) THEN ARRAY(KEY) ELSE '{}' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND ",
    is_for_clients!(),
    "
ORDER BY n.nspname, c.relname"
);

/// As Postgres last knew it. To look takes a lock, which may take its time, so that is done only where it never did.
const SIZE: &str =
    "CASE WHEN l.relpages > 0 THEN l.relpages::bigint * current_setting('block_size')::bigint ELSE pg_relation_size(l.oid) END";

/// A table of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTable {
    /// Its identity.
    pub oid: u32,
    /// `pg_class.relkind`.
    pub kind: String,
    /// `pg_class.relpersistence`.
    pub persistence: String,
    /// Whether our role may read it, and it is still there.
    pub readable: bool,
    /// Its name, and those of the partitioned tables above it, the nearest first.
    pub names: Vec<TableName>,
    /// Name, type, and whether it is never null.
    pub columns: Vec<(String, String, bool)>,
    /// The columns that tell its rows apart.
    pub key: Vec<String>,
    /// As Postgres estimates.
    pub rows: Option<i64>,
    /// Of its file, or those of its partitions.
    pub bytes: Option<i64>,
}

impl Reader {
    /// The tables that there are under the snapshot, in the order of their names.
    pub async fn tables(&mut self) -> Result<Vec<ListedTable>, QueryError> {
        let sql = TABLES.replace("KEY", &KEY.replace("$1", "c.oid")).replace("SIZE", SIZE);
        let rows = short(sqlx::query(AssertSqlSafe(sql)).fetch_all(self.connection()?)).await?;
        rows.iter().map(|row| Ok(ListedTable::from_row(row)?)).collect()
    }
}

impl FromRow<'_, sqlx::postgres::PgRow> for ListedTable {
    fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let (names, types, not_null): (Vec<String>, Vec<String>, Vec<bool>) = (row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
        Ok(Self {
            oid: row.try_get::<Oid, _>(0)?.0,
            kind: row.try_get(1)?,
            persistence: row.try_get(2)?,
            readable: row.try_get(3)?,
            names: pairs(row.try_get(4)?),
            columns: names.into_iter().zip(types).zip(not_null).map(|((name, kind), not_null)| (name, kind, not_null)).collect(),
            rows: row.try_get(8)?,
            bytes: row.try_get(9)?,
            key: row.try_get(10)?,
        })
    }
}
