//! What tables a snapshot has, and where to split the large ones among several readers.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout_at};

use super::writing::{Framing, Writer};
use super::{Reading, SnapshotError, about_table, open};
use crate::config::{SAMPLE_BLOCKS, SAMPLING_TIMEOUT, SPLIT_BYTES, SPLIT_RANGES};
use crate::filter::{Filter, TablePattern};
use crate::message::{KeyValues, SnapshotColumn, SnapshotTable, TableKind};
use crate::name::TableName;
use crate::postgres::listing::ListedTable;
use crate::postgres::reader::Reader;
use crate::postgres::service::Database;

/// A table that is smaller is faster read by one.
const LARGE: i64 = 8 * 1024 * 1024;

/// The size of a block, unless Postgres was built otherwise; then the sample is a little larger or smaller.
const BLOCK_BYTES: i64 = 8_192;

/// The tables of a snapshot that a stream is about, and if some are named only those.
pub async fn list(
    database: &Database,
    snapshot: &Reading,
    filter: &Filter,
    named: &[TablePattern],
) -> Result<Vec<SnapshotTable>, SnapshotError> {
    let deadline = Instant::now() + SAMPLING_TIMEOUT;
    let mut reader = open(database, snapshot).await?;
    let all = reader.tables().await?;
    let mut reader = Some(reader);
    let mut tables = vec![];
    for table in all {
        let [name, above @ ..] = &*table.names else { continue };
        let names = table.names.iter().map(|name| (name.schema.as_str(), name.table.as_str()));
        let is_named = named.is_empty() || named.iter().any(|pattern| pattern.matches(&name.schema, &name.table));
        if !is_named || !filter.admits(names) {
            continue;
        }
        let mut listed = describe(&table, name, above.first());
        let is_large = matches!(table.kind.as_str(), "r" | "p") && table.bytes.is_some_and(|bytes| bytes >= LARGE);
        if is_large && table.readable && !table.key.is_empty() && Instant::now() < deadline {
            // A transaction that failed is of no more use, and neither is a connection on which something is still going on: it is not put back.
            let sampling = async {
                let mut sampler = match reader.take() {
                    Some(reader) => reader,
                    None => open(database, snapshot).await?,
                };
                listed.split_points = sample(&mut sampler, name, table.bytes.unwrap_or_default()).await?;
                reader = Some(sampler);
                Ok::<_, SnapshotError>(())
            };
            match timeout_at(deadline, sampling).await {
                Ok(Ok(())) => {}
                failed => tracing::debug!(table = %name, ?failed, "no split points"),
            }
        }
        tables.push(listed);
    }
    if let Some(reader) = reader {
        reader.finish().await?;
    }
    Ok(tables)
}

fn describe(table: &ListedTable, name: &TableName, above: Option<&TableName>) -> SnapshotTable {
    let (kind, why) = match (table.kind.as_str(), table.persistence.as_str()) {
        ("v", _) => (TableKind::View, Some("a view has no changes of its own")),
        ("m", _) => (TableKind::MaterializedView, Some("of a materialized view, Postgres tells no changes that are worth anything")),
        ("f", _) => (TableKind::ForeignTable, Some("the changes of a foreign table are elsewhere")),
        ("p", _) => (TableKind::PartitionedTable, None),
        (_, "u") => (TableKind::Table, Some("an unlogged table is not in the WAL")),
        _ => (TableKind::Table, None),
    };
    let column = |(name, sql_type, not_null): &(String, String, bool)| SnapshotColumn {
        name: name.clone(),
        sql_type: sql_type.clone(),
        not_null: *not_null,
    };
    SnapshotTable {
        schema: name.schema.clone(),
        table: name.table.clone(),
        kind,
        partition_of: above.map(TableName::to_string),
        columns: table.columns.iter().map(column).collect(),
        key: table.key.clone(),
        estimated_rows: table.rows,
        split_points: vec![],
        readable: table.readable,
        streamed: why.is_none(),
        why: why.map(str::to_owned),
    }
}

/// Keys that cut a table into parts of about the same size.
async fn sample(reader: &mut Reader, name: &TableName, bytes: i64) -> Result<Vec<KeyValues>, SnapshotError> {
    let Some(table) = reader.table(name).await? else { return Ok(vec![]) };
    let blocks = (bytes / BLOCK_BYTES).max(1);
    // In thousandths of a percent.
    let share = (SAMPLE_BLOCKS * 100_000 / blocks).clamp(1, 100_000);
    let selection = table.sample(share);
    let mut writer = Writer::new(&selection, Framing::Lines);
    let mut text = vec![];
    for statement in selection.statements() {
        let sql = statement.limited(None);
        let mut lines = pin!(reader.copy(&sql).await.map_err(|error| about_table(error, name))?);
        while let Some(lines) = lines.try_next().await? {
            text.extend(writer.add(&lines)?.into_iter().flatten());
        }
    }
    text.extend(writer.finish());
    let keys: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let ranges = usize::try_from((bytes / SPLIT_BYTES).clamp(2, SPLIT_RANGES)).unwrap_or(2);
    let mut points: Vec<KeyValues> = vec![];
    for number in 1..ranges {
        let key = keys.get(keys.len() * number / ranges).and_then(|key| serde_json::from_slice(key).ok());
        points.extend(key.filter(|key| points.last() != Some(key)));
    }
    Ok(points)
}
