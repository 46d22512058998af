//! Before anything is served: whether this Postgres can do what we need, and if not, which setting, its value now, and what to run.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{Connection, PgConnection};

use super::replication::{System, identify};
use super::server_error::{Condition, ServerError};
use super::service::{QueryError, connect, short};
use super::wire::{Wire, WireError};
use crate::config::PostgresConfig;
use crate::name::quoted;

/// The oldest version whose views and commands are the ones we use.
const MIN_VERSION: i32 = 140_000;

/// What must be put right first, all at once.
#[derive(Debug)]
pub struct NotReady {
    server: String,
    faults: Vec<String>,
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Postgres at {} is not ready:", self.server)?;
        self.faults.iter().try_for_each(|fault| write!(formatter, "\n  - {fault}"))
    }
}

impl std::error::Error for NotReady {}

#[derive(sqlx::FromRow)]
struct Settings {
    version: i32,
    version_text: String,
    wal_level: String,
    slots_used: i64,
    slots: i64,
    senders: i64,
    encoding: String,
    may_replicate: bool,
    in_recovery: bool,
}

/// Checks the settings, the role, the encoding, the way in for replication, and the plugin.
///
/// Returns which server it is, and a warning where there is something that may do harm later.
pub async fn check(config: &PostgresConfig) -> Result<(System, Option<String>), NotReady> {
    let not_ready = |faults| NotReady { server: format!("{}:{}", config.host, config.port), faults };
    let mut connection = connect(config, "pgdeltastream").await.map_err(|error| not_ready(vec![unreachable(config, &error)]))?;
    let settings = read(&mut connection).await.map_err(|error| not_ready(vec![error.to_string()]))?;
    let _ = connection.close().await;
    let mut faults = faults_of(&settings, config);
    if !faults.is_empty() {
        return Err(not_ready(faults));
    }
    match probe(config).await {
        Ok(system) => Ok((system, slots_warning(&settings))),
        Err(fault) => {
            faults.push(fault);
            Err(not_ready(faults))
        }
    }
}

async fn read(connection: &mut PgConnection) -> Result<Settings, QueryError> {
    let query = sqlx::query_as(
        "SELECT current_setting('server_version_num')::integer AS version, current_setting('server_version') AS version_text,
                current_setting('wal_level') AS wal_level, (SELECT count(*) FROM pg_replication_slots) AS slots_used,
                current_setting('max_replication_slots')::bigint AS slots, current_setting('max_wal_senders')::bigint AS senders,
                current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS in_recovery,
                EXISTS (SELECT FROM pg_roles r WHERE (r.rolname = current_user AND (r.rolsuper OR r.rolreplication))
                           OR (r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER'))) AS may_replicate",
    );
    short(query.fetch_one(connection)).await
}

fn faults_of(settings: &Settings, config: &PostgresConfig) -> Vec<String> {
    let checks = [
        (settings.version < MIN_VERSION, format!("server_version is {}, expected 14 or newer: update Postgres", settings.version_text)),
        (settings.in_recovery, String::from("it is a read-only standby: connect to the primary")),
        (
            settings.wal_level != "logical",
            format!(
                "wal_level is {}, expected logical. Run: ALTER SYSTEM SET wal_level = 'logical'; then restart Postgres",
                settings.wal_level
            ),
        ),
        (settings.slots == 0, too_few("max_replication_slots", settings.slots)),
        (settings.senders == 0, too_few("max_wal_senders", settings.senders)),
        (
            settings.encoding != "UTF8",
            format!(
                "server_encoding is {}, expected UTF8: wal2json writes other encodings as they are, which is not JSON. Serve a database made with ENCODING 'UTF8'",
                settings.encoding
            ),
        ),
        (!settings.may_replicate, format!("role {0} has no REPLICATION. Run: ALTER ROLE {0} REPLICATION;", quoted(&config.user))),
    ];
    checks.into_iter().filter_map(|(is_wrong, fault)| is_wrong.then_some(fault)).collect()
}

fn too_few(setting: &str, value: i64) -> String {
    format!("{setting} is {value}, expected one or more for each stream. Run: ALTER SYSTEM SET {setting} = 10; then restart Postgres")
}

fn slots_warning(settings: &Settings) -> Option<String> {
    (settings.slots_used >= settings.slots).then(|| {
        format!(
            "all {} replication slots are taken: a new one needs another to be dropped, or {}",
            settings.slots,
            too_few("max_replication_slots", settings.slots)
        )
    })
}

/// Opens a replication connection and makes a temporary slot: the only way for a role without further rights to see the plugin load.
async fn probe(config: &PostgresConfig) -> Result<System, String> {
    let settings = [("lock_timeout", "100ms")];
    let mut wire = Wire::connect(config, "pgdeltastream", &settings).await.map_err(|error| no_way_in(config, &error))?;
    let system = identify(&mut wire).await.map_err(|error| error.to_string())?;
    // Instances in containers all have the same process id.
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let name = format!("pgdeltastream_probe_{started}");
    let created =
        wire.command_within(&format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL wal2json NOEXPORT_SNAPSHOT"), PROBE_TIMEOUT).await;
    wire.close().await;
    match created {
        Err(WireError::Server(error)) if !is_harmless(&error) => Err(plugin_fault(&error)),
        _ => Ok(system),
    }
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The plugin is loaded before the slot waits for open transactions; that there is no free slot is no fault of the plugin's either.
fn is_harmless(error: &ServerError) -> bool {
    matches!(error.condition(), Condition::LockTimeout | Condition::LimitReached)
}

fn plugin_fault(error: &ServerError) -> String {
    match error.condition() {
        Condition::NoSuchFile => {
            format!(
                "the output plugin wal2json is not installed: {error}. Run, with your version for 15: apt-get install postgresql-15-wal2json"
            )
        }
        // Releases since August 2026 take only the plugins of a list, which only some roles may see.
        Condition::Forbidden => format!(
            "a slot with wal2json cannot be made: {error}. Run, with what the setting has now: ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json; SELECT pg_reload_conf();"
        ),
        _ => format!("a slot with wal2json cannot be made: {error}"),
    }
}

fn unreachable(config: &PostgresConfig, error: &QueryError) -> String {
    match error {
        QueryError::Server(refusal) => login_fault(config, refusal),
        QueryError::Unreachable(cause) => {
            format!("it cannot be reached: {cause}. Check PGHOST ({}) and PGPORT ({}), and PGSSLMODE", config.host, config.port)
        }
        _ => format!("{error}. Check PGHOST ({}) and PGPORT ({})", config.host, config.port),
    }
}

fn login_fault(config: &PostgresConfig, refusal: &ServerError) -> String {
    match refusal.condition() {
        Condition::LoginRefused if config.password().is_none() => {
            format!("{refusal}. No password was given: check PGUSER ({}), PGPASS and pg_hba.conf", config.user)
        }
        Condition::LoginRefused => format!("{refusal}. Check PGUSER ({}), PGPASS and pg_hba.conf", config.user),
        Condition::NoSuchObject => format!("{refusal}. Check DBNAME ({})", config.database),
        Condition::LimitReached => format!("{refusal}. Raise max_connections or max_wal_senders, or end other connections"),
        _ => refusal.to_string(),
    }
}

fn no_way_in(config: &PostgresConfig, error: &WireError) -> String {
    match error {
        WireError::Server(refusal) => format!("replication connections: {}", login_fault(config, refusal)),
        other => format!("replication connections: {other}"),
    }
}
