//! A transaction that is too long for one message, or for wal2json, is read in chunks, and comes out as the same text.

use serde_json::{Value, json};

use crate::harness::{Client, Postgres, Service, eventually};

/// Reads messages up to one with a position: the changes of all of them, how many there were, and the position.
async fn transaction(client: &mut Client) -> (Vec<Value>, usize, String) {
    let (mut changes, mut messages) = (vec![], 0);
    loop {
        let message = client.next().await;
        changes.extend(message["change"].as_array().unwrap().iter().cloned());
        messages += 1;
        if let Some(position) = message["nextlsn"].as_str() {
            return (changes, messages, position.to_owned());
        }
    }
}

fn ids(changes: &[Value]) -> Vec<u64> {
    changes.iter().map(|change| change["columnvalues"][0].as_u64().unwrap_or_else(|| panic!("{change}"))).collect()
}

#[tokio::test]
async fn the_stream_goes_on_exactly_there_and_back_to_whole_transactions() {
    let postgres = Postgres::start().await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "3000"]).await;
    postgres.execute("CREATE TABLE t (id integer)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES (0)").await;
    assert_eq!(ids(&transaction(&mut client).await.0), [0]);
    // In one place after the last commit: only what was not sent before the wire was taken up anew may come after.
    postgres.execute("SELECT pg_logical_emit_message(false, 'p', 'before'); INSERT INTO t SELECT generate_series(1, 100)").await;
    assert_eq!(client.next().await["change"][0]["content"], "before");
    let (changes, messages, position) = transaction(&mut client).await;
    assert!(messages > 3 && ids(&changes).into_iter().eq(1..=100), "{messages}");
    service.logged("reading in chunks").await;
    client.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    // Short ones, of which some are empty and some are messages, until it is whole transactions again.
    let block = "DO $$ BEGIN FOR n IN 1..1100 LOOP INSERT INTO t VALUES (n); COMMIT; END LOOP; END $$";
    postgres.execute(block).await;
    postgres.execute("SELECT pg_logical_emit_message(false, 'p', 'after')").await;
    for n in 1..=1100 {
        let (changes, messages, _) = transaction(&mut client).await;
        assert_eq!((ids(&changes), messages), (vec![n], 1));
    }
    service.logged("reading whole ones").await;
    assert_eq!(client.next().await["change"][0]["content"], "after");
    postgres.execute("INSERT INTO t SELECT generate_series(1, 100)").await;
    assert_eq!(ids(&transaction(&mut client).await.0).len(), 100, "and in chunks again");
    service.stop().await;
}

#[tokio::test]
async fn a_transaction_over_one_gigabyte_is_read_in_bounded_memory() {
    let postgres = Postgres::with_settings(&[("logical_decoding_work_mem", "64MB")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (id integer, filling text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    // Easily compressed, so that the WAL is small; wal2json writes it out.
    postgres.execute("INSERT INTO t SELECT n, repeat('x', 1000000) FROM generate_series(1, 1100) n").await;
    postgres.execute("INSERT INTO t VALUES (0, 'after')").await;
    let (mut bytes, mut count, mut messages) = (0, 0, 0);
    loop {
        let text = client.text().await;
        assert!(text.len() <= 16 * 1024 * 1024, "{}", text.len());
        bytes += text.len();
        count += text.matches(r#"{"kind":"insert""#).count();
        messages += 1;
        if text.starts_with(r#"{"nextlsn""#) {
            break;
        }
    }
    assert!(bytes > 1_100_000_000 && count == 1100 && messages > 65, "{bytes} {count} {messages}");
    assert_eq!(ids(&transaction(&mut client).await.0), [0]);
    let peak = service.peak_memory();
    assert!(peak < 72 * 1024 * 1024, "{peak} bytes");
    service.stop().await;
}

#[tokio::test]
async fn a_row_over_the_limit_closes_the_stream_and_says_so() {
    let postgres = Postgres::start().await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "1000", "--maxRowBytes", "100000"]).await;
    postgres.execute("CREATE TABLE t (id integer, filling text)").await;
    let slot = service.init().await;
    postgres.execute("INSERT INTO t VALUES (1, repeat('x', 50000))").await;
    postgres.execute("INSERT INTO t VALUES (2, repeat('x', 150000))").await;
    for format in ["wal2json-v1", "wal2json-v2", "events"] {
        let mut client = service.stream_with(&slot, &[("format", format)]).await.unwrap();
        assert!(client.text().await.contains(if format == "wal2json-v2" { r#""action":"B""# } else { "xxxx" }), "{format}");
        let closed = client.closed().await;
        closed.assert_code(1011);
        assert!(closed.reason.starts_with("row_too_large"), "{}", closed.reason);
    }
    service.stop().await;
}

#[tokio::test]
async fn what_was_begun_is_sent_to_its_end_whatever_the_client_claims() {
    const ROWS: usize = 30_000;
    let postgres = Postgres::start().await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "1000"]).await;
    postgres.execute("CREATE TABLE t (id integer, filling text)").await;
    let slot = service.init().await;
    // More than what fits between the service and a client that reads nothing.
    postgres.execute(&format!("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, {ROWS}) n")).await;
    postgres.execute("INSERT INTO t VALUES (0, 'claimed')").await;
    let end = postgres.text("SELECT pg_current_wal_insert_lsn()").await.unwrap();
    postgres.execute("INSERT INTO t VALUES (0, 'after')").await;
    let mut client = service.stream(&slot).await;
    let mut message = client.next().await;
    assert!(message["nextlsn"].is_null());
    client.acknowledge(&end).await;
    let mut rows = 0;
    loop {
        rows += message["change"].as_array().unwrap().len();
        if message["nextlsn"].is_string() {
            break;
        }
        message = client.next().await;
    }
    assert_eq!(rows, ROWS);
    assert_eq!(client.transaction().await.0[0]["columnvalues"], json!([0, "after"]));
    service.stop().await;
}

#[tokio::test]
async fn a_change_of_gear_takes_no_more_processes_than_there_are() {
    let postgres = Postgres::with_settings(&[("max_wal_senders", "1")]).await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "1000"]).await;
    postgres.execute("CREATE TABLE t (id integer)").await;
    let slot = service.init().await;
    for _ in 0..5 {
        let mut client = service.stream(&slot).await;
        postgres.execute("INSERT INTO t SELECT generate_series(1, 100)").await;
        let (changes, messages, position) = transaction(&mut client).await;
        assert!(changes.len() == 100 && messages > 1);
        client.acknowledge(&position).await;
        client.leave().await;
    }
    service.stop().await;
}

#[tokio::test]
async fn a_slot_that_is_dropped_while_the_gear_is_changed_is_gone() {
    let postgres = Postgres::start().await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "1000"]).await;
    postgres.execute("CREATE TABLE t (id integer)").await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    // Whoever changes the gear must log in anew, which takes a while; so the slot is often free, and never for long.
    let dropping = async {
        let drop =
            format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT active");
        let mut connection = postgres.connection().await;
        crate::harness::in_time("the slot to be free", async {
            loop {
                postgres.execute("INSERT INTO t SELECT generate_series(1, 100)").await;
                let row = sqlx::query(sqlx::AssertSqlSafe(drop.as_str())).fetch_optional(&mut connection).await;
                if matches!(row, Ok(Some(_))) {
                    return;
                }
            }
        })
        .await;
    };
    let (closed, ()) = tokio::join!(client.closed(), dropping);
    closed.assert_code(4410);
}
