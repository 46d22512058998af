//! The doors to Postgres: replication connections through pgwire-replication, all others through sqlx.

/// The names, as schema, table, schema, table and so on, of the partitioned tables above the table `c`, the nearest first.
macro_rules! names_above {
    () => {
        "CASE WHEN c.relispartition THEN ARRAY(
        SELECT unnest(ARRAY[m.nspname::text, p.relname::text]) FROM pg_partition_ancestors(c.oid) WITH ORDINALITY AS above (oid, ordinal)
        JOIN pg_class p ON p.oid = above.oid JOIN pg_namespace m ON m.oid = p.relnamespace
        WHERE above.ordinal > 1 ORDER BY above.ordinal) ELSE '{}' END"
    };
}

/// Whether tables of the schema `n` are for clients: those of system schemas and our own are not.
macro_rules! is_for_clients {
    () => {
        "left(n.nspname, 3) <> 'pg_' AND n.nspname NOT IN ('information_schema', 'pgdeltastream')"
    };
}

pub mod catalog;
pub mod listing;
mod paced;
pub mod preflight;
pub mod pulse;
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
mod transaction;
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
