//! The doors to Postgres: replication connections through pgwire-replication, all others through sqlx.

pub mod catalog;
pub mod listing;
pub mod preflight;
pub mod reader;
pub mod relations;
pub mod replication;
pub mod server_error;
pub mod service;
pub mod slots;
pub mod streamed;
pub mod streams;
pub mod table;
pub mod tls;
pub mod types;
mod view;
pub mod wire;

/// What both kinds of connection pin, so that a value looks the same whoever reads it, whatever the server's or the role's defaults.
const SESSION_SETTINGS: [(&str, &str); 11] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];
