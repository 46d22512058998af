//! How long a table takes over HTTP, as one NDJSON answer and page by page, against `psql`'s `\copy` of the same rows. All write to /dev/null:
//! psql itself, curl for the service.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgdeltastream::cluster::Cluster;
use serde::Serialize;

use crate::plot;
use crate::report::{Report, Spread, head, row};
use crate::service::Service;
use crate::workload::Workload;

const ROUNDS: usize = 5;
const ROWS: u32 = 5_000_000;
/// Of these, so many are read page by page.
const PAGED: u32 = 500_000;
const PAGE: u32 = 10_000;

/// What is asked of both sides.
const RACES: [(&str, &str, &str, u32); 3] = [
    ("NDJSON", "\\copy t", "\\copy t to stdout", ROWS),
    ("NDJSON", "\\copy row_to_json", "\\copy (select row_to_json(t) from t t) to stdout", ROWS),
    ("pages of 10,000", "\\copy row_to_json", "\\copy (select row_to_json(t) from t t where id <= 500000) to stdout", PAGED),
];

#[derive(Debug, Serialize)]
struct Exported {
    way: &'static str,
    against: &'static str,
    rows: u32,
    their_seconds: Vec<f64>,
    our_seconds: Vec<f64>,
    /// Of the rates, ours over theirs, round by round.
    ratio: Spread,
    peak_mebibytes: f64,
}

pub(crate) async fn measure(report: &Report) {
    if !report.has("snapshot") {
        return;
    }
    let mut workload = Workload::start().await;
    workload.execute("CREATE TABLE t (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, flag boolean)").await;
    workload
        .execute(&format!(
            "INSERT INTO t SELECT n, 'customer ' || n, n / 7.0, timestamptz '2024-01-01' + n * interval '1 second', n % 2 = 0
             FROM generate_series(1, {ROWS}) n"
        ))
        .await;
    workload.execute("VACUUM ANALYZE t").await;
    let mut table = vec![head(&["over HTTP", "against", "psql, rows/s", "HTTP, rows/s", "ratio", "peak MiB"])];
    let mut figures = vec![];
    for (way, against, sql, rows) in RACES {
        let service = initiated(&workload.cluster);
        let bodies = bodies(way);
        let mut times: Vec<(Duration, Duration)> = vec![];
        // The first round only warms the caches.
        for _ in 0..=ROUNDS {
            times.push((timed(|| psql(&workload.cluster, sql)), timed(|| post(&service, "/v1/snapshot/data", &bodies))));
        }
        times.remove(0);
        let exported = Exported {
            way,
            against,
            rows,
            their_seconds: times.iter().map(|(their, _)| their.as_secs_f64()).collect(),
            our_seconds: times.iter().map(|(_, our)| our.as_secs_f64()).collect(),
            ratio: Spread::of(times.iter().map(|(their, our)| their.as_secs_f64() / our.as_secs_f64())),
            peak_mebibytes: service.peak_memory(),
        };
        table.push(exported.row());
        figures.push(exported);
    }
    let service = initiated(&workload.cluster);
    let page =
        |after: u32| Spread::of((0..21).map(|_| timed(|| post(&service, "/v1/snapshot/data", &[body(1_000, after)])).as_secs_f64() * 1e3));
    let deep = ROWS / 5 * 4;
    let (first, last) = (page(0), page(deep));
    table.push(format!(
        "\nA page of 1,000 rows: {} ms at the beginning, {} ms behind row {deep}, curl's start included.",
        first.text(),
        last.text()
    ));
    let bars: Vec<_> = figures.iter().map(|exported| (format!("{}, {}", exported.way, exported.against), exported.ratio)).collect();
    report.keep("snapshot", &figures, &plot::bars("Rate over HTTP over that of psql", &bars), &table.join("\n"));
}

/// A service with a snapshot.
fn initiated(cluster: &Cluster) -> Service {
    let service = Service::start(cluster);
    post(&service, "/v1/init", &[String::new()]);
    service
}

/// All that is to be asked for, one after the other on one connection.
fn bodies(way: &str) -> Vec<String> {
    if way == "NDJSON" {
        return vec![String::from(r#"{"table":"t"}"#)];
    }
    (0..PAGED / PAGE).map(|page| body(PAGE, page * PAGE)).collect()
}

fn body(limit: u32, after: u32) -> String {
    format!(r#"{{"table":"t","limit":{limit},"after":{{"id":{after}}}}}"#)
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn psql(cluster: &Cluster, sql: &str) {
    let mut command = Command::new(cluster.program("psql"));
    command.args(["--no-psqlrc", "--quiet", "--dbname", &cluster.url("postgres"), "--command", sql]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
}

fn post(service: &Service, path: &str, bodies: &[String]) {
    let url = format!("http://{}{path}", service.address);
    let mut command = Command::new("curl");
    for (index, body) in bodies.iter().enumerate() {
        command.args((index > 0).then_some("--next"));
        command.args([
            "--silent",
            "--fail-early",
            "--fail",
            "--header",
            "accept: application/x-ndjson",
            "--data",
            body,
            "--output",
            "/dev/null",
            &url,
        ]);
    }
    assert!(command.status().unwrap().success());
}

impl Exported {
    fn row(&self) -> String {
        let rate = |seconds: &[f64]| format!("{:.0}", f64::from(self.rows) / Spread::of(seconds.iter().copied()).median);
        row(&[
            String::from(self.way),
            format!("`{}`", self.against),
            rate(&self.their_seconds),
            rate(&self.our_seconds),
            self.ratio.text(),
            format!("{:.0}", self.peak_mebibytes),
        ])
    }
}
