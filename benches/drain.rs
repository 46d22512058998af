//! How long a backlog takes over one websocket, against `pg_recvlogical` on a twin slot: interleaved, as ratios. `cargo bench --bench drain`,
//! or some of it: `cargo bench --bench drain -- events '1,000'` has what has one of these in its name.
//!
//! Both start at the same position of the same WAL and stop at the same transaction. `pg_recvlogical` writes to /dev/null, the websocket's
//! client counts: neither looks at what it gets.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints")]

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pgdeltastream::cluster::Cluster;
use pgdeltastream::contract::subscription::Subscription;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_tungstenite::connect_async;

mod service;

use service::Service;

const ROUNDS: usize = 5;

/// What is in the WAL: so many transactions, rows in each, bytes of text in each row.
struct Shape {
    name: &'static str,
    transactions: u32,
    rows: u32,
    bytes: u32,
}

const SHAPES: [Shape; 4] = [
    Shape { name: "1 narrow row", transactions: 100_000, rows: 1, bytes: 20 },
    Shape { name: "4 narrow rows", transactions: 60_000, rows: 4, bytes: 20 },
    Shape { name: "1,000 narrow rows", transactions: 500, rows: 1_000, bytes: 20 },
    Shape { name: "100 wide rows", transactions: 1_200, rows: 100, bytes: 1_000 },
];

/// A client's format, and what wal2json is asked for on the other side.
struct Race {
    name: &'static str,
    format: &'static str,
    is_plain: bool,
}

/// Events are also held against the least that is format 2.
const RACES: [Race; 4] = [
    Race { name: "v1", format: "wal2json-v1", is_plain: false },
    Race { name: "v2", format: "wal2json-v2", is_plain: false },
    Race { name: "events", format: "events", is_plain: false },
    Race { name: "events, plain v2", format: "events", is_plain: true },
];

impl Race {
    /// What the other side asks wal2json for: the very options that the service gives, or the least.
    fn options(&self) -> Vec<String> {
        if self.is_plain {
            return vec![String::from("format-version=2")];
        }
        let parameters = [("slotName", "any"), ("format", self.format)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = Subscription::read(parameters.to_vec()).unwrap().options.render();
        options.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// What is asked for on the command line: parts of names. Nothing is everything.
fn is_chosen(shape: &Shape, race: &Race) -> bool {
    let name = format!("{}, {}", shape.name, race.name);
    let mut parts = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start(&[("max_wal_size", "4GB"), ("shared_buffers", "256MB"), ("autovacuum", "off")]).unwrap();
        println!(
            "{:<18} {:<16} {:>8} {:>14} {:>12} {:>7} {:>15}",
            "transactions of", "format", "changes", "pg_recvlogical", "websocket", "ratio", "(of each round)"
        );
        for shape in &SHAPES {
            let races: Vec<&Race> = RACES.iter().filter(|race| is_chosen(shape, race)).collect();
            if !races.is_empty() {
                measure(&cluster, shape, &races).await;
            }
        }
    });
}

async fn measure(cluster: &Cluster, shape: &Shape, races: &[&Race]) {
    let mut database = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let Shape { transactions, rows, bytes, .. } = shape;
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
    for (index, race) in races.iter().enumerate() {
        if index == 0 {
            // Which warms the caches.
            round(cluster, &mut database, &service, shape, race, &end).await;
        }
        run(cluster, &mut database, &service, shape, race, &end).await;
    }
    execute(&mut database, &drop_slots("origin")).await;
}

async fn run(cluster: &Cluster, database: &mut PgConnection, service: &Service, shape: &Shape, race: &Race, end: &str) {
    let (mut theirs, mut ours, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (their, our) = round(cluster, database, service, shape, race, end).await;
        theirs.push(their);
        ours.push(our);
        ratios.push(our.as_secs_f64() / their.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let spread = format!("{:.2} – {:.2}", ratios.first().unwrap(), ratios.last().unwrap());
    let (ratio, changes) = (ratios.get(ROUNDS / 2).unwrap(), shape.transactions * shape.rows);
    let (theirs, ours) = (median(theirs), median(ours));
    println!("{:<18} {:<16} {changes:>8} {theirs:>11} ms {ours:>9} ms {ratio:>7.2} {spread:>15}", shape.name, race.name);
}

/// How long each side takes. Each has a copy of the same slot, which nobody has read from.
async fn round(
    cluster: &Cluster,
    database: &mut PgConnection,
    service: &Service,
    shape: &Shape,
    race: &Race,
    end: &str,
) -> (Duration, Duration) {
    for copy in ["drop_their_twin", "drop_our_twin"] {
        execute(database, &format!("SELECT pg_copy_logical_replication_slot('origin', '{copy}')")).await;
    }
    let theirs = recvlogical(cluster, "drop_their_twin", &race.options(), end);
    let ours = drain(service, "drop_our_twin", race.format, shape.transactions).await;
    execute(database, &drop_slots("drop\\_%")).await;
    (theirs, ours)
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
fn recvlogical(cluster: &Cluster, slot: &str, options: &[String], end: &str) -> Duration {
    let started = Instant::now();
    let mut command = Command::new("pg_recvlogical");
    command.args(["--dbname", &cluster.url("postgres"), "--slot", slot, "--start", "--no-loop", "--file", "/dev/null"]);
    command.args(["--endpos", end, "--status-interval", "0", "--fsync-interval", "0"]);
    command.args(options.iter().flat_map(|option| ["--option", option]));
    assert!(command.status().unwrap().success());
    started.elapsed()
}

/// From the handshake to the last transaction.
async fn drain(service: &Service, slot: &str, format: &str, transactions: u32) -> Duration {
    let started = Instant::now();
    let (mut socket, _) = connect_async(format!("ws://{}/v1/lr/stream?slotName={slot}&format={format}", service.address)).await.unwrap();
    let mut left = transactions;
    while left > 0 {
        let message = socket.next().await.unwrap().unwrap();
        // With this, and only with this, the last message of a transaction begins.
        if message.into_data().starts_with(if format == "wal2json-v2" { br#"{"action":"C""# } else { br#"{"nextlsn":""# }) {
            left -= 1;
        }
    }
    let taken = started.elapsed();
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    taken
}
