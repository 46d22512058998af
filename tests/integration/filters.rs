//! What a connection asks for it gets, and nothing else: tables, actions, messages, and wal2json's options.

use serde_json::{Value, json};

use crate::harness::{Client, Postgres, Service, eventually, start};

type Parameters<'a> = &'a [(&'a str, &'a str)];

const SOME_OF_ALL: &str = "
BEGIN;
INSERT INTO a VALUES (1, 'one');
INSERT INTO b VALUES (1, 'one');
INSERT INTO shop.c VALUES (1, 'one');
SELECT pg_logical_emit_message(true, 'p', 'inside');
UPDATE a SET name = 'two';
DELETE FROM b;
COMMIT";

async fn setup() -> (Postgres, Service, String) {
    let (postgres, service) = start().await;
    let columns = "(id integer PRIMARY KEY, name text NOT NULL DEFAULT 'none')";
    postgres
        .execute(&format!("CREATE SCHEMA shop; CREATE TABLE a {columns}; CREATE TABLE b {columns}; CREATE TABLE shop.c {columns}"))
        .await;
    let slot = service.init().await;
    (postgres, service, slot)
}

async fn connect(service: &Service, slot: &str, parameters: Parameters<'_>) -> Client {
    service.stream_with(slot, parameters).await.unwrap_or_else(|answer| panic!("{parameters:?}: {answer:?}"))
}

/// What the next transaction is about, each change in two words.
async fn heard(client: &mut Client) -> Vec<String> {
    let (changes, _) = client.transaction().await;
    let word = |change: &Value, name: &str| change[name].as_str().unwrap().to_owned();
    let about = |change: &Value| if change["kind"] == "message" { word(change, "prefix") } else { word(change, "table") };
    changes.iter().map(|change| format!("{} {}", word(change, "kind"), about(change))).collect()
}

#[tokio::test]
async fn a_connection_hears_what_it_asks_for() {
    let (postgres, service, slot) = setup().await;
    postgres.execute(SOME_OF_ALL).await;
    let everything: &[&str] = &["insert a", "insert b", "insert c", "message p", "update a", "delete b"];
    let of_a: &[&str] = &["insert a", "message p", "update a"];
    let cases: [(Parameters<'_>, &[&str]); 12] = [
        (&[], everything),
        (&[("tables", "a")], of_a),
        (&[("tables", " Public.A , public.A ")], of_a),
        (&[("tables", "public.*"), ("excludeTables", "b")], of_a),
        (&[("excludeTables", "public.*")], &["insert c", "message p"]),
        (&[("excludeTables", "b,\"shop\".c")], of_a),
        (&[("actions", "update, delete")], &["message p", "update a", "delete b"]),
        (&[("actions", "delete"), ("excludeTables", "b"), ("messages", "true")], &["message p"]),
        (&[("messages", "false"), ("tables", "a")], &["insert a", "update a"]),
        (&[("filterMsgPrefixes", "o,p")], &["insert a", "insert b", "insert c", "update a", "delete b"]),
        (&[("addMsgPrefixes", "p,pgdeltastream")], everything),
        (&[("addMsgPrefixes", "o"), ("actions", "update")], &["update a"]),
    ];
    for (parameters, expected) in cases {
        // Nothing is acknowledged, so that it comes again.
        let mut client = connect(&service, &slot, parameters).await;
        assert_eq!(heard(&mut client).await, expected, "{parameters:?}");
        client.leave().await;
    }
    service.stop().await;
}

#[tokio::test]
async fn what_a_filter_hides_counts_as_seen() {
    let (postgres, service, slot) = setup().await;
    let mut client = connect(&service, &slot, &[("tables", "a"), ("messages", "false")]).await;
    postgres.execute("INSERT INTO b VALUES (1); SELECT pg_logical_emit_message(true, 'p', 'inside')").await;
    postgres.execute("INSERT INTO a VALUES (1)").await;
    let (_, position) = client.transaction().await;
    client.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await >= position).then_some(())).await;
    client.leave().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO b VALUES (2)").await;
    assert_eq!(client.transaction().await.0[0]["columnvalues"][0], 2, "what was hidden does not come again");
    service.stop().await;
}

#[tokio::test]
async fn what_is_hidden_can_be_asked_for_as_an_empty_transaction() {
    let (postgres, service, slot) = setup().await;
    postgres.execute("INSERT INTO b VALUES (1)").await;
    let mut client = connect(&service, &slot, &[("tables", "a"), ("emptyTransactions", "true")]).await;
    assert_eq!(heard(&mut client).await, [""; 0]);
    service.stop().await;
}

#[tokio::test]
async fn wal2jsons_options_do_what_they_do() {
    let (postgres, service, slot) = setup().await;
    postgres.execute("CREATE DOMAIN word AS varchar(9); CREATE TABLE d (id integer PRIMARY KEY, w word)").await;
    postgres.execute("INSERT INTO d VALUES (1, 'one')").await;
    let plain = json!({"kind": "insert", "schema": "public", "table": "d", "columnnames": ["id", "w"], "columntypes": ["integer", "word"],
        "columnvalues": [1, "one"]});
    let cases = [
        (vec![], json!({})),
        (vec![("includeSchemas", "false")], json!({"schema": null})),
        (vec![("includeTypes", "false")], json!({"columntypes": null})),
        (vec![("includeDomainDataType", "true")], json!({"columntypes": ["integer", "character varying(9)"]})),
        (vec![("includeDomainDataType", "true"), ("includeTypmod", "false")], json!({"columntypes": ["int4", "varchar"]})),
        (vec![("includeColumnPositions", "true")], json!({"columnpositions": [1, 2]})),
        (vec![("includeNotNull", "true")], json!({"columnoptionals": [false, true]})),
        (vec![("includeDefault", "true")], json!({"columndefaults": [null, null]})),
        (vec![("includePk", "true")], json!({"pk": {"pknames": ["id"], "pktypes": ["integer"]}})),
        (vec![("filterOrigins", "1,65535")], json!({})),
    ];
    for (parameters, differences) in cases {
        let mut client = connect(&service, &slot, &parameters).await;
        let (changes, _) = client.transaction().await;
        client.leave().await;
        let mut expected = plain.as_object().unwrap().clone();
        expected.extend(differences.as_object().unwrap().clone());
        expected.retain(|_, value| !value.is_null());
        assert_eq!(changes, [Value::Object(expected)], "{parameters:?}");
    }
    let mut client = connect(&service, &slot, &[("includeTypeOids", "true")]).await;
    assert_eq!(client.transaction().await.0[0]["columntypeoids"][0], 23);
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_and_harms_nothing() {
    let (postgres, service, slot) = setup().await;
    let cases: [(Parameters<'_>, u16, &str, &str); 22] = [
        (&[("tables", "a b")], 400, "invalid_request", "/tables"),
        (&[("tables", "")], 400, "invalid_request", "/tables"),
        (&[("tables", "a\0")], 400, "invalid_request", "/tables"),
        (&[("excludeTables", "*.*")], 400, "invalid_request", "/excludeTables"),
        (&[("tables", "a"), ("excludeTables", "public.*")], 400, "invalid_request", "/excludeTables"),
        (&[("tables", "a"), ("tables", "b")], 400, "invalid_request", "/tables"),
        (&[("tables", "pg_catalog.pg_class")], 404, "no_such_table", "/tables"),
        (&[("tables", "a,information_schema.*")], 404, "no_such_table", "/tables"),
        (&[("excludeTables", "pgdeltastream.stream")], 404, "no_such_table", "/excludeTables"),
        (&[("actions", "upsert")], 400, "invalid_request", "/actions"),
        (&[("messages", "no")], 400, "invalid_request", "/messages"),
        (&[("messages", "false"), ("addMsgPrefixes", "p")], 400, "invalid_request", "/addMsgPrefixes"),
        (&[("filterMsgPrefixes", "a\\")], 400, "invalid_request", "/filterMsgPrefixes"),
        (&[("filterOrigins", "65536")], 400, "invalid_request", "/filterOrigins"),
        (&[("numbers", "string")], 400, "invalid_request", "/numbers"),
        (&[("format", "wal2json-v3")], 400, "invalid_request", "/format"),
        (&[("format", "events"), ("includePk", "true")], 400, "invalid_request", "/includePk"),
        (&[("includeLsn", "true")], 400, "invalid_request", "/includeLsn"),
        (&[("includeTransaction", "false")], 400, "invalid_request", "/includeTransaction"),
        (&[("prettyPrint", "true")], 400, "invalid_request", "/prettyPrint"),
        (&[("writeInChunks", "true")], 400, "invalid_request", "/writeInChunks"),
        (&[("formatVersion", "2")], 400, "invalid_request", "/formatVersion"),
    ];
    for (parameters, status, code, pointer) in cases {
        let refused = service.stream_with(&slot, parameters).await.err().unwrap_or_else(|| panic!("{parameters:?}"));
        assert_eq!(refused.refusal(), (status, code.to_owned()), "{parameters:?}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{parameters:?}");
    }
    postgres.execute("INSERT INTO a VALUES (1)").await;
    assert_eq!(heard(&mut service.stream(&slot).await).await, ["insert a"]);
    service.stop().await;
}

#[tokio::test]
async fn an_option_that_the_servers_wal2json_does_not_have_is_refused_with_its_own_words() {
    let (postgres, service, slot) = setup().await;
    match service.stream_with(&slot, &[("numericDataTypesAsString", "true")]).await {
        Err(refused) => {
            assert_eq!(refused.refusal(), (400, String::from("unsupported_option")));
            assert!(refused.text.contains("numeric-data-types-as-string"), "{}", refused.text);
        }
        // Since 2.6.
        Ok(client) => client.leave().await,
    }
    postgres.execute("INSERT INTO a VALUES (1)").await;
    assert_eq!(heard(&mut service.stream(&slot).await).await, ["insert a"], "the slot is free");
    service.stop().await;
}

#[tokio::test]
async fn what_is_ours_never_appears() {
    let (postgres, service, slot) = setup().await;
    let ours = "UPDATE pgdeltastream.stream SET created_at = now(); UPDATE information_schema.sql_sizing SET comments = 'x'; SELECT pg_logical_emit_message(true, 'pgdeltastream', 'x')";
    postgres.execute(&format!("BEGIN; {ours}; INSERT INTO a VALUES (1); COMMIT")).await;
    let all: [Parameters<'_>; 4] = [&[], &[("excludeTables", "b")], &[("tables", "a")], &[("addMsgPrefixes", "pgdeltastream")]];
    for parameters in all {
        let mut client = connect(&service, &slot, parameters).await;
        assert_eq!(heard(&mut client).await, ["insert a"], "{parameters:?}");
        client.leave().await;
    }
    service.stop().await;
}
