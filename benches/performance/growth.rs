//! How the same figures grow with the size of transactions, the width of rows, the number of tables and the number of streams.

use futures_util::future::join_all;
use serde::Serialize;

use crate::drain::{RACES, race_of};
use crate::plot::{self, Line};
use crate::report::{Report, Spread, head, row};
use crate::service::{Service, leave};
use crate::workload::{Columns, Shape, Workload};

const ROUNDS: usize = 3;

/// At most so many bytes of text are in each backlog.
const BACKLOG_BYTES: u32 = 20_000_000;

#[derive(Debug, Serialize)]
struct Grown {
    /// What grows.
    of: &'static str,
    to: u32,
    format: &'static str,
    /// Of the rates, ours over theirs.
    ratio: Option<Spread>,
    processor_microseconds_per_change: Option<f64>,
    /// The most that there was in memory; of idle streams, what there is.
    mebibytes: f64,
}

const TRANSACTIONS: &str = "rows of a transaction";
const WIDTH: &str = "bytes of a row";
const TABLES: &str = "tables";
const STREAMS: &str = "streams at work";
const IDLE: &str = "idle streams";

pub(crate) async fn measure(report: &Report) {
    if !report.has("growth") {
        return;
    }
    let mut table = vec![head(&["what", "is", "format", "ratio", "CPU µs a change", "MiB"])];
    let mut figures = vec![];
    for rows in [1, 10, 100, 1_000, 10_000, 100_000] {
        let transactions = (200_000 / rows).min(50_000);
        drain(&mut figures, TRANSACTIONS, rows, Shape { transactions, rows, columns: Columns::Text(20) }, 1).await;
    }
    for bytes in [10, 100, 1_000, 10_000, 100_000] {
        let transactions = (BACKLOG_BYTES / 10 / bytes).min(10_000);
        drain(&mut figures, WIDTH, bytes, Shape { transactions, rows: 10, columns: Columns::Text(bytes) }, 1).await;
    }
    for tables in [1, 10, 100, 1_000] {
        drain(&mut figures, TABLES, tables, Shape { transactions: 20_000, rows: 2, columns: Columns::Text(20) }, tables).await;
    }
    for streams in [1, 2, 4, 8] {
        drain(&mut figures, STREAMS, streams, Shape { transactions: 20_000, rows: 4, columns: Columns::Text(20) }, 1).await;
    }
    figures.extend(idle(&[1, 10, 50, 100]).await);
    table.extend(figures.iter().map(Grown::row));
    report.keep("growth", &figures, &plot::panels(&panels(&figures)), &table.join("\n"));
}

async fn drain(figures: &mut Vec<Grown>, of: &'static str, to: u32, shape: Shape, tables: u32) {
    let mut workload = Workload::start().await;
    let end = workload.fill(shape, tables).await;
    let streams = if of == STREAMS { to } else { 1 };
    for race in RACES.into_iter().filter(|(name, ..)| matches!(*name, "v1" | "events")) {
        let drained = race_of(&mut workload, of, shape, race, &end, (streams, ROUNDS)).await;
        figures.push(Grown {
            of,
            to,
            format: drained.format,
            ratio: Some(drained.ratio),
            processor_microseconds_per_change: Some(drained.processor_microseconds_per_change.median),
            mebibytes: drained.peak_mebibytes,
        });
    }
}

/// Streams on which nothing happens, and what the service has in memory with them.
async fn idle(counts: &[u32]) -> Vec<Grown> {
    let mut workload = Workload::start().await;
    let slots = workload.slots(usize::try_from(counts.iter().copied().max().unwrap()).unwrap()).await;
    let service = Service::start(&workload.cluster);
    let mut sockets = vec![];
    let mut figures = vec![];
    for count in counts.iter().copied() {
        for slot in slots.iter().take(usize::try_from(count).unwrap()).skip(sockets.len()) {
            sockets.push(service.connect(slot, "wal2json-v1").await);
        }
        let mebibytes = service.memory_now();
        figures.push(Grown { of: IDLE, to: count, format: "v1", ratio: None, processor_microseconds_per_change: None, mebibytes });
    }
    join_all(sockets.into_iter().map(leave)).await;
    figures
}

/// For each thing that grows: how the rate and the processor's time do, or the memory.
fn panels(figures: &[Grown]) -> Vec<(String, Vec<Line>)> {
    let panel = |of: &'static str, what: &str, value: fn(&Grown) -> Option<f64>| {
        let lines = ["v1", "events"].map(|format| Line {
            name: format,
            points: figures
                .iter()
                .filter(|grown| grown.of == of && grown.format == format)
                .filter_map(|grown| Some((f64::from(grown.to), value(grown)?)))
                .collect(),
        });
        (format!("{what}, by {of}"), Vec::from(lines))
    };
    let ratio = |of| panel(of, "Rate over that of pg_recvlogical", |grown| grown.ratio.map(|ratio| ratio.median));
    let busy = |of| panel(of, "CPU µs a change", |grown| grown.processor_microseconds_per_change);
    let memory = |of| panel(of, "MiB", |grown| Some(grown.mebibytes));
    let mut panels: Vec<_> = [TRANSACTIONS, WIDTH, TABLES, STREAMS].into_iter().flat_map(|of| [ratio(of), busy(of), memory(of)]).collect();
    panels.push(memory(IDLE));
    panels
}

impl Grown {
    fn row(&self) -> String {
        row(&[
            String::from(self.of),
            self.to.to_string(),
            String::from(self.format),
            self.ratio.map_or(String::new(), Spread::text),
            self.processor_microseconds_per_change.map_or(String::new(), |time| format!("{time:.2}")),
            format!("{:.1}", self.mebibytes),
        ])
    }
}
