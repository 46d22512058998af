//! How long a backlog takes over one websocket, against `pg_recvlogical` on a twin slot: interleaved, as ratios. `cargo bench --bench drain`
//!
//! Both start at the same position of the same WAL and stop at the same transaction. `pg_recvlogical` writes to /dev/null, the websocket's
//! client counts: neither looks at what it gets.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pgdeltastream::cluster::Cluster;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_tungstenite::connect_async;

const ROUNDS: usize = 7;

/// Name, transactions, rows in each, bytes of text in each row.
const SHAPES: [(&str, u32, u32, u32); 4] = [
    ("1 narrow row", 100_000, 1, 20),
    ("4 narrow rows", 60_000, 4, 20),
    ("1,000 narrow rows", 500, 1_000, 20),
    ("100 wide rows", 1_200, 100, 1_000),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start(&[("max_wal_size", "4GB"), ("shared_buffers", "256MB"), ("autovacuum", "off")]).unwrap();
        println!(
            "{:<20} {:>9} {:>15} {:>12} {:>7} {:>15}",
            "transactions of", "changes", "pg_recvlogical", "websocket", "ratio", "(of each round)"
        );
        for (name, transactions, rows, bytes) in SHAPES {
            measure(&cluster, name, transactions, rows, bytes).await;
        }
    });
}

async fn measure(cluster: &Cluster, name: &str, transactions: u32, rows: u32, bytes: u32) {
    let mut database = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    execute(&mut database, "DROP TABLE IF EXISTS t; CREATE TABLE t (id integer, filling text)").await;
    execute(&mut database, "SELECT pg_create_logical_replication_slot('origin', 'wal2json')").await;
    let fill = format!(
        "DO $$ BEGIN FOR n IN 1..{transactions} LOOP
             INSERT INTO t SELECT g, repeat('x', {bytes}) FROM generate_series(1, {rows}) g; COMMIT;
         END LOOP; END $$"
    );
    execute(&mut database, &fill).await;
    let end: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(&mut database).await.unwrap();
    let service = Service::start(cluster);
    let (mut theirs, mut ours, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        // Each side has a copy of the same slot, which nobody has read from.
        for copy in ["drop_their_twin", "drop_our_twin"] {
            execute(&mut database, &format!("SELECT pg_copy_logical_replication_slot('origin', '{copy}')")).await;
        }
        let (their, our) = (recvlogical(cluster, "drop_their_twin", &end), service.drain("drop_our_twin", transactions).await);
        execute(&mut database, &drop_slots("drop\\_%")).await;
        // The first round warms the caches.
        if round > 0 {
            theirs.push(their);
            ours.push(our);
            ratios.push(our.as_secs_f64() / their.as_secs_f64());
        }
    }
    ratios.sort_by(f64::total_cmp);
    let spread = format!("{:.2} – {:.2}", ratios.first().unwrap(), ratios.last().unwrap());
    let ratio = ratios.get(ROUNDS / 2).unwrap();
    println!("{name:<20} {:>9} {:>12} ms {:>9} ms {ratio:>7.2} {spread:>15}", transactions * rows, median(theirs), median(ours));
    execute(&mut database, &drop_slots("origin")).await;
}

fn drop_slots(like: &str) -> String {
    format!(
        "DO $$ DECLARE slot record; BEGIN FOR slot IN SELECT slot_name AS name FROM pg_replication_slots WHERE slot_name LIKE '{like}' LOOP
             LOOP BEGIN PERFORM pg_drop_replication_slot(slot.name); EXIT;
             EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.01); END; END LOOP;
         END LOOP; END $$"
    )
}

async fn execute(database: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database).await.unwrap();
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort();
    times.get(times.len() / 2).unwrap().as_millis()
}

/// From start to end of the program, which stops at the position.
fn recvlogical(cluster: &Cluster, slot: &str, end: &str) -> Duration {
    let started = Instant::now();
    let mut command = Command::new("pg_recvlogical");
    command.args(["--dbname", &cluster.url("postgres"), "--slot", slot, "--start", "--no-loop", "--file", "/dev/null"]);
    command.args(["--endpos", end, "--option", "include-lsn=on", "--option", "pretty-print=off"]);
    command.args(["--option", "filter-tables=pgdeltastream.*", "--status-interval", "0", "--fsync-interval", "0"]);
    assert!(command.status().unwrap().success());
    started.elapsed()
}

/// The service, as it is shipped.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(cluster: &Cluster) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
        command.args(["--pgHost", cluster.host(), "--pgPort", &cluster.port().to_string(), "--serverPort", "0"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.find_map(|line| line.unwrap().split_once("address=").map(|(_, address)| address.to_owned()));
        // What it says from now on is to be read, or it would wait for that.
        std::thread::spawn(move || lines.count());
        Self { child, address: listening.expect("the service listens") }
    }

    /// From the handshake to the last transaction.
    async fn drain(&self, slot: &str, transactions: u32) -> Duration {
        let started = Instant::now();
        let (mut socket, _) = connect_async(format!("ws://{}/v1/lr/stream?slotName={slot}", self.address)).await.unwrap();
        let mut left = transactions;
        while left > 0 {
            if socket.next().await.unwrap().unwrap().is_text() {
                left -= 1;
            }
        }
        let taken = started.elapsed();
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
        taken
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
