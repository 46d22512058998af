//! `pg_recvlogical`, in a session like that of the service.

use pgdeltastream::cluster::Cluster;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

use crate::harness::in_time;
use crate::records::records;

/// What the service pins in its own session.
const SESSION_SETTINGS: &str = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=1 -c quote_all_identifiers=off \
    -c bytea_output=hex -c lc_monetary=C -c search_path=public";

/// All that wal2json writes from a slot up to a position.
pub async fn receive(cluster: &Cluster, database: &PgConnectOptions, slot: &str, end: &str, options: &[(String, String)]) -> Vec<Vec<u8>> {
    let mut command = Command::new(cluster.program("pg_recvlogical"));
    command.env("PGOPTIONS", SESSION_SETTINGS).env("PGCLIENTENCODING", "UTF8").kill_on_drop(true);
    command.args(["--host", database.get_host(), "--port", &database.get_port().to_string(), "--username", database.get_username()]);
    command.args(["--dbname", database.get_database().unwrap(), "--no-password"]);
    command.args(["--slot", slot, "--start", "--no-loop", "--file", "-", "--endpos", end]);
    for (name, value) in options {
        command.arg("--option").arg(format!("{name}={value}"));
    }
    let output = in_time("pg_recvlogical", command.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    records(&output.stdout)
}
