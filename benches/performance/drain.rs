//! How long a backlog takes. Both sides start at the same position of the same WAL and stop at the same transaction; `pg_recvlogical` writes to
//! /dev/null, the websocket's client counts: neither looks at what it gets.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use crate::plot;
use crate::recvlogical;
use crate::report::{Report, Spread, head, row};
use crate::service::Service;
use crate::workload::{Columns, Shape, Workload};

const ROUNDS: usize = 5;

const NARROW: Columns = Columns::Text(20);

const SHAPES: [(&str, Shape); 8] = [
    ("1 narrow row", Shape { transactions: 100_000, rows: 1, columns: NARROW }),
    ("4 narrow rows", Shape { transactions: 60_000, rows: 4, columns: NARROW }),
    ("1,000 narrow rows", Shape { transactions: 500, rows: 1_000, columns: NARROW }),
    ("100,000 narrow rows", Shape { transactions: 4, rows: 100_000, columns: NARROW }),
    ("1 wide row", Shape { transactions: 50_000, rows: 1, columns: Columns::Ten }),
    ("4 wide rows", Shape { transactions: 20_000, rows: 4, columns: Columns::Ten }),
    ("1,000 wide rows", Shape { transactions: 100, rows: 1_000, columns: Columns::Ten }),
    ("100,000 wide rows", Shape { transactions: 1, rows: 100_000, columns: Columns::Ten }),
];

/// A client's format, and what wal2json is asked for on the other side: the very same, and for events also the least that is format 2.
pub(crate) const RACES: [(&str, &str, &str); 4] = [
    ("v1", "wal2json-v1", "wal2json-v1"),
    ("v2", "wal2json-v2", "wal2json-v2"),
    ("events", "events", "events"),
    ("events, plain v2", "events", "plain v2"),
];

/// One format over one backlog.
#[derive(Debug, Serialize)]
pub(crate) struct Drained {
    name: String,
    pub(crate) format: &'static str,
    changes: u32,
    their_seconds: Vec<f64>,
    our_seconds: Vec<f64>,
    /// Of the rates, ours over theirs, round by round.
    pub(crate) ratio: Spread,
    pub(crate) processor_microseconds_per_change: Spread,
    pub(crate) peak_mebibytes: f64,
}

pub(crate) async fn measure(report: &Report) {
    let mut figures = vec![];
    let mut table = vec![];
    for (name, shape) in SHAPES {
        let races: Vec<_> = RACES.into_iter().filter(|(race, ..)| report.has(&format!("drain: {race}, {name}"))).collect();
        if races.is_empty() {
            continue;
        }
        if table.is_empty() {
            table.push(head(&[
                "transactions of",
                "format",
                "changes",
                "`pg_recvlogical`",
                "websocket",
                "ratio",
                "CPU µs a change",
                "peak MiB",
            ]));
        }
        let mut workload = Workload::start().await;
        let end = workload.fill(shape, 1).await;
        for (race, ours, theirs) in races {
            let drained = race_of(&mut workload, name, shape, (race, ours, theirs), &end, (1, ROUNDS)).await;
            table.push(drained.row());
            figures.push(drained);
        }
    }
    if !figures.is_empty() {
        let bars: Vec<_> = figures.iter().map(|drained| (format!("{}, {}", drained.name, drained.format), drained.ratio)).collect();
        report.keep("drain", &figures, &plot::bars("Rate of a websocket over that of pg_recvlogical", &bars), &table.join("\n"));
    }
}

/// So many streams at once on either side, each with the whole backlog, so many times. The first round only warms the caches.
pub(crate) async fn race_of(
    workload: &mut Workload,
    name: &str,
    shape: Shape,
    (race, ours, theirs): (&'static str, &str, &str),
    end: &str,
    (streams, rounds): (u32, usize),
) -> Drained {
    let service = Service::start(&workload.cluster);
    let mut times: Vec<(Duration, Duration, Duration)> = vec![];
    for _ in 0..=rounds {
        let count = usize::try_from(streams).unwrap();
        let twins = workload.twins(2 * count).await;
        let (their_slots, our_slots) = twins.split_at(count);
        let their = recvlogical::drain(&workload.cluster, their_slots, theirs, end);
        let (started, before) = (Instant::now(), service.processor_time());
        join_all(our_slots.iter().map(|slot| service.drain(slot, ours, shape.transactions))).await;
        times.push((their, started.elapsed(), service.processor_time() - before));
    }
    times.remove(0);
    let changes = shape.changes() * streams;
    let seconds =
        |of: fn(&(Duration, Duration, Duration)) -> Duration| times.iter().map(|times| of(times).as_secs_f64()).collect::<Vec<_>>();
    Drained {
        name: String::from(name),
        format: race,
        changes,
        their_seconds: seconds(|times| times.0),
        our_seconds: seconds(|times| times.1),
        ratio: Spread::of(times.iter().map(|(their, our, _)| their.as_secs_f64() / our.as_secs_f64())),
        processor_microseconds_per_change: Spread::of(times.iter().map(|(.., busy)| busy.as_secs_f64() * 1e6 / f64::from(changes))),
        peak_mebibytes: service.peak_memory(),
    }
}

impl Drained {
    fn row(&self) -> String {
        let milliseconds = |seconds: &[f64]| format!("{:.0} ms", Spread::of(seconds.iter().copied()).median * 1e3);
        row(&[
            self.name.clone(),
            String::from(self.format),
            self.changes.to_string(),
            milliseconds(&self.their_seconds),
            milliseconds(&self.our_seconds),
            self.ratio.text(),
            format!("{:.2}", self.processor_microseconds_per_change.median),
            format!("{:.0}", self.peak_mebibytes),
        ])
    }
}
