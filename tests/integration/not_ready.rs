//! A Postgres that cannot do what we need: the service says which setting, its value now, and what to run, and ends.

use std::time::Instant;

use crate::harness::{Postgres, Service};

async fn complaint(postgres: &Postgres, arguments: &[&str], parts: &[&str]) {
    let started = Instant::now();
    let (code, said) = Service::fail_to_start(&postgres.options, arguments).await;
    assert_eq!(code, 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert!(started.elapsed().as_secs() < 30);
}

#[tokio::test]
async fn all_that_is_wrong_comes_in_one_message() {
    let postgres = Postgres::with_settings(&[("wal_level", "replica"), ("max_replication_slots", "0")]).await;
    postgres.execute("CREATE ROLE app LOGIN").await;
    postgres.execute("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'").await;
    complaint(
        &postgres,
        &["--user", "app", "--db", "old"],
        &[
            "wal_level is replica, expected logical. Run: ALTER SYSTEM SET wal_level = 'logical'",
            "max_replication_slots is 0",
            "ALTER SYSTEM SET max_replication_slots",
            "role \"app\" has no REPLICATION. Run: ALTER ROLE \"app\" REPLICATION",
            "server_encoding is LATIN1, expected UTF8",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_way_in_is_named() {
    let postgres = Postgres::with_settings(&[]).await;
    complaint(&postgres, &["--db", "nowhere"], &["database \"nowhere\" does not exist", "DBNAME"]).await;
    complaint(&postgres, &["--user", "nobody"], &["role \"nobody\" does not exist", "PGUSER"]).await;
    complaint(&postgres, &["--pgPort", "1"], &["cannot be reached", "PGHOST", "PGPORT (1)"]).await;
    complaint(&postgres, &["--pgHost", "no.such.host.invalid"], &["cannot be reached", "PGHOST (no.such.host.invalid)"]).await;
    complaint(&postgres, &["--pgSslMode", "require"], &["TLS", "PGSSLMODE"]).await;
}

#[tokio::test]
async fn a_missing_plugin_is_named() {
    let postgres = Postgres::with_settings(&[("dynamic_library_path", "/nonexistent")]).await;
    complaint(&postgres, &[], &["wal2json is not installed", "apt-get install postgresql-15-wal2json"]).await;
}

#[tokio::test]
async fn a_missing_line_in_pg_hba_is_named() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.pg_hba("host replication all all reject\nhost all app all reject\nhost all postgres all trust").await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION").await;
    complaint(&postgres, &["--user", "app"], &["pg_hba.conf", "PGUSER (app)"]).await;
}

#[tokio::test]
async fn a_plugin_that_the_server_does_not_allow_is_named() {
    let postgres = Postgres::with_settings(&[]).await;
    if postgres.text("SELECT current_setting('output_plugin_libraries', true)").await.is_none() {
        return; // This release takes any plugin.
    }
    postgres.execute("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding").await;
    postgres.execute("SELECT pg_reload_conf()").await;
    let advice = "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json; SELECT pg_reload_conf();";
    complaint(&postgres, &[], &["library \"wal2json\" may not be used as an output plugin", advice]).await;
    postgres.execute("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json").await;
    postgres.execute("SELECT pg_reload_conf()").await;
    Service::start(&postgres).await.stop().await;
}
