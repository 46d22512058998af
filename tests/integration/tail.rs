//! `pgdeltastream tail` of a real service: the snapshot, then every change, for people and for programs.

use std::process::Output;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{Postgres, Service, in_time, start};

const TABLES: &str = r#"
    CREATE TABLE t (id integer PRIMARY KEY, price numeric);
    INSERT INTO t VALUES (1, 1.50), (2, 12345678901234567890.10);
    CREATE SCHEMA shop;
    CREATE TABLE shop."Line Items" (id integer PRIMARY KEY);
    INSERT INTO shop."Line Items" VALUES (7);
    CREATE TABLE parted (id integer PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    INSERT INTO parted VALUES (3), (13);
    CREATE VIEW seen AS SELECT * FROM t;
    CREATE UNLOGGED TABLE unlogged (id integer);
    INSERT INTO unlogged VALUES (1);
"#;

async fn setup() -> (Postgres, Service, String) {
    let (postgres, service) = start().await;
    postgres.execute(TABLES).await;
    let slot = service.init().await;
    (postgres, service, slot)
}

async fn output(mut command: Command) -> Output {
    in_time("tail to end", command.output()).await.unwrap()
}

fn lines(output: &Output) -> Vec<&str> {
    let lines = std::str::from_utf8(&output.stdout).unwrap();
    assert!(lines.is_empty() || lines.ends_with('\n'), "{lines}");
    lines.lines().collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn rows_come_first_and_then_every_change_that_came_after_them() {
    let (postgres, service, slot) = setup().await;
    postgres.execute("INSERT INTO t VALUES (3, NULL); DELETE FROM shop.\"Line Items\"").await;
    let output = output(service.tail(&slot, &["--snapshot", "--limit", "1"])).await;
    assert!(output.status.success(), "{}", errors(&output));
    let lines = lines(&output);
    let (rows, changes) = lines.split_at(5);
    let expected = [
        r#"{"schema":"public","table":"high","row":{"id":13}}"#,
        r#"{"schema":"public","table":"low","row":{"id":3}}"#,
        r#"{"schema":"public","table":"t","row":{"id":1,"price":1.50}}"#,
        r#"{"schema":"public","table":"t","row":{"id":2,"price":12345678901234567890.10}}"#,
        r#"{"schema":"shop","table":"Line Items","row":{"id":7}}"#,
    ];
    assert_eq!(rows, expected, "a partition's rows once, and none of what is not streamed");
    assert_eq!(changes.len(), 1);
    let change: Value = serde_json::from_str(changes[0]).unwrap();
    assert_eq!(change["change"].as_array().unwrap().len(), 2);
    assert_eq!(errors(&output), "");
    service.stop().await;
}

#[tokio::test]
async fn rows_are_those_of_the_tables_that_are_asked_for() {
    let (_postgres, service, slot) = setup().await;
    for (arguments, tables) in [
        (&["--tables", "parted,shop.*"][..], &["high", "low", "Line Items"][..]),
        (&["--tables", "low,t"], &["low", "t", "t"]),
        (&["--excludeTables", "parted, shop.*"], &["t", "t"]),
        (&["--tables", "parted", "--excludeTables", "low"], &["high"]),
        (&["--tables", "elsewhere"], &[]),
    ] {
        let output = output(service.tail(&slot, &[&["--snapshot", "--limit", "0"], arguments].concat())).await;
        assert!(output.status.success(), "{}", errors(&output));
        let rows: Vec<Value> = lines(&output).into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.iter().map(|row| row["table"].as_str().unwrap()).collect::<Vec<_>>(), tables, "{arguments:?}");
    }
    let output = output(service.tail(&slot, &["--snapshot", "--tables", "a b"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("not a table") && errors(&output).contains("--tables"), "{}", errors(&output));
    service.stop().await;
}

#[tokio::test]
async fn people_see_a_change_a_line_and_what_they_saw_is_acknowledged() {
    let (postgres, service, slot) = setup().await;
    postgres.execute("BEGIN; INSERT INTO t VALUES (3, NULL); UPDATE t SET price = 2.00 WHERE id = 1; COMMIT").await;
    let tail = service.tail(&slot, &["--snapshot", "--pretty", "--ack", "--limit", "1", "--tables", "t"]);
    let output = output(tail).await;
    let lines = lines(&output);
    assert_eq!(lines[..2], ["row      t id=1 price=1.50", "row      t id=2 price=12345678901234567890.10"]);
    assert!(lines[2].contains("transaction"), "{lines:?}");
    assert_eq!(lines[3..], ["insert   t id=3 price=null", "update   t id=1 to id=1 price=2.00"]);
    let position = postgres.confirmed(&slot).await.to_string();
    assert!(lines[2].ends_with(&position), "{lines:?}");

    // The next one would not get what came between.
    let mut again = service.tail(&slot, &["--snapshot", "--limit", "0"]);
    let output = in_time("tail to end", again.output()).await.unwrap();
    assert!(errors(&output).contains("acknowledged already"), "{}", errors(&output));
    service.stop().await;
}

#[tokio::test]
async fn a_large_table_comes_whole_or_not_in_good_order() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, filling text)").await;
    postgres.execute("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 200000) n").await;
    let slot = service.init().await;
    let output = output(service.tail(&slot, &["--snapshot", "--limit", "0"])).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).is_empty(), "no progress where nobody looks: {}", errors(&output));
    let mut ids: Vec<u64> =
        lines(&output).into_iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["row"]["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=200_000));

    // Somebody who looks at the beginning only.
    let mut tail = service.tail(&slot, &["--snapshot"]).spawn().unwrap();
    let mut beginning = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(in_time("a row", beginning.next_line()).await.unwrap().is_some());
    drop(beginning);
    let output = in_time("the end", tail.wait_with_output()).await.unwrap();
    assert_eq!((output.status.code(), errors(&output).as_str()), (Some(0), ""));

    // A signal in the middle.
    let mut tail = service.tail(&slot, &["--snapshot"]).spawn().unwrap();
    let mut beginning = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(in_time("a row", beginning.next_line()).await.unwrap().is_some());
    assert!(Command::new("kill").args(["-s", "INT", &tail.id().unwrap().to_string()]).status().await.unwrap().success());
    while in_time("a row", beginning.next_line()).await.unwrap().is_some() {}
    let output = in_time("the end", tail.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("in the middle of the snapshot"), "{}", errors(&output));

    // A service that dies in the middle.
    let mut tail = service.tail(&slot, &["--snapshot"]).spawn().unwrap();
    let mut beginning = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(in_time("a row", beginning.next_line()).await.unwrap().is_some());
    service.kill().await;
    while in_time("a row", beginning.next_line()).await.unwrap().is_some() {}
    let output = in_time("the end", tail.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).starts_with("pgdeltastream: the connection was lost"), "{}", errors(&output));
}

#[tokio::test]
async fn what_cannot_be_had_is_said() {
    let (_postgres, service, slot) = setup().await;
    assert_eq!(service.delete(&format!("/v1/snapshot?slotName={slot}")).await.status, 204);
    let output = output(service.tail(&slot, &["--snapshot"])).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(errors(&output).starts_with("pgdeltastream: the service answers 410 Gone: "), "{}", errors(&output));
    service.stop().await;
}

#[tokio::test]
async fn on_a_terminal_it_is_seen_how_far_the_snapshot_is() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100000); ANALYZE").await;
    let slot = service.init().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, port) = service.url("").rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let program = env!("CARGO_BIN_EXE_pgdeltastream");
    let tail = format!("'{program}' tail {slot} --serverPort {port} --snapshot --limit 0 > rows");
    // A terminal of its own.
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &tail, "/dev/null"])
        .current_dir(folder.path())
        .env("TERM", "xterm")
        .kill_on_drop(true);
    let seen = output(script).await;
    assert!(seen.status.success(), "{seen:?}");
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(text.contains(r#""public"."t""#) && text.contains("of about 100,000 rows"), "{text}");
    assert_eq!(std::fs::read_to_string(folder.path().join("rows")).unwrap().lines().count(), 100_000);
    service.stop().await;
}

#[tokio::test]
async fn tables_that_may_not_be_read_are_named() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO app").await;
    postgres
        .execute(
            "CREATE TABLE mine (id integer); INSERT INTO mine VALUES (1); GRANT SELECT ON mine TO app; CREATE TABLE hidden (id integer)",
        )
        .await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    let made = service.create(json!({})).await;
    let output = output(service.tail(made["slotName"].as_str().unwrap(), &["--snapshot", "--limit", "0"])).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(lines(&output), [r#"{"schema":"public","table":"mine","row":{"id":1}}"#]);
    assert!(errors(&output).contains("hidden") && errors(&output).contains("may not read"), "{}", errors(&output));
    service.stop().await;
}
