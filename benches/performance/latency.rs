//! How long a change takes from Postgres to the client, at steady rates. Each row has the time at which Postgres wrote it, just before its commit;
//! who gets it looks at the same clock.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{Stream, StreamExt, stream};
use pgdeltastream::cluster::Cluster;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::plot;
use crate::recvlogical;
use crate::report::{Report, Spread, head, row};
use crate::service::Service;
use crate::workload::{Columns, Shape, Workload};

const ROUNDS: usize = 5;
const WINDOW: Duration = Duration::from_secs(4);
/// In a window, of all clients together: a percentile of few is that of chance. At a low rate, the window is as long as that takes.
const LEAST_ROWS: usize = 1_000;
/// For all that was written to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients, transactions a second, and the format.
const PACES: [(usize, u32, &str, &str); 6] = [
    (1, 50, "v1", "wal2json-v1"),
    (1, 1_000, "v1", "wal2json-v1"),
    (1, 1_000, "v2", "wal2json-v2"),
    (1, 1_000, "events", "events"),
    (10, 100, "v1", "wal2json-v1"),
    (50, 20, "v1", "wal2json-v1"),
];

/// In microseconds, of all rows and clients of one round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
    p999: f64,
}

/// Who has what comes.
type Client<'a> = Pin<Box<dyn Stream<Item = Vec<u8>> + Send + 'a>>;

#[derive(Debug, Serialize)]
struct Latency {
    clients: usize,
    transactions_per_second: u32,
    format: &'static str,
    theirs: Vec<Percentiles>,
    ours: Vec<Percentiles>,
    /// Ours over theirs, round by round: less is better.
    ratio_p50: Spread,
    ratio_p99: Spread,
}

pub(crate) async fn measure(report: &Report) {
    let paces: Vec<_> =
        PACES.into_iter().filter(|(clients, rate, format, _)| report.has(&format!("latency: {format}, {clients} at {rate}"))).collect();
    if paces.is_empty() {
        return;
    }
    let mut workload = Workload::start().await;
    workload.fill(Shape { transactions: 1, rows: 1, columns: Columns::Text(1) }, 1).await;
    let service = Service::start(&workload.cluster);
    let mut figures = vec![];
    let mut table = vec![head(&[
        "clients",
        "transactions/s",
        "format",
        "`pg_recvlogical`: p50, p99, p99.9",
        "websocket: p50, p99, p99.9",
        "ratio at p50",
        "at p99",
    ])];
    for (clients, rate, format, options) in paces {
        let (mut theirs, mut ours) = (vec![], vec![]);
        for round in 0..ROUNDS {
            // Each side is first as often as the other, and one time more.
            for is_ours in [round % 2 == 0, round % 2 == 1] {
                let side = if is_ours { &mut ours } else { &mut theirs };
                side.push(window(&mut workload, is_ours.then_some(&service), clients, rate, options).await);
            }
        }
        let ratio = |of: fn(&Percentiles) -> f64| Spread::of(ours.iter().zip(&theirs).map(|(our, their)| of(our) / of(their)));
        let (ratio_p50, ratio_p99) = (ratio(|all| all.p50), ratio(|all| all.p99));
        let latency = Latency { clients, transactions_per_second: rate, format, ratio_p50, ratio_p99, theirs, ours };
        table.push(latency.row());
        figures.push(latency);
    }
    let name =
        |latency: &Latency, at: &str| format!("{} × {}/s, {}, {at}", latency.clients, latency.transactions_per_second, latency.format);
    let bars: Vec<_> =
        figures.iter().flat_map(|latency| [(name(latency, "p50"), latency.ratio_p50), (name(latency, "p99"), latency.ratio_p99)]).collect();
    report.keep("latency", &figures, &plot::bars("Latency of a websocket over that of pg_recvlogical", &bars), &table.join("\n"));
}

/// One side at work, from new slots.
async fn window(workload: &mut Workload, service: Option<&Service>, clients: usize, rate: u32, format: &str) -> Percentiles {
    let slots = workload.slots(clients).await;
    let rows = usize::try_from(rate).unwrap() * usize::try_from(WINDOW.as_secs()).unwrap();
    let rows = rows.max(LEAST_ROWS / clients);
    let (arrived, mut arrivals) = mpsc::channel(clients * (rows + 1));
    let mut tasks = JoinSet::new();
    for slot in &slots {
        let mut client: Client<'static> = match service {
            Some(service) => Box::pin(service.connect(slot, format).await.map(|message| message.unwrap().into_payload().to_vec())),
            None => lines(&workload.cluster, slot, format),
        };
        let arrived = arrived.clone();
        tasks.spawn(async move {
            for _ in 0..=rows {
                let latency = loop {
                    if let Some(latency) = latency(&client.next().await.expect("the stream goes on")) {
                        break latency;
                    }
                };
                arrived.send(latency).await.unwrap();
            }
            client
        });
    }
    const INSERT: &str = "INSERT INTO t0 VALUES (1, 'at=' || floor(extract(epoch FROM clock_timestamp()) * 1e6)::bigint || ';')";
    // The first says that all are there.
    workload.execute(INSERT).await;
    timeout(PATIENCE, collect(&mut arrivals, clients)).await.expect("the first row arrives");
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..rows {
        ticks.tick().await;
        workload.execute(INSERT).await;
    }
    let mut latencies = timeout(PATIENCE, collect(&mut arrivals, clients * rows)).await.expect("all rows arrive");
    latencies.sort_by(f64::total_cmp);
    let at = |permille: usize| latencies[(latencies.len() * permille / 1_000).min(latencies.len() - 1)];
    // Nobody leaves before all have everything.
    drop(tasks.join_all().await);
    Percentiles { p50: at(500), p99: at(990), p999: at(999) }
}

async fn collect(arrivals: &mut mpsc::Receiver<f64>, count: usize) -> Vec<f64> {
    let mut all = vec![];
    while all.len() < count {
        all.push(arrivals.recv().await.unwrap());
    }
    all
}

fn lines(cluster: &Cluster, slot: &str, format: &str) -> Client<'static> {
    let mut child = recvlogical::follow(cluster, slot, format);
    let output = BufReader::new(child.stdout.take().unwrap());
    Box::pin(stream::unfold((child, output), async |(child, mut output)| {
        let mut line = vec![];
        (output.read_until(b'\n', &mut line).await.unwrap() > 0).then_some((line, (child, output)))
    }))
}

/// In microseconds, of a message that has a row.
fn latency(message: &[u8]) -> Option<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let text = std::str::from_utf8(message).unwrap();
    let (at, _) = text.split_once("at=")?.1.split_once(';')?;
    Some(now.as_secs_f64() * 1e6 - at.parse::<f64>().unwrap())
}

impl Latency {
    fn row(&self) -> String {
        let of = |rounds: &[Percentiles]| {
            let median = |of: fn(&Percentiles) -> f64| Spread::of(rounds.iter().map(of)).median;
            format!("{:.0}, {:.0}, {:.0} µs", median(|all| all.p50), median(|all| all.p99), median(|all| all.p999))
        };
        row(&[
            self.clients.to_string(),
            self.transactions_per_second.to_string(),
            String::from(self.format),
            of(&self.theirs),
            of(&self.ours),
            self.ratio_p50.text(),
            self.ratio_p99.text(),
        ])
    }
}
