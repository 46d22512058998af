//! A database of the test's own: on a server of its own, or on one that others use too.

use std::sync::atomic::{AtomicU32, Ordering};

use pgdeltastream::cluster::Cluster;
use pgdeltastream::lsn::Lsn;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

/// A database that nobody else uses.
pub struct Postgres {
    /// The server, where it is the test's own.
    pub cluster: Option<Cluster>,
    pub options: PgConnectOptions,
    pool: PgPool,
}

static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    /// A new database, on the given server if there is one.
    pub async fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the settings of the tests are not those of the service")]
        match std::env::var("TEST_DATABASE_URL") {
            Ok(url) => Self::on_server(&url.parse().expect("TEST_DATABASE_URL is a postgres:// URL")).await,
            Err(_) => Self::with_settings(&[]).await,
        }
    }

    /// A server of the test's own, whatever was given: for tests that stop it, configure it, or count its slots.
    pub async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let cluster = Cluster::start(settings).unwrap_or_else(|error| panic!("{error}"));
        let options = PgConnectOptions::new_without_pgpass().host(cluster.host()).port(cluster.port()).username(cluster.user());
        Self::new(options.database("postgres").password("none"), Some(cluster))
    }

    /// A new database on a server that outlives it.
    pub async fn on_server(server: &PgConnectOptions) -> Self {
        let database = format!("pgdeltastream_test_{}_{}", std::process::id(), NEXT_DATABASE.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect_with(server).await.expect("the server accepts connections");
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
        Self::new(server.clone().database(&database), None)
    }

    fn new(options: PgConnectOptions, cluster: Option<Cluster>) -> Self {
        let options = options.disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options.clone());
        Self { cluster, options, pool }
    }

    /// Runs SQL text, as one transaction unless it says otherwise.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first column of the first row, as text.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let query = format!("SELECT x::text FROM ({sql}) AS q (x)");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(&self.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}")).flatten()
    }

    /// Runs `COPY … FROM STDIN`.
    pub async fn copy(&self, statement: &str, rows: &str) {
        let mut connection = self.connection().await;
        let mut copy = connection.copy_in_raw(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        copy.send(rows.as_bytes()).await.unwrap();
        copy.finish().await.unwrap();
    }

    /// A connection of the test's own, for transactions that stay open.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&self.options).await.unwrap()
    }

    /// What Postgres has as confirmed for a slot.
    pub async fn confirmed(&self, slot: &str) -> Lsn {
        let confirmed = self.text(&format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'")).await;
        confirmed.expect("the slot is there").parse().unwrap()
    }

    /// Replaces pg_hba.conf, for connections from now on.
    pub async fn pg_hba(&self, lines: &str) {
        let file = self.cluster.as_ref().expect("a server of the test's own").data_folder().join("pg_hba.conf");
        std::fs::write(file, format!("{lines}\n")).unwrap();
        let before = self.configured_at().await;
        self.execute("SELECT pg_reload_conf()").await;
        super::eventually("the new pg_hba.conf", async || (self.configured_at().await != before).then_some(())).await;
    }

    /// When the server read its configuration: a new connection has it from the postmaster.
    async fn configured_at(&self) -> String {
        sqlx::query_scalar("SELECT pg_conf_load_time()::text").fetch_one(&mut self.connection().await).await.unwrap()
    }

    /// How far the server has written.
    pub async fn written(&self) -> Lsn {
        self.text("SELECT pg_current_wal_insert_lsn()").await.unwrap().parse().unwrap()
    }

    /// The slots of this database.
    pub async fn slots(&self) -> Vec<String> {
        let slots = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots WHERE database = current_database()";
        self.text(slots).await.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// Closes the connections of the test itself.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Stops the server. What is connected to it hears of it at once.
    pub async fn stop(&mut self, mode: pgdeltastream::cluster::StopMode) {
        self.pool.close().await;
        let mut cluster = self.cluster.take().expect("a server of the test's own");
        // It waits, and those whom it waits for may be in this very process.
        let stopping = tokio::task::spawn_blocking(move || cluster.stop(mode).map(|()| cluster));
        self.cluster = Some(stopping.await.unwrap().unwrap());
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.cluster.as_mut().expect("a server of the test's own").start_again().unwrap();
        self.pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(self.options.clone());
    }

    /// Stops the server and starts it again. What is connected to it hears of it at once.
    pub async fn restart(&mut self, mode: pgdeltastream::cluster::StopMode) {
        self.stop(mode).await;
        self.start_again();
    }
}

impl Drop for Postgres {
    /// On a server that others use, slots and database are dropped; one of our own goes as a whole.
    fn drop(&mut self) {
        if self.cluster.is_some() {
            return;
        }
        let database = self.options.get_database().unwrap_or_default().to_owned();
        let server = self.options.clone().database("postgres");
        // The test's own runtime is busy dropping us.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                roll_back_prepared(&server.clone().database(&database)).await;
                clean(&server, &database).await;
            });
        });
        // A test that failed already says why; to panic again would end the others too.
        assert!(cleaning.join().is_ok() || std::thread::panicking(), "the server is left clean");
    }
}

/// A prepared transaction holds up whoever makes a slot on the server, and can only be ended from its own database.
async fn roll_back_prepared(database: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    let statements = "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database()";
    let statements: Vec<String> = sqlx::query_scalar(statements).fetch_all(&mut connection).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn clean(server: &PgConnectOptions, database: &str) {
    let mut connection = PgConnection::connect_with(server).await.unwrap();
    let statements = [
        format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{database}' AND active"),
        format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{database}' AND NOT active"),
        format!("DROP DATABASE {database} WITH (FORCE)"),
    ];
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}
