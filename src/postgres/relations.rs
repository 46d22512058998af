//! Tables that changes are told of, as the catalogue has them today.

use std::collections::HashMap;

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::service::{Database, QueryError, short};
use super::types::{encoding_of, encodings};
use super::view::View;
use crate::format::relation::{RelationColumn, ReplicaIdentity};
use crate::format::{Ahead, Relation, Structure};
use crate::name::{SlotName, TableName};

/// What changes of a table do not say themselves, of those asked for and of some that were made at about the same time. Of the latter, none is
/// very wide: its columns would be many to know for nothing. Schemas and tables that clients may not see are not streamed either.
const RELATIONS: &str = concat!(
    "
WITH asked AS (
    SELECT c.oid FROM unnest($1::text[], $2::text[]) AS asked (schema, name)
    JOIN pg_namespace n ON n.nspname = asked.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
    WHERE c.relkind IN ('r', 'p', 'm')),
around AS (
    (SELECT oid, relnamespace, relkind, relpersistence, relnatts FROM pg_class WHERE oid > (SELECT max(oid) FROM asked) ORDER BY oid LIMIT 1000)
  UNION ALL
    (SELECT oid, relnamespace, relkind, relpersistence, relnatts FROM pg_class WHERE oid < (SELECT min(oid) FROM asked) ORDER BY oid DESC LIMIT 1000)),
ahead AS (
    SELECT c.oid FROM around c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence = 'p' AND c.relnatts <= 100 AND ",
    is_for_clients!(),
    " AND c.oid <> ALL ($4::oid[]) LIMIT $3)
SELECT n.nspname::text, c.relname::text, c.oid, c.relreplident::text,
    ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
          WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
          ORDER BY a.attnum),
    ",
    names_above!(),
    "
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (ARRAY(SELECT oid FROM asked UNION SELECT oid FROM ahead))"
);

/// A value of variable length may be kept outside of its row. What was written before the slot's oldest transaction is older than all that
/// the slot still has to send.
const COLUMNS: &str = "
SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, a.attlen = -1 AND a.attstorage <> 'p', coalesce(age(a.xmin) > age(s.catalog_xmin), false)
FROM pg_attribute a LEFT JOIN pg_replication_slots s ON s.slot_name = $2
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

type RelationRow = (String, String, Oid, String, Vec<String>, Vec<String>);
type ColumnRow = (Oid, i16, String, Oid, bool, bool);

/// Rows are written anew when a table gets or loses a column, becomes a part of another or stops to be one, is renamed, or is known by something
/// else. Of columns, only those that may be large can be missed in a change.
const STRUCTURE: &str = "
SELECT (SELECT coalesce(sum(hashtext(concat_ws(' ', oid, xmin))), 0) FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND relpersistence = 'p')::bigint
     + (SELECT coalesce(sum(hashtext(concat_ws(' ', oid, xmin))), 0) FROM pg_namespace WHERE nspname !~ '^pg_')::bigint
     + (SELECT coalesce(sum(hashtext(concat_ws(' ', attrelid, attnum, a.xmin))), 0) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE attlen = -1 AND attrelid >= 16384 AND relkind IN ('r', 'p', 'm') AND relpersistence = 'p')::bigint";

impl Database {
    /// What the catalogue has today of tables that `slot` has changes of, and of some beside them. Of those that are not there any more, it has nothing.
    /// None before it has seen the transaction.
    pub async fn relations(
        &self,
        slot: &SlotName,
        tables: &[TableName],
        ahead: &Ahead,
        xid: Option<u32>,
    ) -> Result<Option<Vec<(TableName, Relation)>>, QueryError> {
        let Some(mut view) = View::open(self, xid).await? else { return Ok(None) };
        let seen = view.seen.clone();
        let (schemas, names): (Vec<&str>, Vec<&str>) = tables.iter().map(|table| (table.schema.as_str(), table.table.as_str())).unzip();
        let most = i64::try_from(ahead.most).unwrap_or(i64::MAX);
        let known: Vec<Oid> = ahead.known.iter().copied().map(Oid).collect();
        let query = sqlx::query_as(RELATIONS).bind(schemas).bind(names).bind(most).bind(known);
        let found: Vec<RelationRow> = short(query.fetch_all(view.connection()?)).await?;
        let mut columns = columns(view.connection()?, slot, found.iter().map(|(_, _, oid, ..)| *oid).collect()).await?;
        view.close().await?;
        let nothing = |table: &TableName| (table.clone(), Relation { seen: seen.clone(), ..Relation::default() });
        let mut relations: HashMap<TableName, Relation> = tables.iter().map(nothing).collect();
        for (schema, table, Oid(oid), identity, index, above) in found {
            let columns = columns.remove(&oid).unwrap_or_default();
            let identity = replica_identity(&identity, index);
            let table = TableName { schema, table };
            let is_ahead = !relations.contains_key(&table);
            let relation = Relation { oid: Some(oid), ancestors: pairs(above), identity, columns, seen: seen.clone(), is_ahead };
            relations.insert(table, relation);
        }
        Ok(Some(relations.into_iter().collect()))
    }

    /// What tables there are; none before the catalogue has seen the transaction.
    pub async fn structure(&self, xid: Option<u32>) -> Result<Option<Structure>, QueryError> {
        let Some(mut view) = View::open(self, xid).await? else { return Ok(None) };
        let fingerprint = short(sqlx::query_scalar(STRUCTURE).fetch_one(view.connection()?)).await?;
        let seen = view.seen.clone();
        view.close().await?;
        Ok(Some(Structure { fingerprint, seen }))
    }
}

async fn columns(
    connection: &mut PgConnection,
    slot: &SlotName,
    tables: Vec<Oid>,
) -> Result<HashMap<u32, Vec<RelationColumn>>, QueryError> {
    let rows: Vec<ColumnRow> = short(sqlx::query_as(COLUMNS).bind(tables).bind(slot.as_str()).fetch_all(&mut *connection)).await?;
    let types = encodings(connection, rows.iter().map(|(_, _, _, Oid(oid), ..)| *oid)).await?;
    let mut columns: HashMap<u32, Vec<RelationColumn>> = HashMap::new();
    for (Oid(table), position, name, Oid(type_oid), may_be_large, is_older_than_slot) in rows {
        let encoding = encoding_of(&types, type_oid);
        let column = RelationColumn { position, name, type_oid, encoding, may_be_large, is_older_than_slot };
        columns.entry(table).or_default().push(column);
    }
    Ok(columns)
}

fn replica_identity(setting: &str, index: Vec<String>) -> ReplicaIdentity {
    match setting {
        "f" => ReplicaIdentity::Full,
        _ if index.is_empty() => ReplicaIdentity::Nothing,
        _ => ReplicaIdentity::Columns(index),
    }
}

/// Schema, table, schema, table and so on.
pub(super) fn pairs(names: Vec<String>) -> Vec<TableName> {
    let mut names = names.into_iter();
    std::iter::from_fn(|| Some(TableName { schema: names.next()?, table: names.next()? })).collect()
}
