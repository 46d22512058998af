//! `pg_logical_emit_message`, and the JSON that wal2json breaks for it.

use serde_json::json;

use crate::harness::start;

#[tokio::test]
async fn messages_come_and_what_wal2json_breaks_is_mended() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("BEGIN; INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('b'); COMMIT").await;
    assert_eq!(client.transaction().await.0.len(), 2);
    // After a transaction of two changes, wal2json 2.5 writes {"change":[,{…
    postgres.execute("SELECT pg_logical_emit_message(false, 'p', 'outside'); INSERT INTO t VALUES ('c')").await;
    let message = client.next().await;
    assert_eq!(message, json!({"change": [{"kind": "message", "transactional": false, "prefix": "p", "content": "outside"}]}));
    assert_eq!(client.inserted().await.0, "c");
    postgres.execute("SELECT pg_logical_emit_message(true, 'p', 'inside')").await;
    let (changes, _) = client.transaction().await;
    assert_eq!((&changes[0]["transactional"], &changes[0]["content"]), (&json!(true), &json!("inside")));
    service.stop().await;
}

#[tokio::test]
async fn a_message_that_is_no_text_does_not_stop_the_stream() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute(r"SELECT pg_logical_emit_message(true, 'p', '\xff41'::bytea)").await;
    let (changes, position) = client.transaction().await;
    assert_eq!(changes[0]["content"], "\u{fffd}A");
    client.acknowledge(&position).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(client.inserted().await.0, "a");
    service.stop().await;
}

#[tokio::test]
async fn names_of_types_that_wal2json_does_not_quote_are_mended() {
    let (postgres, service) = start().await;
    postgres.execute(r#"CREATE SCHEMA "Shop"; CREATE TYPE "Shop".mood AS ENUM ('ok'); CREATE TYPE "We""ird" AS ENUM ('ok'); CREATE TYPE mood AS ENUM ('ok')"#).await;
    postgres.execute(r#"CREATE TABLE t (a "Shop".mood PRIMARY KEY, b "We""ird", c mood, d "Shop".mood[], e numeric(5,2))"#).await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('ok', 'ok', 'ok', '{ok}', 1)").await;
    let (changes, _) = client.transaction().await;
    assert_eq!(changes[0]["columntypes"], json!([r#""Shop".mood"#, r#""We""ird""#, "mood", r#""Shop".mood[]"#, "numeric(5,2)"]));
    postgres.execute("DELETE FROM t").await;
    let (changes, _) = client.transaction().await;
    assert_eq!(changes[0]["oldkeys"]["keytypes"], json!([r#""Shop".mood"#]));
    service.stop().await;
}
