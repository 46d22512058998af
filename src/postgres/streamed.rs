//! The tables that streams can be about, as the catalogue has them today.

use super::relations::pairs;
use super::service::{Database, QueryError, short};
use crate::filter::Filter;
use crate::name::TableName;

/// A table with its partitioned tables above it, the nearest first, and whether updates and deletes of its rows are told.
const TABLES: &str = concat!(
    "
SELECT ARRAY[n.nspname::text, c.relname::text] || ",
    names_above!(),
    ",
    c.relkind <> 'r' OR CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false
        ELSE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)
        END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence = 'p' AND ",
    is_for_clients!(),
    "
ORDER BY n.nspname, c.relname"
);

/// A table that streams can be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedTable {
    /// Its name, and those of the partitioned tables above it.
    pub names: Vec<TableName>,
    /// Whether updates and deletes of its rows are told.
    pub has_identity: bool,
}

impl StreamedTable {
    /// Whether a stream with this filter is about it.
    pub fn is_admitted_by(&self, filter: &Filter) -> bool {
        filter.admits(self.names.iter().map(|name| (name.schema.as_str(), name.table.as_str())))
    }
}

impl Database {
    /// All tables that streams can be about, in the order of their names.
    pub async fn streamed_tables(&self) -> Result<Vec<StreamedTable>, QueryError> {
        let rows: Vec<(Vec<String>, bool)> = short(sqlx::query_as(TABLES).fetch_all(&self.service)).await?;
        Ok(rows.into_iter().map(|(names, has_identity)| StreamedTable { names: pairs(names), has_identity }).collect())
    }
}
