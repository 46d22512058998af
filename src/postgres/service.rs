//! The connections for everything but streams: a few for the registry and today's catalogue, a few that read snapshots.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::timeout;

use super::SESSION_SETTINGS;
use super::server_error::{Condition, ServerError};
use crate::config::{
    CONNECT_TIMEOUT, MAX_READERS, MAX_SERVICE_CONNECTIONS, MIGRATION_TIMEOUT, PING_POOLED_TIMEOUT, PostgresConfig, READER_QUEUE_TIMEOUT,
    STATEMENT_TIMEOUT, SslMode,
};

static MIGRATOR: Migrator = sqlx::migrate!();

/// What our own statements say without a schema is Postgres' own, whoever makes functions of the same name.
const SEARCH_PATH: (&str, &str) = ("search_path", "pg_catalog");

/// Connections of the service itself write to the registry, and must not wait for a standby that is away.
const SERVICE_SETTINGS: [(&str, &str); 4] =
    [SEARCH_PATH, ("client_min_messages", "error"), ("synchronous_commit", "local"), ("default_transaction_read_only", "off")];

/// Readers fail rather than leave rows out, and a query that nobody waits for ends. The planner knows today's constraints only, which the rows of
/// a snapshot need not keep.
const READER_SETTINGS: [(&str, &str); 7] = [
    SEARCH_PATH,
    ("constraint_exclusion", "off"),
    ("client_min_messages", "error"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("client_connection_check_interval", "5s"),
];

/// The database, as everything but a stream sees it.
#[derive(Debug, Clone)]
pub struct Database {
    pub(super) service: PgPool,
    pub(super) readers: PgPool,
}

/// A statement failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The server refused.
    #[error("Postgres: {0}")]
    Server(#[source] ServerError),
    /// There was no connection, or it was cut.
    #[error("Postgres cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// All connections were taken, or none could be made, for too long.
    #[error("no connection to Postgres was free in time")]
    NoConnection,
    /// The server took too long.
    #[error("no answer from Postgres within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl QueryError {
    /// What the server's error means to us, if it is one.
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Self::Server(error) => Some(error.condition()),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::NoConnection;
        }
        let Some(refusal) = error.as_database_error() else { return Self::Unreachable(error) };
        Self::Server(ServerError::new(refusal.code().unwrap_or_default().into_owned(), refusal.message().to_owned()))
    }
}

/// Our own tables could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RegistryMissing {
    /// The role may not make them, or not use them.
    #[error("{0}")]
    Forbidden(#[source] ServerError),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] MigrateError),
}

impl Database {
    /// Connections as they are needed; none yet.
    pub fn new(config: &PostgresConfig) -> Self {
        let pool = |name: &str, settings: &[(&str, &str)], limit: u32, patience: Duration| {
            PgPoolOptions::new()
                .max_connections(limit)
                .acquire_timeout(patience)
                .idle_timeout(Duration::from_secs(60))
                // Where the network swallowed them, all of them would each be waited for.
                .test_before_acquire(false)
                .before_acquire(|connection, _| {
                    Box::pin(async { Ok(matches!(timeout(PING_POOLED_TIMEOUT, connection.ping()).await, Ok(Ok(())))) })
                })
                .connect_lazy_with(options(config, name).options(settings.iter().copied()))
        };
        Self {
            service: pool("pgdeltastream", &SERVICE_SETTINGS, MAX_SERVICE_CONNECTIONS, CONNECT_TIMEOUT),
            readers: pool("pgdeltastream snapshot", &READER_SETTINGS, MAX_READERS, READER_QUEUE_TIMEOUT),
        }
    }

    /// Makes or updates our own tables, in a schema of our own. Safe when several instances start at once; needs no right where nothing is to do.
    pub async fn migrate(&self) -> Result<(), RegistryMissing> {
        if self.is_migrated().await? {
            return Ok(());
        }
        let mut migrator = Migrator { migrations: MIGRATOR.migrations.clone(), ..Migrator::DEFAULT };
        migrator.dangerous_set_table_name("pgdeltastream.migration");
        let exists: Option<bool> =
            short(sqlx::query_scalar("SELECT to_regnamespace('pgdeltastream') IS NOT NULL").fetch_one(&self.service)).await?;
        if exists != Some(true) {
            migrator.create_schema("pgdeltastream");
        }
        let migrating = timeout(MIGRATION_TIMEOUT, migrator.run(&self.service)).await;
        migrating.map_err(|_| MigrateError::Source("another instance holds the lock of the migrations".into()))?.map_err(
            |error| match error {
                MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => QueryError::from(cause).into(),
                other => RegistryMissing::Failed(other),
            },
        )
    }

    /// Whether our tables are as this version needs them, or newer: what a newer version adds is no hindrance.
    async fn is_migrated(&self) -> Result<bool, RegistryMissing> {
        let there = "SELECT to_regclass('pgdeltastream.migration') IS NOT NULL";
        let is_there: Option<bool> = match short(sqlx::query_scalar(there).fetch_one(&self.service)).await {
            // Its schema is there, and not for us.
            Err(error) if error.condition() == Some(Condition::Forbidden) => return Err(error.into()),
            is_there => is_there?,
        };
        if is_there != Some(true) {
            return Ok(false);
        }
        let applied = sqlx::query_as("SELECT version, checksum FROM pgdeltastream.migration WHERE success");
        let applied: Vec<(i64, Vec<u8>)> = short(applied.fetch_all(&self.service)).await?;
        let is_applied =
            |migration: &Migration| applied.iter().any(|(version, sum)| *version == migration.version && **sum == *migration.checksum);
        if !MIGRATOR.iter().all(is_applied) {
            return Ok(false);
        }
        let may_use =
            "SELECT bool_and(has_table_privilege('pgdeltastream.stream', p)) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p";
        if !short(sqlx::query_scalar::<_, bool>(may_use).fetch_one(&self.service)).await? {
            let message = String::from("permission denied for table pgdeltastream.stream");
            return Err(RegistryMissing::Forbidden(ServerError::new(String::from("42501"), message)));
        }
        Ok(true)
    }

    /// Gives all connections back.
    pub async fn close(&self) {
        self.service.close().await;
        self.readers.close().await;
    }
}

impl From<QueryError> for RegistryMissing {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Server(error) if error.condition() == Condition::Forbidden => Self::Forbidden(error),
            other => Self::Failed(MigrateError::Source(other.into())),
        }
    }
}

/// One connection of its own, outside of the pools, for what holds it long: an anchor, a lock.
pub(super) async fn connect(config: &PostgresConfig, name: &str) -> Result<PgConnection, QueryError> {
    let options = options(config, name).options(SERVICE_SETTINGS);
    within(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await
}

/// Runs a statement of ours under its deadline.
pub(super) async fn within<T>(limit: Duration, statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, QueryError> {
    Ok(timeout(limit, statement).await.map_err(|_| QueryError::Timeout(limit))??)
}

/// The same with the deadline of short statements.
pub(super) async fn short<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, QueryError> {
    within(STATEMENT_TIMEOUT, statement).await
}

/// Runs SQL text without parameters or rows.
pub(super) async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<(), QueryError> {
    short(connection.execute(sql)).await.map(drop)
}

fn options(config: &PostgresConfig, application_name: &str) -> PgConnectOptions {
    let ssl_mode = match config.effective_ssl_mode() {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Prefer => PgSslMode::Prefer,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(config.password().unwrap_or_default())
        .database(&config.database)
        .ssl_mode(ssl_mode)
        .application_name(application_name)
        .extra_float_digits(1)
        .options(SESSION_SETTINGS)
        .disable_statement_logging();
    if let Some(folder) = config.socket_folder() {
        options = options.socket(folder);
    }
    if let Some(file) = &config.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    options
}
