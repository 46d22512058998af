//! What wal2json writes and how it is asked to: its two formats as typed changes, its options, and what it breaks, mended.
//!
//! No I/O, no runtime. Everything is borrowed from the text, and values stay as they were written.

pub mod change;
mod json;
pub mod mend;
pub mod options;
pub mod v1;
pub mod v2;
pub mod warning;

pub use mend::mend;

/// Not what wal2json writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wal2json wrote something that is neither a transaction of its format 1 nor a record of its format 2")]
pub struct Malformed;

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod written;
