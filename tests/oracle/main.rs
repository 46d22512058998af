//! The oracle: generated tables, transactions, streams and faults. In the end Postgres says whether each client has what it should.
//!
//! `ORACLE_SEED=n` runs one seed again, `ORACLE_SECONDS=n` as many as fit into that time.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the tests")]

#[expect(dead_code, unused_imports, reason = "the harness also serves the stories of tests/integration")]
#[path = "../harness/mod.rs"]
mod harness;

mod connection;
mod copy;
mod follower;
mod plan;
mod tables;
mod world;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plan::Plan;
use world::Totals;

/// How long to go on where nothing else is asked for.
const BUDGET: Duration = Duration::from_secs(40);

#[tokio::test]
async fn whatever_breaks_nothing_is_lost_and_nothing_acknowledged_comes_again() {
    let began = Instant::now();
    let budget = setting("ORACLE_SECONDS").map_or(BUDGET, Duration::from_secs);
    let only = setting("ORACLE_SEED");
    // Other seeds each time: what is printed runs the same again.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut seed = only.unwrap_or(u64::try_from(clock % 1_000_000_000).unwrap());
    let mut totals = Totals::default();
    loop {
        let plan = Plan::new(seed);
        println!("ORACLE_SEED={seed}: {plan}");
        totals.add(&world::run(&plan).await);
        println!("{totals}, after {} s", began.elapsed().as_secs());
        if only.is_some() || began.elapsed() >= budget {
            return;
        }
        seed += 1;
    }
}

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the settings of the tests are not those of the service")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}
