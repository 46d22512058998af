//! Tables become parts of others, lose columns, go: while they are streamed, and before what happened to them is read.

use std::time::Duration;

use pgdeltastream::cluster::StopMode;
use serde_json::{Value, json};

use crate::harness::{Client, Postgres, Proxy, Service, eventually, start};

const FORMATS: [&str; 3] = ["wal2json-v1", "wal2json-v2", "events"];

/// Reads up to the message `end`; returns what was told before that, as one text.
async fn up_to_end(client: &mut Client) -> String {
    let mut all = String::new();
    loop {
        let text = client.text().await;
        if text.contains(r#""prefix":"end""#) {
            return all;
        }
        // In format 2, the begin of the end comes first.
        if !text.starts_with(r#"{"action":"B""#) && !text.starts_with(r#"{"action":"C""#) {
            all.push_str(&text);
        }
    }
}

async fn end(postgres: &Postgres) {
    postgres.execute("SELECT pg_logical_emit_message(true, 'end', '')").await;
}

async fn stream(service: &Service, slot: &str, parameters: &[(&str, &str)]) -> Client {
    service.stream_with(slot, parameters).await.unwrap_or_else(|answer| panic!("{answer:?}"))
}

#[tokio::test]
async fn a_table_that_is_attached_later_is_a_partition_from_then_on() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE TABLE root (id integer PRIMARY KEY, name text) PARTITION BY RANGE (id); CREATE TABLE note (version integer)")
        .await;
    for (round, format) in FORMATS.into_iter().enumerate() {
        let (table, low) = (format!("p{round}"), round * 100);
        postgres.execute(&format!("CREATE TABLE {table} (id integer PRIMARY KEY, name text)")).await;
        let slot = service.init().await;
        let mut client = stream(&service, &slot, &[("format", format), ("tables", "root")]).await;
        postgres.execute(&format!("INSERT INTO {table} VALUES ({low}, 'loaded')")).await;
        end(&postgres).await;
        assert_eq!(up_to_end(&mut client).await, "", "{format}: it is no partition yet");
        // As tools do that write down what they have done.
        let attach = format!("ALTER TABLE root ATTACH PARTITION {table} FOR VALUES FROM ({low}) TO ({})", low + 100);
        postgres.execute(&format!("BEGIN; {attach}; INSERT INTO note VALUES ({round}); COMMIT")).await;
        postgres.execute(&format!("INSERT INTO root VALUES ({}, 'through root')", low + 1)).await;
        end(&postgres).await;
        let told = up_to_end(&mut client).await;
        assert!(told.contains("through root") && !told.contains("note"), "{format}: {told}");
        client.leave().await;
    }
    service.stop().await;
}

#[tokio::test]
async fn a_partition_that_is_made_and_filled_in_one_transaction_is_known_once_that_is_seen() {
    let mut postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE DOMAIN whole AS integer; CREATE TABLE root (id integer, list integer[]) PARTITION BY RANGE (id)").await;
    // Commits are written, and wait for a standby that never comes until somebody gives up on it: all that time nobody sees them but wal2json.
    postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    postgres.restart(StopMode::Fast).await;
    let service = Service::start(&postgres).await;
    let slot = service.init().await;
    let mut client = stream(&service, &slot, &[("format", "events"), ("tables", "root")]).await;
    let waiting = postgres
        .execute("BEGIN; CREATE TABLE p PARTITION OF root FOR VALUES FROM (0) TO (10); INSERT INTO root VALUES (1, '{1,2}'); COMMIT");
    let releasing = async {
        let is_waiting = "SELECT true FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("a commit to wait for the standby", async || postgres.text(is_waiting).await).await;
        assert!(client.is_silent().await, "whose it is cannot be told yet");
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = ''").await;
        postgres.execute("SELECT pg_reload_conf()").await;
    };
    tokio::join!(waiting, releasing);
    let message = client.next().await;
    assert_eq!((&message["events"][0]["root"], &message["events"][0]["new"]), (&json!("root"), &json!({"id": 1, "list": [1, 2]})));
    service.stop().await;
}

#[tokio::test]
async fn what_the_catalogue_said_counts_only_for_transactions_that_it_had_seen() {
    let mut postgres = Postgres::with_settings(&[]).await;
    postgres
        .execute("CREATE TABLE root (id integer) PARTITION BY RANGE (id); CREATE TABLE p (id integer); CREATE TABLE other (id integer)")
        .await;
    postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    postgres.restart(StopMode::Fast).await;
    let service = Service::start(&postgres).await;
    let slot = service.init().await;
    let local = "SET synchronous_commit = local;";
    let waiting =
        postgres.execute("BEGIN; ALTER TABLE root ATTACH PARTITION p FOR VALUES FROM (0) TO (10); INSERT INTO root VALUES (1); COMMIT");
    let reading = async {
        let is_waiting = "SELECT true FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("a commit to wait for the standby", async || postgres.text(is_waiting).await).await;
        // In the order of the stream, what waits comes first; what comes after it asks the catalogue, which has not seen it.
        postgres.execute(&format!("{local} INSERT INTO other VALUES (1)")).await;
        let mut client = stream(&service, &slot, &[("format", "wal2json-v2"), ("tables", "root")]).await;
        assert!(client.is_silent().await);
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = ''").await;
        postgres.execute("SELECT pg_reload_conf()").await;
        client
    };
    let ((), mut client) = tokio::join!(waiting, reading);
    end(&postgres).await;
    assert!(up_to_end(&mut client).await.contains(r#""table":"p""#));
    postgres.execute("CREATE TABLE q (id integer); INSERT INTO q VALUES (11)").await;
    end(&postgres).await;
    assert_eq!(up_to_end(&mut client).await, "");
    postgres.execute("BEGIN; ALTER TABLE root ATTACH PARTITION q FOR VALUES FROM (10) TO (20); INSERT INTO root VALUES (12); COMMIT").await;
    end(&postgres).await;
    assert!(up_to_end(&mut client).await.contains(r#""table":"q""#), "made, left out, and attached");
    service.stop().await;
}

#[tokio::test]
async fn a_column_that_is_renamed_or_dropped_is_not_told_under_its_old_name() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL").await;
    let slot = service.init().await;
    let mut client = stream(&service, &slot, &[("format", "events")]).await;
    postgres.execute("INSERT INTO t VALUES (1, 0, repeat('x', 3000))").await;
    assert!(client.next().await["events"][0]["new"]["big"].is_string());
    for (alter, unchanged) in [("RENAME big TO huge", json!(["huge"])), ("DROP huge", Value::Null)] {
        postgres.execute(&format!("ALTER TABLE t {alter}")).await;
        // What is known of a table is looked at again now and then.
        eventually(alter, async || {
            postgres.execute("UPDATE t SET n = n + 1").await;
            (client.next().await["events"][0]["unchanged"] == unchanged).then_some(())
        })
        .await;
    }
    service.stop().await;
}

#[tokio::test]
async fn ids_stay_the_same_when_the_tables_are_gone() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE a (id integer); CREATE TABLE b (id integer)").await;
    let slot = service.init().await;
    postgres.execute("BEGIN; INSERT INTO a VALUES (1), (2); TRUNCATE a, b; COMMIT").await;
    end(&postgres).await;
    let mut deliveries = vec![];
    for then in ["DROP TABLE a; CREATE TABLE a (id integer)", "DROP TABLE a, b", "SELECT 1"] {
        let mut client = stream(&service, &slot, &[("format", "events")]).await;
        let message = client.next().await;
        deliveries.push(message["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect::<Vec<Value>>());
        client.leave().await;
        postgres.execute(then).await;
    }
    assert_eq!(deliveries[0].len(), 4);
    assert!(deliveries.iter().all(|ids| *ids == deliveries[0]), "{deliveries:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_row_that_is_gone_is_told_by_its_key_where_nobody_knows_better() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, code integer NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key; INSERT INTO t VALUES (1, 10), (2, 20)").await;
    let slot = service.init().await;
    postgres.execute("DELETE FROM t WHERE id = 1").await;
    let next = async |then: &str| {
        postgres.execute(then).await;
        let mut client = stream(&service, &slot, &[("format", "events")]).await;
        let event = client.next().await["events"][0].clone();
        client.leave().await;
        (event["key"].clone(), event.get("old").cloned())
    };
    assert_eq!(next("ALTER TABLE t REPLICA IDENTITY DEFAULT").await, (json!({"code": 10}), None));
    assert_eq!(next("DROP TABLE t").await, (json!({"code": 10}), None));
    service.stop().await;
}

#[tokio::test]
async fn a_column_that_came_later_is_known_to_be_unchanged() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 0)").await;
    let slot = service.init().await;
    let mut client = stream(&service, &slot, &[("format", "events"), ("actions", "update")]).await;
    postgres.execute("UPDATE t SET n = 1").await;
    assert_eq!(client.next().await["events"][0]["new"], json!({"id": 1, "n": 1}));
    postgres
        .execute("ALTER TABLE t ADD c text; ALTER TABLE t ALTER c SET STORAGE EXTERNAL; INSERT INTO t VALUES (2, 0, repeat('x', 3000))")
        .await;
    // What is known of a table is looked at again now and then.
    eventually("the column", async || {
        postgres.execute("UPDATE t SET n = n + 1 WHERE id = 2").await;
        (client.next().await["events"][0]["unchanged"] == json!(["c"])).then_some(())
    })
    .await;
    service.stop().await;
}

#[tokio::test]
async fn the_tables_of_a_backlog_take_few_questions() {
    const TABLES: usize = 300;
    let postgres = Postgres::with_settings(&[("log_statement", "all")]).await;
    let service = Service::start(&postgres).await;
    let each = |order: &str, statement: &str| {
        let numbers = format!("SELECT n FROM generate_series(1, {TABLES}) AS n ORDER BY {order}");
        format!("DO $$ DECLARE k integer; BEGIN FOR k IN {numbers} LOOP EXECUTE format('{statement}', k); END LOOP; END $$")
    };
    postgres.execute(&each("n", "CREATE SCHEMA s%1$s; CREATE TABLE s%1$s.t%1$s (id bigint PRIMARY KEY, a text)")).await;
    let mut asked = 0;
    for (order, most) in [("n", 10), ("-n", 10), ("md5(n::text)", 50)] {
        let slot = service.init().await;
        postgres.execute(&each(order, "TRUNCATE s%1$s.t%1$s; INSERT INTO s%1$s.t%1$s VALUES (%1$s)")).await;
        let mut client = stream(&service, &slot, &[("format", "events")]).await;
        let message = client.next().await;
        let events = message["events"].as_array().unwrap();
        assert_eq!(events.len(), 2 * TABLES);
        assert!(events.iter().all(|event| event["op"] == "truncate" || event["table"] == format!("t{}", event["new"]["id"])));
        client.leave().await;
        let before = asked;
        asked = postgres.cluster.as_ref().unwrap().log().unwrap().matches("AS asked (schema, name)").count();
        assert!((1..=most).contains(&(asked - before)), "{} questions in the order of {order}", asked - before);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_table_that_was_learnt_with_others_is_told_as_it_is_once_it_changes() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE TABLE t0 (id bigint PRIMARY KEY); CREATE TABLE t1 (id bigint PRIMARY KEY);
             CREATE TABLE later (id bigint PRIMARY KEY, a text); INSERT INTO later VALUES (4)",
        )
        .await;
    let slot = service.init().await;
    postgres.execute("INSERT INTO t0 VALUES (0); INSERT INTO t1 VALUES (1)").await;
    let mut client = stream(&service, &slot, &[("format", "events")]).await;
    assert_eq!(client.next().await["events"].as_array().unwrap().len(), 2);
    // To fill a new column writes no change, and a large value is in no change that leaves it as it is.
    postgres
        .execute(
            "CREATE FUNCTION large() RETURNS text VOLATILE RETURN (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n);
             ALTER TABLE later ADD large text DEFAULT large()",
        )
        .await;
    postgres.execute("UPDATE later SET a = 'b'").await;
    let event = client.next().await["events"][0].take();
    assert_eq!((&event["new"], &event["unchangedUnknown"]), (&json!({"id": 4, "a": "b"}), &json!(true)));
    client.leave().await;
    service.stop().await;
}

#[tokio::test]
async fn who_leaves_while_the_catalogue_is_asked_leaves_no_transaction_behind() {
    let postgres = Postgres::with_settings(&[]).await;
    let proxy = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
    let service = Service::start_with(&postgres, &["--pgHost", "127.0.0.1", "--pgPort", &proxy.port().to_string()]).await;
    service.create(json!({"name": "s"})).await;
    for number in 0..8 {
        let client = service.stream_with("s", &[("format", "events")]).await.unwrap();
        // Each word takes 50 ms from here on, so that what is left behind is left somewhere between them.
        proxy.slow(1_000_000);
        postgres.execute(&format!("CREATE TABLE t{number} (id bigint PRIMARY KEY); INSERT INTO t{number} VALUES (1)")).await;
        tokio::time::sleep(Duration::from_millis(100 + number * 50)).await;
        drop(client);
        proxy.heal();
        let free = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 's'";
        eventually("the session to end", async || (postgres.text(free).await? == "true").then_some(())).await;
    }
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE application_name = 'pgdeltastream' AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '1 s'";
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(postgres.text(open).await.unwrap(), "0");
    service.stop().await;
}

#[tokio::test]
async fn postgres_stops_while_the_catalogue_is_asked_and_nobody_notices() {
    for (format, query) in [("events", ""), ("wal2json-v2", "t"), ("wal2json-v1", "t")] {
        let mut postgres = Postgres::with_settings(&[("wal_sender_timeout", "3s")]).await;
        let proxy = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
        let service = Service::start_with(&postgres, &["--pgHost", "127.0.0.1", "--pgPort", &proxy.port().to_string()]).await;
        let slot = service.init().await;
        let parameters = if query.is_empty() { vec![("format", format)] } else { vec![("format", format), ("tables", query)] };
        let mut client = service.stream_with(&slot, &parameters).await.unwrap();
        for (number, mode) in [StopMode::Immediate, StopMode::Fast, StopMode::Immediate].into_iter().enumerate() {
            // Each word takes 50 ms, so that the question is under way when the server goes.
            proxy.slow(1_000_000);
            postgres
                .execute(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES ({number})"))
                .await;
            tokio::time::sleep(Duration::from_millis(150 + 100 * number as u64)).await;
            postgres.restart(mode).await;
            proxy.heal();
            let mut seen = vec![];
            while seen.is_empty() {
                let message = client.next().await;
                match format {
                    "events" => seen.push(message["events"][0]["new"]["id"].clone()),
                    "wal2json-v1" => seen.push(message["change"][0]["columnvalues"][0].clone()),
                    _ if message["action"] == "I" => seen.push(message["columns"][0]["value"].clone()),
                    _ => {}
                }
            }
            assert_eq!(seen, [number], "{format}");
            if format == "wal2json-v2" {
                assert_eq!(client.next().await["action"], "C");
            }
        }
        client.leave().await;
        service.stop().await;
    }
}
