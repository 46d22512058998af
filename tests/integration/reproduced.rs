//! Snapshot and stream together make the tables, whatever is written meanwhile: applied by a client that knows no more than what it is told, and
//! judged by Postgres.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::{Client, Postgres, Service, eventually, start};

const ROUNDS: u32 = 20;
const WRITERS: u64 = 4;

const TABLES: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE plain (id bigint PRIMARY KEY, x text, n numeric, at timestamptz, flags boolean[]);
CREATE TABLE composite (k1 text, k2 uuid, j jsonb, b bytea, d double precision, PRIMARY KEY (k2, k1));
CREATE TABLE whole (x integer, y text, z interval);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE parted (id integer PRIMARY KEY, mood mood, tags text[]) PARTITION BY HASH (id);
CREATE TABLE parted0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO plain SELECT n, repeat(md5(n::text), n % 200), n / 3.0, now(), ARRAY[n % 2 = 0, NULL] FROM generate_series(1, 2000) n;
INSERT INTO composite SELECT n::text, gen_random_uuid(), jsonb_build_object('n', n), decode(md5(n::text), 'hex'), n / 7.0 FROM generate_series(1, 2000) n;
INSERT INTO whole SELECT n % 50, md5(n::text), n * interval '1 minute' FROM generate_series(1, 300) n;
INSERT INTO parted SELECT n, 'ok', ARRAY[n::text, 'a \"b\" \\', NULL] FROM generate_series(1, 2000) n";

/// The tables, each with its key; none where the whole row tells.
const KEYS: [(&str, &[&str]); 5] =
    [("plain", &["id"]), ("composite", &["k2", "k1"]), ("whole", &[]), ("parted0", &["id"]), ("parted1", &["id"])];

/// One transaction, by chance: new rows, changed rows and keys, rows that go, and work that is taken back.
fn transaction(chance: u64) -> String {
    let (a, b) = (chance % 2500, chance / 7 % 2500);
    let statement = match chance / 11 % 12 {
        0 => format!(
            "INSERT INTO plain SELECT max(id) + 1, repeat(md5('{a}'), {}), {b}, now(), NULL FROM plain WHERE id < 100000 ON CONFLICT DO NOTHING",
            a % 300
        ),
        1 => format!("UPDATE plain SET n = n + 0.01, flags = flags || true WHERE id BETWEEN {a} AND {a} + 3"),
        2 => format!("UPDATE plain SET id = id + 100000 WHERE id = {a} AND NOT EXISTS (SELECT FROM plain WHERE id = {a} + 100000)"),
        3 => format!("DELETE FROM plain WHERE id % 2500 = {a}"),
        4 => format!(
            "INSERT INTO composite VALUES ('{a}', gen_random_uuid(), '[{b}, null, {{\"ä\": \"\\n\"}}]', '\\x00{:02x}', {b} / 3.0)",
            a % 256
        ),
        5 => format!("UPDATE composite SET j = j || '{{\"m\": {b}}}', d = d * 2 WHERE k1 = '{a}'"),
        6 => format!("DELETE FROM composite WHERE k1 = '{a}'"),
        7 => format!("INSERT INTO whole VALUES ({}, NULL, '{b} hours'); UPDATE whole SET y = md5('{b}') WHERE x = {}", a % 50, b % 50),
        8 => format!("DELETE FROM whole WHERE x = {} AND y > '8'", a % 50),
        9 => format!("INSERT INTO parted VALUES ({a} + 2000, 'sad', '{{}}') ON CONFLICT (id) DO UPDATE SET mood = 'happy'"),
        10 => format!("DELETE FROM parted WHERE id BETWEEN {a} AND {a} + 5; INSERT INTO parted SELECT {a}, 'ok' ON CONFLICT DO NOTHING"),
        _ => format!("UPDATE parted SET tags = tags || '{b}' WHERE id BETWEEN {a} AND {a} + 30"),
    };
    let end = if chance.is_multiple_of(13) { "ROLLBACK" } else { "COMMIT" };
    format!("BEGIN; {statement}; {statement}; {end}")
}

/// What a client keeps: each table's rows by what tells them apart, with how many there are of each.
#[derive(Default)]
struct Copy(BTreeMap<&'static str, BTreeMap<String, (Value, usize)>>);

impl Copy {
    fn table(&mut self, name: &str) -> (&mut BTreeMap<String, (Value, usize)>, &'static [&'static str]) {
        let (name, key) = KEYS.iter().find(|(table, _)| *table == name).unwrap();
        (self.0.entry(name).or_default(), key)
    }

    fn identity(row: &Value, key: &[&str]) -> String {
        if key.is_empty() { row.to_string() } else { key.iter().map(|column| row[column].to_string()).collect::<Vec<_>>().join(" ") }
    }

    fn insert(&mut self, table: &str, row: Value) {
        let (rows, key) = self.table(table);
        let there = rows.entry(Self::identity(&row, key)).or_insert((row, 0));
        there.1 += 1;
        assert!(key.is_empty() || there.1 == 1, "{table}: twice {there:?}");
    }

    fn remove(&mut self, table: &str, identity: &Value) -> Value {
        let (rows, key) = self.table(table);
        let name = Self::identity(identity, key);
        let there = rows.get_mut(&name).unwrap_or_else(|| panic!("{table}: there is no {identity}"));
        there.1 -= 1;
        let row = there.0.clone();
        if there.1 == 0 {
            rows.remove(&name);
        }
        row
    }

    fn apply(&mut self, event: &Value) {
        let table = event["table"].as_str().unwrap();
        let before = if event["old"].is_object() { &event["old"] } else { &event["key"] };
        match event["op"].as_str().unwrap() {
            "insert" => self.insert(table, event["new"].clone()),
            "delete" => drop(self.remove(table, before)),
            "truncate" => self.table(table).0.clear(),
            "update" => {
                let mut new = event["new"].clone();
                let old = self.remove(table, if before.is_null() { &event["new"] } else { before });
                for column in event["unchanged"].as_array().into_iter().flatten() {
                    let column = column.as_str().unwrap();
                    new[column] = old[column].clone();
                }
                assert!(event.get("unchangedUnknown").is_none(), "{event}");
                self.insert(table, new);
            }
            other => panic!("{other}"),
        }
    }

    fn rows(&self, table: &str) -> Value {
        let rows = self.0.get(table).into_iter().flat_map(|rows| rows.values());
        rows.flat_map(|(row, count)| std::iter::repeat_n(row.clone(), *count)).collect()
    }
}

/// Reads the snapshot by all ways that there are.
async fn snapshot(service: &Service, slot: &str, copy: &mut Copy) {
    for (table, key) in KEYS {
        let request = json!({"slotName": slot, "table": table, "numbers": "string"});
        if key.is_empty() {
            for offset in (0..).step_by(100) {
                let mut page = request.clone();
                page["offset"] = json!(offset);
                page["limit"] = json!(100);
                let rows = service.rows(page).await;
                if rows.is_empty() {
                    break;
                }
                rows.into_iter().for_each(|row| copy.insert(table, row));
            }
        } else if table == "composite" {
            let mut page = request.clone();
            page["limit"] = json!(300);
            loop {
                let rows = service.rows(page.clone()).await;
                let Some(last) = rows.last() else { break };
                page["after"] = key.iter().map(|column| ((*column).to_owned(), last[column].clone())).collect();
                rows.into_iter().for_each(|row| copy.insert(table, row));
            }
        } else {
            let lines = service.lines(request).await;
            assert_eq!(lines.status, 200, "{}", lines.text);
            lines.text.lines().for_each(|line| copy.insert(table, serde_json::from_str(line).unwrap()));
        }
    }
}

/// Applies all up to a position.
async fn follow(client: &mut Client, copy: &mut Copy, end: pgdeltastream::lsn::Lsn) {
    let mut parts = vec![];
    loop {
        let message = client.next().await;
        parts.extend(message["events"].as_array().unwrap().clone());
        let Some(position) = message["nextlsn"].as_str() else { continue };
        let is_marker = parts.iter().any(|event| event["op"] == "message" && event["content"] == "end");
        parts.drain(..).filter(|event| event["op"] != "message").for_each(|event| copy.apply(&event));
        client.acknowledge(position).await;
        if is_marker {
            assert!(position.parse::<pgdeltastream::lsn::Lsn>().unwrap() >= end);
            return;
        }
    }
}

/// Postgres says what is in its table and not in the copy, and the other way round.
async fn judge(postgres: &Postgres, copy: &Copy, what: &str) {
    for (table, _) in KEYS {
        let query = format!(
            "WITH copy AS (SELECT * FROM json_populate_recordset(NULL::{table}, $1::json))
             SELECT (SELECT count(*) FROM (TABLE {table} EXCEPT ALL TABLE copy) q), (SELECT count(*) FROM (TABLE copy EXCEPT ALL TABLE {table}) q), count(*) FROM {table}"
        );
        let rows = copy.rows(table).to_string();
        let judged: (i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(query)).bind(rows).fetch_one(&mut postgres.connection().await).await.unwrap();
        assert_eq!((judged.0, judged.1), (0, 0), "{what}: {table}: missing and too much, of {}", judged.2);
        assert!(judged.2 > 0, "{what}: {table} is empty");
    }
}

#[tokio::test]
async fn the_tables_are_reproduced_again_and_again() {
    let (postgres, service) = start().await;
    postgres.execute(TABLES).await;
    let (stopped, written, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    for round in 0..ROUNDS {
        stopped.store(false, Ordering::Relaxed);
        let writing = (0..WRITERS).map(async |writer| {
            let mut connection = postgres.connection().await;
            let mut chance = u64::from(round) * 1_000 + writer;
            while !stopped.load(Ordering::Relaxed) {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Two writers may be in each other's way, which is an error to one of them and no matter here.
                let done = connection.execute(AssertSqlSafe(transaction(chance >> 33))).await;
                if done.is_err() {
                    connection.execute("ROLLBACK").await.unwrap();
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let copying = async {
            let slot = format!("round_{round}");
            service.create(json!({"name": slot, "tables": ["plain", "composite", "whole", "parted"]})).await;
            let mut copy = Copy::default();
            let client = service.stream_with(&slot, &[("format", "events"), ("numbers", "string")]).await.unwrap();
            snapshot(&service, &slot, &mut copy).await;
            service.delete(&format!("/v1/snapshot?slotName={slot}")).await;
            // They go on for a while, with changes that only the stream has.
            let enough = written.load(Ordering::Relaxed) + 200;
            eventually("more to be written", async || (written.load(Ordering::Relaxed) >= enough).then_some(())).await;
            stopped.store(true, Ordering::Relaxed);
            (slot, copy, client)
        };
        let (_, (slot, mut copy, mut client)) = futures_util::join!(futures_util::future::join_all(writing), copying);
        let end = postgres.written().await;
        postgres.execute("SELECT pg_logical_emit_message(true, 'test', 'end')").await;
        follow(&mut client, &mut copy, end).await;
        judge(&postgres, &copy, &format!("round {round}, after {} transactions", written.load(Ordering::Relaxed))).await;
        client.leave().await;
        assert_eq!(service.delete(&format!("/v1/streams/{slot}")).await.status, 204);
    }
    let (written, failed) = (written.into_inner(), failed.into_inner());
    assert!(failed * 10 < written, "{failed} of {written} transactions failed");
    service.stop().await;
}
