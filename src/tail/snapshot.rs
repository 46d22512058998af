//! Prints the rows of a snapshot: those of every table that is streamed, one after the other.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use memchr::memrchr;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::json;
use tokio::time::timeout;

use super::{ANSWER_TIMEOUT, Reader, TailError, client, pretty, print, query, refusal};
use crate::config::Tail;
use crate::filter::{Filter, TablePattern};
use crate::message::{SnapshotTable, SnapshotTables, StreamInfo, TableKind};
use crate::name::TableName;

/// How long rows may be on their way: Postgres may have to read much before it finds some. That the service is gone is noticed before.
const ROWS_TIMEOUT: Duration = Duration::from_secs(600);

/// How far it is.
const PROGRESS: &str = "{msg} [{wide_bar}] {human_pos} of about {human_len} rows, {per_sec}, {eta} left";

/// The same where nobody knows how many rows there are.
const PROGRESS_WITHOUT_END: &str = "{msg} {spinner} {human_pos} rows, {per_sec}";

/// Prints all rows, each with its table.
pub(super) async fn print_rows(service: &str, tail: &Tail) -> Result<Reader, TailError> {
    let snapshot = Snapshot { service, slot: tail.slot_name.as_str(), client: client().map_err(TailError::lost)? };
    let tables = snapshot.tables(tail).await?;
    snapshot.warn_if_behind().await;
    let progress = progress(&tables);
    for table in &tables {
        if !table.readable {
            progress.suspend(|| tracing::warn!(table = %name(table), "left out: the service's role may not read it, or it was dropped"));
        } else if snapshot.print_table(table, tail.pretty, &progress).await? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    progress.finish_and_clear();
    Ok(Reader::There)
}

/// A stream's snapshot at the service.
struct Snapshot<'a> {
    service: &'a str,
    slot: &'a str,
    client: Client,
}

impl Snapshot<'_> {
    /// The tables whose rows and changes are asked for. Rows of a partitioned table are those of its partitions, as its changes are.
    async fn tables(&self, tail: &Tail) -> Result<Vec<SnapshotTable>, TailError> {
        let patterns = |list: Option<&str>| list.map_or(Ok(vec![]), TablePattern::list);
        let filter = Filter::new(patterns(tail.tables.as_deref())?, patterns(tail.exclude_tables.as_deref())?, None)?;
        let url = format!("http://{}/v1/snapshot/tables?{}", self.service, query(&[("slotName", self.slot)]));
        let list: SnapshotTables = serde_json::from_slice(&whole(send(self.client.get(url)).await?).await?)?;
        let parents: HashMap<TableName, TableName> =
            list.tables.iter().filter_map(|table| Some((name(table), table.partition_of.as_ref()?.parse().ok()?))).collect();
        let is_asked_for = |table: &SnapshotTable| {
            let names: Vec<TableName> = std::iter::successors(Some(name(table)), |name| parents.get(name).cloned()).collect();
            filter.admits(names.iter().map(|name| (name.schema.as_str(), name.table.as_str())))
        };
        let has_rows = |table: &SnapshotTable| table.streamed && table.kind != TableKind::PartitionedTable;
        Ok(list.tables.into_iter().filter(|table| has_rows(table) && is_asked_for(table)).collect())
    }

    /// Says so if the stream does not begin where the snapshot ends, where the service can tell.
    async fn warn_if_behind(&self) {
        let url = format!("http://{}/v1/streams/{}", self.service, self.slot);
        let Ok(answer) = send(self.client.get(url)).await else { return };
        let stream = whole(answer).await.ok().and_then(|body| serde_json::from_slice::<StreamInfo>(&body).ok());
        if let Some(acknowledged) = stream.and_then(|stream| stream.acked_lsn) {
            tracing::warn!(%acknowledged, "changes since the snapshot were acknowledged already, and do not come again");
        }
    }

    async fn print_table(&self, table: &SnapshotTable, is_pretty: bool, progress: &ProgressBar) -> Result<Reader, TailError> {
        let name = name(table);
        progress.set_message(name.to_string());
        // Rows of tables that inherit from this one come under their own names, as their changes do.
        let body = json!({"slotName": self.slot, "table": name.to_string(), "only": true}).to_string();
        let request = self.client.post(format!("http://{}/v1/snapshot/data", self.service)).header("accept", "application/x-ndjson");
        let mut answer = send_within(ROWS_TIMEOUT, request.body(body)).await?;
        let heading = if is_pretty { pretty::row_of(&name) } else { json_row_of(table) };
        let mut unread = vec![];
        while let Some(chunk) = next(&mut answer, ROWS_TIMEOUT).await? {
            unread.extend_from_slice(&chunk);
            let whole = memrchr(b'\n', &unread).map_or(0, |end| end + 1);
            let rest = unread.split_off(whole);
            let mut lines = vec![];
            for row in unread.split_inclusive(|byte| *byte == b'\n') {
                let row = row.trim_ascii_end();
                lines.extend_from_slice(heading.as_bytes());
                if is_pretty {
                    lines.extend_from_slice(pretty::row(&String::from_utf8_lossy(row)).as_bytes());
                    lines.push(b'\n');
                } else {
                    lines.extend_from_slice(row);
                    lines.extend_from_slice(b"}\n");
                }
                progress.inc(1);
            }
            if print(&lines)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
            unread = rest;
        }
        if unread.is_empty() { Ok(Reader::There) } else { Err(TailError::Lost { source: None }) }
    }
}

/// All but the row, and the brace behind it.
fn json_row_of(table: &SnapshotTable) -> String {
    let table = json!({"schema": table.schema, "table": table.table}).to_string();
    format!("{},\"row\":", table.trim_end_matches('}'))
}

fn name(table: &SnapshotTable) -> TableName {
    TableName { schema: table.schema.clone(), table: table.table.clone() }
}

/// Shown where somebody sees it and nothing else.
fn progress(tables: &[SnapshotTable]) -> ProgressBar {
    if io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let rows: Option<i64> = tables.iter().map(|table| table.estimated_rows).sum();
    let (progress, template) = match rows.and_then(|rows| u64::try_from(rows).ok()) {
        Some(rows) => (ProgressBar::new(rows), PROGRESS),
        None => (ProgressBar::no_length(), PROGRESS_WITHOUT_END),
    };
    progress.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn send(request: RequestBuilder) -> Result<Response, TailError> {
    send_within(ANSWER_TIMEOUT, request).await
}

async fn send_within(limit: Duration, request: RequestBuilder) -> Result<Response, TailError> {
    let (client, request) = request.build_split();
    let request = request.map_err(TailError::lost)?;
    let url = request.url().to_string();
    let answer = match timeout(limit, client.execute(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => return Err(TailError::Unreachable { url, source: Some(source.without_url().into()) }),
        Err(_) => return Err(TailError::Unreachable { url, source: None }),
    };
    let status = answer.status();
    if status.is_success() { Ok(answer) } else { Err(refusal(status, &whole(answer).await?)) }
}

async fn whole(mut answer: Response) -> Result<Vec<u8>, TailError> {
    let mut whole = vec![];
    while let Some(chunk) = next(&mut answer, ANSWER_TIMEOUT).await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

async fn next(answer: &mut Response, limit: Duration) -> Result<Option<bytes::Bytes>, TailError> {
    match timeout(limit, answer.chunk()).await {
        Ok(chunk) => chunk.map_err(TailError::lost),
        Err(_) => Err(TailError::Lost { source: None }),
    }
}
