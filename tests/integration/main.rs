//! The program from outside: a real Postgres with wal2json, the real binary, real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the stories")]

#[expect(dead_code, reason = "the harness also serves the oracle")]
#[path = "../harness/mod.rs"]
mod harness;

mod acknowledged_by_call;
mod acknowledgement;
mod altered_tables;
mod bad_requests;
mod browser;
mod empty_transactions;
mod events;
mod filters;
mod foreign_slot;
mod gears;
mod hostile_names;
mod http;
mod idle;
mod init;
mod init_blocked;
mod logical_messages;
mod login;
mod long_transaction;
mod many_streams;
mod migrate;
mod not_ready;
mod notices;
mod original;
mod postgres_away;
mod postgres_restarted;
mod readiness;
mod reproduced;
mod server_sent_events;
mod service_killed;
mod shutdown;
mod snapshot_lifetime;
mod snapshot_paging;
mod snapshot_rows;
mod standing_still;
mod streams;
mod streams_left_over;
mod table_schemas;
mod tail;
mod takeover;
mod wal_limits;
mod without_registry;
