//! How long a table takes over HTTP, one JSON row a line, against psql's `\copy` of the same rows: interleaved, as ratios. And what a page costs
//! that lies deep in the table. `cargo bench --bench export`, or with another number of rows: `cargo bench --bench export -- 1000000`.
//!
//! All write to /dev/null: psql itself, curl for the service.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgdeltastream::cluster::Cluster;

mod service;

use service::Service;

const ROUNDS: usize = 5;

/// What psql runs, and what the rate over HTTP should be of its.
const RIVALS: [(&str, &str); 2] =
    [("\\copy t to stdout", "\\copy t to stdout"), ("\\copy row_to_json", "\\copy (select row_to_json(t) from t t) to stdout")];

fn main() {
    let rows: u32 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000_000);
    let cluster = Cluster::start(&[("max_wal_size", "8GB"), ("shared_buffers", "1GB"), ("autovacuum", "off")]).unwrap();
    psql(&cluster, "CREATE TABLE t (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, flag boolean)");
    psql(
        &cluster,
        &format!(
            "INSERT INTO t SELECT n, 'customer ' || n, n / 7.0, timestamptz '2024-01-01' + n * interval '1 second', n % 2 = 0
             FROM generate_series(1, {rows}) n"
        ),
    );
    psql(&cluster, "VACUUM ANALYZE t");
    let service = Service::start(&cluster);
    post(&service, "/v1/init", "");
    println!("{:<22} {:>12} {:>12} {:>7} {:>15}", "against", "psql, rows/s", "ours, rows/s", "ratio", "(of each round)");
    for (name, sql) in RIVALS {
        let (mut theirs, mut ours, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..=ROUNDS {
            let their = timed(|| psql(&cluster, sql));
            let our = timed(|| post(&service, "/v1/snapshot/data", r#"{"table":"t"}"#));
            // The first warms the caches.
            if round > 0 {
                theirs.push(their);
                ours.push(our);
                ratios.push(their.as_secs_f64() / our.as_secs_f64());
            }
        }
        ratios.sort_by(f64::total_cmp);
        let spread = format!("{:.2} – {:.2}", ratios.first().unwrap(), ratios.last().unwrap());
        let rate = |times: Vec<Duration>| f64::from(rows) / median(times).as_secs_f64();
        println!("{name:<22} {:>12.0} {:>12.0} {:>7.2} {spread:>15}", rate(theirs), rate(ours), ratios.get(ROUNDS / 2).unwrap());
    }
    println!("peak memory of the service: {} MiB", peak_memory(&service) / 1024);
    let page = |after: u32| {
        let body = format!(r#"{{"table":"t","limit":1000,"after":{{"id":{after}}}}}"#);
        median((0..21).map(|_| timed(|| post(&service, "/v1/snapshot/data", &body))).collect())
    };
    let deep = rows / 5 * 4;
    let [first, deep_one] = [page(0), page(deep)].map(|time| time.as_secs_f64() * 1e3);
    println!("a page of 1,000 rows: {first:.1} ms at the beginning, {deep_one:.1} ms behind row {deep}: {:.2} times", deep_one / first);
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    *times.get(times.len() / 2).unwrap()
}

fn psql(cluster: &Cluster, sql: &str) {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--dbname", &cluster.url("postgres"), "--command", sql]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
}

fn post(service: &Service, path: &str, body: &str) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", "--header", "accept: application/x-ndjson", "--data", body, "--output", "/dev/null"]);
    assert!(command.arg(format!("http://{}{path}", service.address)).status().unwrap().success());
}

/// In KiB.
fn peak_memory(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
