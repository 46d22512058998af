//! What a user can measure, side by side with what Postgres' own tools reach on the same data: `pg_recvlogical` for streams, `psql` for snapshots.
//! Both sides are run in turn, and held against each other as ratios. `cargo bench --bench performance`, or some of it:
//! `cargo bench --bench performance -- drain 'v1, 4 narrow'` runs what has one of these in its name, and only prints it.
//!
//! A whole section leaves its figures, a plot and its tables in `docs/`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot go on stops, and prints"
)]

mod drain;
mod growth;
mod instructions;
mod latency;
mod plot;
mod recvlogical;
mod report;
mod service;
mod snapshot;
mod workload;

use report::Report;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let report = Report::from_arguments();
    drain::measure(&report).await;
    latency::measure(&report).await;
    snapshot::measure(&report).await;
    growth::measure(&report).await;
    instructions::measure(&report).await;
}
