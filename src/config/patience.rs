//! How long to have patience with those at the other ends.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use schemars::JsonSchema;

use super::MAX_SECONDS;

/// How long to wait for Postgres and for clients that say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, JsonSchema)]
pub struct Patience {
    /// How long streams stay open while Postgres is away, in seconds; then they close with 1013
    #[arg(long = "pgGrace", env = "PG_GRACE", default_value_t = 30, global = true, value_name = "SECONDS",
          value_parser = RangedU64ValueParser::<u64>::new().range(0..=MAX_SECONDS))]
    #[schemars(rename = "PG_GRACE", range(min = 0, max = MAX_SECONDS), extend("default" = 30))]
    pub pg_grace_seconds: u64,
    /// How long a client may say nothing, and answer no ping, in seconds; then its connection is cut
    #[arg(long = "pingTimeout", env = "PING_TIMEOUT", default_value_t = 60, global = true, value_name = "SECONDS",
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=MAX_SECONDS))]
    #[schemars(rename = "PING_TIMEOUT", range(min = 1, max = MAX_SECONDS), extend("default" = 60))]
    pub ping_timeout_seconds: u64,
}

impl Patience {
    /// How long streams stay open while Postgres is away.
    pub fn pg_grace(&self) -> Duration {
        Duration::from_secs(self.pg_grace_seconds)
    }

    /// How long a client may say nothing.
    pub fn ping_timeout(&self) -> Duration {
        Duration::from_secs(self.ping_timeout_seconds)
    }
}
