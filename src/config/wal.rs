//! What is done about WAL that the server keeps for streams.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use schemars::JsonSchema;

use super::MAX_SECONDS;

/// A slot keeps all WAL that its client has not acknowledged: without a limit, until the server's disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, JsonSchema)]
pub struct WalSettings {
    /// How often to write a message that no client gets, in seconds, so that slots advance where nothing else is written; 0: never
    #[arg(long = "heartbeatInterval", env = "HEARTBEAT_INTERVAL", default_value_t = 0, global = true, value_name = "SECONDS",
          value_parser = RangedU64ValueParser::<u64>::new().range(0..=MAX_SECONDS))]
    #[schemars(rename = "HEARTBEAT_INTERVAL", range(min = 0, max = MAX_SECONDS), extend("default" = 0))]
    pub heartbeat_seconds: u64,
    /// WAL in bytes that the server may keep for one stream before there is a warning; 0: any
    #[arg(long = "walWarnBytes", env = "WAL_WARN_BYTES", default_value_t = 0, global = true, value_name = "BYTES")]
    #[schemars(rename = "WAL_WARN_BYTES", extend("default" = 0))]
    pub warn_bytes: u64,
    /// WAL in bytes that the server may keep for one stream before WAL_LIMIT_ACTION is taken; 0: any
    #[arg(long = "walLimitBytes", env = "WAL_LIMIT_BYTES", default_value_t = 0, global = true, value_name = "BYTES")]
    #[schemars(rename = "WAL_LIMIT_BYTES", extend("default" = 0))]
    pub limit_bytes: u64,
    /// What to do with a stream for which the server keeps more than WAL_LIMIT_BYTES
    #[arg(long = "walLimitAction", env = "WAL_LIMIT_ACTION", default_value = "none", global = true, value_name = "ACTION")]
    #[schemars(rename = "WAL_LIMIT_ACTION", extend("default" = "none"))]
    pub limit_action: WalLimitAction,
}

/// What to do with a stream for which the server keeps too much WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
pub enum WalLimitAction {
    /// Nothing but to say so.
    None,
    /// Close its client's connection.
    Disconnect,
    /// Drop its slot; one that somebody else has made is not dropped, but its client is disconnected.
    Drop,
}

impl WalSettings {
    /// How often to write a message of our own, if at all.
    pub fn heartbeat(&self) -> Option<Duration> {
        (self.heartbeat_seconds > 0).then(|| Duration::from_secs(self.heartbeat_seconds))
    }

    /// Whether anything is to be watched.
    pub fn has_limits(&self) -> bool {
        self.warn_bytes > 0 || self.limit_bytes > 0
    }

    /// Whether so much is worth a warning.
    pub fn is_warned_of(&self, bytes: u64) -> bool {
        self.warn_bytes > 0 && bytes > self.warn_bytes
    }

    /// Whether so much is too much.
    pub fn is_over_limit(&self, bytes: u64) -> bool {
        self.limit_bytes > 0 && bytes > self.limit_bytes
    }
}
