//! A sidecar for Postgres: a consistent snapshot over HTTP, then every later change over a websocket, at least once, resuming after the
//! last acknowledged position.
//!
//! The modules in reading order, floor by floor; each imports only from floors below its own, and on the last also from those named before
//! it, which a test proves. `ARCHITECTURE.md` has the picture.
//!
//! What is absent, on purpose: nothing that the client is owed is confirmed to Postgres before the client acknowledged it; no position is
//! computed; no SQL is made from a request's text; no number of a row is parsed, and no value logged or put into an error; no queue is
//! without limit, and no wait without deadline but that for a slow client; no task outlives a shutdown.

// Floor 0: values with rules.
pub mod lsn;
pub mod name;
pub mod row;

// Floor 1: what is set, what is meant, and what is said.
pub mod config;
pub mod filter;
pub mod message;

// Floor 2: what may be confirmed, who may be connected, how much may wait, what wal2json writes.
pub mod progress;
pub mod room;
pub mod seat;
pub mod wal2json;

// Floor 3: requests become typed messages, and SQL; what wal2json writes becomes what the client asked for.
pub mod contract;
pub mod format;
pub mod query;

// Floor 4: the doors to Postgres.
pub mod postgres;

// Floors 5 and 6: what outlives us; slots, snapshots, sessions.
pub mod registry;
pub mod slot;
pub mod snapshot;
pub mod stream;

// Floor 7: what all requests share.
pub mod sidecar;

// Floor 8: the doors to everybody else.
pub mod cluster;
pub mod listen;
pub mod http;
pub mod server;
pub mod tail;
pub mod demo;
