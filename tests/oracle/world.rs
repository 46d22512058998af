//! A server, a service, writers and clients, and what goes wrong between them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use pgdeltastream::cluster::StopMode;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::copy::Copy;
use crate::follower::{END, Follower};
use crate::harness::{Postgres, Proxy, Service, eventually};
use crate::plan::{Fault, Format, Plan};
use crate::tables::transaction;

const WRITERS: u64 = 3;

/// What is acknowledged is safe after this time: the registry writes once a second.
const SAFE_AFTER: Duration = Duration::from_millis(1_500);

/// The service may not need more, whatever happens.
const MEMORY: usize = 64 << 20;

/// How long a whole run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// When something was wrong.
#[derive(Default)]
pub struct Calm {
    storms: Mutex<Vec<(Instant, Option<Instant>)>>,
}

impl Calm {
    fn storm_begins(&self) {
        self.storms.lock().unwrap().push((Instant::now(), None));
    }

    fn storm_ends(&self) {
        self.storms.lock().unwrap().last_mut().unwrap().1 = Some(Instant::now());
    }

    /// Whether all was well from then on for long enough.
    pub fn was_calm_after(&self, at: Instant) -> bool {
        let until = at + SAFE_AFTER;
        until < Instant::now() && self.storms.lock().unwrap().iter().all(|(begin, end)| end.is_some_and(|end| end < at) || *begin > until)
    }
}

/// What was done.
#[derive(Debug, Default)]
pub struct Totals {
    seeds: u64,
    transactions: u64,
    connections: u64,
    faults: BTreeMap<String, u64>,
    peak_memory: usize,
}

impl Totals {
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.transactions += other.transactions;
        self.connections += other.connections;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        for (fault, count) in &other.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, transactions, connections, faults, peak_memory } = self;
        let count: u64 = faults.values().sum();
        write!(
            formatter,
            "{seeds} seeds, {transactions} transactions, {count} faults {faults:?}, {connections} connections, {} MiB at most",
            peak_memory >> 20
        )
    }
}

struct World<'a> {
    plan: &'a Plan,
    postgres: Postgres,
    to_postgres: Proxy,
    to_service: Proxy,
    service: Option<Service>,
    totals: Totals,
}

/// Runs a plan to its end. Panics if a client does not have what it should.
pub async fn run(plan: &Plan) -> Totals {
    timeout(LIMIT, run_all(plan)).await.unwrap_or_else(|_| panic!("ORACLE_SEED={}: not done in time: {plan}", plan.seed))
}

async fn run_all(plan: &Plan) -> Totals {
    let mut world = World::new(plan).await;
    for table in &plan.tables {
        world.postgres.execute(&table.create()).await;
    }
    let (calm, stopped, written) = (Arc::<Calm>::default(), AtomicBool::new(false), AtomicU64::new(0));
    let deaths: Vec<watch::Sender<u64>> = plan.streams.iter().map(|_| watch::Sender::new(0)).collect();
    let service = format!("http://127.0.0.1:{}", world.to_service.port());
    let followers: Vec<Follower<'_>> = plan
        .streams
        .iter()
        .zip(&deaths)
        .map(|(stream, deaths)| Follower::new(plan, stream, service.clone(), deaths.subscribe(), calm.clone()))
        .collect();
    let options = world.postgres.options.clone();
    let writing = futures_util::future::join_all((0..WRITERS).map(async |writer| {
        let mut chance = Rng::with_seed(plan.seed * WRITERS + writer);
        let mut connection = None;
        while !stopped.load(Ordering::Relaxed) {
            if connection.is_none() {
                connection = PgConnection::connect_with(&options).await.ok();
            }
            let Some(open) = &mut connection else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            // Two may be in each other's way, and the server may go away: whatever comes of it, it is the server that knows.
            let text = transaction(&plan.tables, plan.has_truncate, &mut chance);
            if open.execute(AssertSqlSafe(text)).await.is_err() && open.execute("ROLLBACK").await.is_err() {
                connection = None;
            }
            written.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(chance.u64(0..30))).await;
        }
    }));
    let story = async {
        let (mut chance, began) = (Rng::with_seed(!plan.seed), Instant::now());
        for fault in &plan.faults {
            sleep(Duration::from_millis(chance.u64(0..2_500))).await;
            calm.storm_begins();
            println!("{:>8} ms {fault:?}", began.elapsed().as_millis());
            world.suffer(*fault, &deaths).await;
            calm.storm_ends();
            *world.totals.faults.entry(fault.name()).or_default() += 1;
        }
        sleep(Duration::from_millis(500)).await;
        println!("{:>8} ms all is well", began.elapsed().as_millis());
        stopped.store(true, Ordering::Relaxed);
        world
    };
    let ending = async {
        let (world, _) = tokio::join!(story, writing);
        world
    };
    let following = futures_util::future::join_all(followers.iter().map(Follower::run));
    tokio::pin!(following);
    let mut world = tokio::select! {
        _ = &mut following => panic!("ORACLE_SEED={}: all ended before the end", plan.seed),
        world = ending => world,
    };
    // Who starts over once the last message is written never sees it: there is one more, again and again.
    let emit = format!("SELECT pg_logical_emit_message(true, 'oracle', '{END}')");
    let copies = loop {
        world.postgres.execute(&emit).await;
        tokio::select! {
            copies = &mut following => break copies,
            () = sleep(Duration::from_secs(3)) => {}
        }
    };
    for (copy, stream) in copies.iter().zip(&plan.streams) {
        world.judge(copy, stream.format).await;
    }
    world.totals.seeds = 1;
    world.totals.transactions = written.load(Ordering::Relaxed);
    world.totals.connections = followers.iter().map(|follower| follower.connections.load(Ordering::Relaxed)).sum();
    world.end().await
}

impl<'a> World<'a> {
    async fn new(plan: &'a Plan) -> Self {
        let settings =
            [("wal_sender_timeout", "3s"), ("logical_decoding_work_mem", "64kB"), ("deadlock_timeout", "50ms"), ("max_wal_size", "4GB")];
        let postgres = Postgres::with_settings(&settings).await;
        let to_postgres = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
        let to_service = Proxy::to(String::from("127.0.0.1:9")).await;
        let mut world = Self { plan, postgres, to_postgres, to_service, service: None, totals: Totals::default() };
        world.start_service().await;
        world
    }

    async fn start_service(&mut self) {
        let port = self.to_postgres.port().to_string();
        let arguments = ["--pgHost", "127.0.0.1", "--pgPort", &port, "--maxMessageBytes", "20000", "--pingTimeout", "10"];
        let service = Service::start_with(&self.postgres, &arguments).await;
        self.to_service.lead_to(service.url("").trim_start_matches("http://").to_owned());
        self.service = Some(service);
    }

    fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    fn weigh(&mut self) {
        let peak = self.service().peak_memory();
        assert!(peak < MEMORY, "ORACLE_SEED={}: the service took {peak} bytes: {}", self.plan.seed, self.plan);
        self.totals.peak_memory = self.totals.peak_memory.max(peak);
    }

    /// Until all is well again.
    async fn suffer(&mut self, fault: Fault, deaths: &[watch::Sender<u64>]) {
        match fault {
            Fault::KillService => {
                self.weigh();
                self.service.take().unwrap().kill().await;
                self.to_service.cut();
                self.start_service().await;
            }
            Fault::StopService => {
                self.weigh();
                self.service.take().unwrap().stop().await;
                self.start_service().await;
            }
            Fault::KillClient(stream) => deaths[stream].send_modify(|count| *count += 1),
            Fault::RestartPostgres => self.postgres.restart(StopMode::Fast).await,
            Fault::CrashPostgres => self.postgres.restart(StopMode::Immediate).await,
            Fault::CutPostgres => self.to_postgres.cut(),
            Fault::StallPostgres(time) => Self::weather(&self.to_postgres, Proxy::stall, time).await,
            Fault::SlowPostgres(time) => Self::weather(&self.to_postgres, |proxy| proxy.slow(20_000), time).await,
            Fault::RefusePostgres(time) => {
                self.to_postgres.refuse();
                self.to_postgres.cut();
                Self::weather(&self.to_postgres, Proxy::refuse, time).await;
            }
            Fault::CutClients => self.to_service.cut(),
            Fault::StallClients(time) => Self::weather(&self.to_service, Proxy::stall, time).await,
            Fault::SlowClients(time) => Self::weather(&self.to_service, |proxy| proxy.slow(20_000), time).await,
            Fault::PauseService(time) => Self::pause(self.service().pid(), time).await,
            Fault::PauseStreamer(time) => {
                let streamer = "SELECT active_pid FROM pg_replication_slots WHERE active LIMIT 1";
                if let Some(pid) = self.postgres.text(streamer).await {
                    Self::pause(pid.parse().unwrap(), time).await;
                }
            }
            Fault::EndConnection(place) => {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdeltastream%'";
                self.postgres.execute(&format!("{end} ORDER BY pid OFFSET {place} LIMIT 1")).await;
            }
            Fault::DropSlot(stream) => self.drop_slot(&self.plan.streams[stream].name).await,
        }
        let service = self.service();
        eventually("the service to be ready again", async || (service.get("/readyz").await.status == 200).then_some(())).await;
    }

    async fn weather(proxy: &Proxy, change: impl Fn(&Proxy), milliseconds: u64) {
        change(proxy);
        sleep(Duration::from_millis(milliseconds)).await;
        proxy.heal();
    }

    async fn pause(pid: u32, milliseconds: u64) {
        signal(pid, "-STOP").await;
        sleep(Duration::from_millis(milliseconds)).await;
        signal(pid, "-CONT").await;
    }

    /// Behind the service's back.
    async fn drop_slot(&self, slot: &str) {
        let drop = format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active;
             SELECT pg_drop_replication_slot('{slot}') FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT active"
        );
        for _ in 0..50 {
            let mut connection = self.postgres.connection().await;
            let _ = connection.execute(AssertSqlSafe(drop.clone())).await;
            if !self.postgres.slots().await.iter().any(|there| there == slot) {
                return;
            }
        }
    }

    /// Postgres says what is in its table and not in the copy, and the other way round.
    async fn judge(&self, copy: &Copy, format: Format) {
        let has_all = matches!(format, Format::Events | Format::ServerSentEvents);
        for (table, rows) in copy.tables() {
            // What wal2json says of other types is not what JSON would.
            let columns = if has_all { "*" } else { "n, filling" };
            let query = format!(
                "WITH copy AS (SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)), truth AS (SELECT {columns} FROM {table})
                 SELECT (SELECT count(*) FROM (TABLE truth EXCEPT ALL TABLE copy) q), (SELECT count(*) FROM (TABLE copy EXCEPT ALL TABLE truth) q)"
            );
            let mut connection = self.postgres.connection().await;
            let (missing, too_much): (i64, i64) =
                sqlx::query_as(AssertSqlSafe(query)).bind(rows.to_string()).fetch_one(&mut connection).await.unwrap();
            let seed = self.plan.seed;
            assert_eq!((missing, too_much), (0, 0), "ORACLE_SEED={seed}: {format:?}: {table}: rows missing, and too much: {}", self.plan);
        }
    }

    async fn end(mut self) -> Totals {
        self.weigh();
        self.service.take().unwrap().stop().await;
        self.totals
    }
}

async fn signal(pid: u32, signal: &str) {
    // It may have ended in between.
    let _ = tokio::process::Command::new("kill").args([signal, &pid.to_string()]).stderr(std::process::Stdio::null()).status().await;
}
