//! The schemas of tables, held against the rows and events of those tables.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::{Client, Postgres, Service, parse, start};

/// Tables of all types, and changes of them.
const WORKLOAD: &str = include_str!("../golden/workload.sql");

/// Where its tables begin to be altered.
const ALTERED: &str = "CREATE TABLE columns";

/// What a table's schema says.
struct Schema {
    text: Value,
    row: Validator,
    event: Validator,
}

async fn schema(service: &Service, table: &str, query: &str) -> Schema {
    let path = percent_encoding::utf8_percent_encode(table, percent_encoding::NON_ALPHANUMERIC);
    let answer = service.get(&format!("/v1/schemas/tables/{path}{query}")).await;
    assert_eq!(answer.status, 200, "{table}: {}", answer.text);
    let text = answer.json();
    assert!(jsonschema::meta::is_valid(&text), "{table}");
    let validator = |schema: &Value| jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap();
    let mut event = text.clone();
    event["$ref"] = json!("#/$defs/event");
    Schema { row: validator(&text), event: validator(&event), text }
}

fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value) {
    assert_eq!(faults(validator, value), Vec::<String>::new(), "{value:.2000}");
}

/// The events up to the end of the next transaction.
async fn transaction(client: &mut Client) -> Vec<Value> {
    let mut events = vec![];
    loop {
        let message = client.next().await;
        events.extend(message["events"].as_array().cloned().unwrap_or_default());
        if message["last"] == true {
            return events;
        }
    }
}

/// The events up to the end of the transaction that this marks.
async fn events_so_far(postgres: &Postgres, client: &mut Client) -> Vec<Value> {
    postgres.execute("SELECT pg_logical_emit_message(true, 'end', '')").await;
    let mut events = vec![];
    while events.last().is_none_or(|event: &Value| event["prefix"] != "end") {
        events.extend(transaction(client).await);
    }
    events.pop();
    events
}

#[tokio::test]
async fn rows_and_events_of_every_type_are_as_their_schemas_say() {
    let (postgres, service) = start().await;
    let slot = service.init().await;
    for paragraph in WORKLOAD.split("\n\n").take_while(|paragraph| !paragraph.starts_with(ALTERED)) {
        postgres.execute(paragraph).await;
    }
    postgres.execute("TRUNCATE by_default, by_full, keyless").await;
    for (numbers, query) in [("", ""), ("string", "?numbers=string")] {
        let parameters: Vec<(&str, &str)> =
            [("format", "events"), ("numbers", numbers)].into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut client = service.stream_with(&slot, &parameters).await.unwrap_or_else(|answer| panic!("{answer:?}"));
        let events = events_so_far(&postgres, &mut client).await;
        for (table, ops) in [
            ("every_type", vec!["delete", "insert", "update"]),
            ("by_default", vec!["delete", "insert", "truncate", "update"]),
            ("by_full", vec!["delete", "insert", "truncate", "update"]),
            ("by_index", vec!["delete", "insert", "update"]),
            ("by_nothing", vec!["insert"]),
            ("keyless", vec!["insert", "truncate"]),
        ] {
            let schema = schema(&service, table, query).await;
            let mut seen: Vec<&str> = vec![];
            for event in events.iter().filter(|event| event["table"] == table) {
                assert_valid(&schema.event, event);
                seen.push(event["op"].as_str().unwrap());
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, ops, "{table}");
        }
        client.leave().await;
    }
    // The rows of a new snapshot, with the strangest values once more.
    let strange = WORKLOAD.split("\n\n").find(|paragraph| paragraph.contains("'NaN', 'NaN', 'NaN'")).unwrap();
    postgres.execute(strange).await;
    service.init().await;
    let answer = service.data(json!({"table": "every_type"})).await;
    let rows = parse(&answer.text).unwrap().as_array().unwrap().clone();
    let schema = schema(&service, "every_type", "").await;
    assert!(rows.len() > 3);
    rows.iter().for_each(|row| assert_valid(&schema.row, row));
    service.stop().await;
}

#[tokio::test]
async fn a_schema_refuses_what_the_table_cannot_hold() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(5, 2); CREATE DOMAIN short AS varchar(3);
             CREATE TABLE t (id integer PRIMARY KEY, small smallint NOT NULL, big bigint, amount numeric(5, 2), cents price NOT NULL,
                 thousands numeric(3, -3), tiny numeric(2, 4), ratio double precision NOT NULL, word varchar(3), words short[], padded char(4), flag boolean,
                 mood mood, moods mood[], bits bit(3), more_bits bit varying(3), day date, at timestamp, at_utc timestamptz, clock time, zoned timetz,
                 bytes bytea, uuid uuid, doc jsonb, list integer[], twice integer GENERATED ALWAYS AS (id * 2) STORED);
             INSERT INTO t VALUES (1, -32768, 9223372036854775807, -999.99, 0.01, 999000, 0.0099, 'NaN', 'ä😀z', '{abc}', 'x', true,
                 'ok', '{{sad,NULL},{ok,ok}}', '101', '1', '2024-02-29', '0044-03-15 12:00:00.5 BC', 'infinity', '24:00', '12:00:00.5-15:59:59',
                 '\\x00ff', '00000000-0000-4000-8000-00000000000f', 'null', '{{1},{NULL}}');
             COMMENT ON TABLE t IS 'Of everything.'; COMMENT ON COLUMN t.word IS 'A word.'",
        )
        .await;
    service.init().await;
    let row = service.rows(json!({"table": "t"})).await.remove(0);
    let schema = schema(&service, "t", "").await;
    assert_valid(&schema.row, &row);
    let refused = |column: &str, values: &[Value]| {
        for value in values {
            let mut row = row.clone();
            row[column] = value.clone();
            let faults = faults(&schema.row, &row);
            assert!(faults.len() == 1 && faults[0].starts_with(&format!("/{column}")), "{column} {value}: {faults:?}");
        }
    };
    refused("id", &[json!(null), json!(2_147_483_648_i64), json!(1.5), json!("1")]);
    refused("small", &[json!(32_768), json!(-32_769), json!(null)]);
    refused("big", &[json!(9_223_372_036_854_775_808_u64), json!("1")]);
    refused("amount", &[json!(1000), json!(-1000), json!("Infinity"), json!("1")]);
    refused("cents", &[json!(1000), json!(true)]);
    refused("thousands", &[json!(1_000_000)]);
    refused("tiny", &[json!(0.01)]);
    refused("ratio", &[json!("nan"), json!([1])]);
    refused("word", &[json!("four"), json!(1)]);
    refused("words", &[json!(["four"]), json!("abc"), json!([["abc"], [1]])]);
    refused("padded", &[json!("x"), json!("x    ")]);
    refused("flag", &[json!("t"), json!(0)]);
    refused("mood", &[json!("happy"), json!("")]);
    refused("moods", &[json!(["happy"]), json!([[["happy"]]])]);
    refused("bits", &[json!("10"), json!("1012")]);
    refused("more_bits", &[json!("1011"), json!("2")]);
    refused("day", &[json!("2024-2-29"), json!("29.02.2024"), json!("")]);
    refused("at", &[json!("2024-02-29 12:00:00"), json!("2024-02-29T12:00:00+00:00")]);
    refused("at_utc", &[json!("2024-02-29T12:00:00"), json!("2024-02-29T12:00:00+09:00")]);
    refused("clock", &[json!("24:00"), json!("12:00:00+00")]);
    refused("zoned", &[json!("12:00:00")]);
    refused("bytes", &[json!("00ff"), json!("\\xF"), json!("\\x0")]);
    refused("uuid", &[json!("0"), json!(0)]);
    refused("list", &[json!(1), json!(["1"]), json!([1.5])]);
    for column in row.as_object().unwrap().keys() {
        let mut without = row.clone();
        without.as_object_mut().unwrap().shift_remove(column);
        assert_eq!(faults(&schema.row, &without).len(), 1, "{column}");
    }
    let mut more = row.clone();
    more["more"] = json!(1);
    assert_eq!(faults(&schema.row, &more).len(), 1);

    let described = &schema.text["$defs"]["row"];
    assert_eq!(
        (&described["title"], &described["description"], &described["x-primary-key"]),
        (&json!("t"), &json!("Of everything."), &json!(["id"]))
    );
    assert_eq!(described["properties"]["word"]["description"], "A word.\n\n`character varying(3)`.");
    assert_eq!(described["properties"]["id"]["description"], "`integer`, part of the primary key.");
    assert_eq!((&described["properties"]["twice"]["readOnly"], described["properties"]["id"].get("readOnly")), (&json!(true), None));
    let columns: Vec<&String> = described["properties"].as_object().unwrap().keys().collect();
    assert_eq!(columns, row.as_object().unwrap().keys().collect::<Vec<_>>(), "in the table's order");
    service.stop().await;
}

#[tokio::test]
async fn each_kind_of_table_has_its_events() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE SCHEMA extra; CREATE SCHEMA \"S.x\";
             CREATE TABLE parts (region text, id integer, name text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
             CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
             CREATE TABLE extra.parts_rest PARTITION OF parts DEFAULT PARTITION BY RANGE (id);
             CREATE TABLE extra.parts_low PARTITION OF extra.parts_rest FOR VALUES FROM (0) TO (100);
             CREATE TABLE parent (id integer PRIMARY KEY); CREATE TABLE child (more text) INHERITS (parent);
             CREATE TABLE \"S.x\".\"Ä/% \"\"t\" (\"x y\" integer PRIMARY KEY, \"\"\"\" text);
             CREATE TABLE no_columns (); CREATE UNLOGGED TABLE unlogged (id integer); CREATE VIEW seen AS SELECT * FROM parts;
             CREATE MATERIALIZED VIEW kept AS SELECT * FROM parts; CREATE TABLE dropped (a integer, b integer); ALTER TABLE dropped DROP a",
        )
        .await;
    let slot = service.init().await;
    let mut client = service.stream_with(&slot, &[("format", "events")]).await.unwrap_or_else(|answer| panic!("{answer:?}"));
    postgres
        .execute(
            "INSERT INTO parts VALUES ('north', 1, 'a'), ('south', 2, 'b'); UPDATE parts SET name = 'c'; UPDATE parts SET region = 'south' WHERE id = 1;
             DELETE FROM parts WHERE id = 2; TRUNCATE parts; INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'x');
             INSERT INTO \"S.x\".\"Ä/% \"\"t\" VALUES (1, 'y'); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO dropped VALUES (1)",
        )
        .await;
    let events = events_so_far(&postgres, &mut client).await;
    let of = |schema: &str, table: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["schema"] == schema && event["table"] == table).collect()
    };
    for (name, schema_name, table, count) in [
        ("parts_north", "public", "parts_north", 4),
        ("extra.parts_low", "extra", "parts_low", 5),
        ("parent", "public", "parent", 1),
        ("child", "public", "child", 1),
        ("\"S.x\".\"Ä/% \"\"t\"", "S.x", "Ä/% \"t", 1),
        ("no_columns", "public", "no_columns", 1),
        ("dropped", "public", "dropped", 1),
    ] {
        let schema = schema(&service, name, "").await;
        let events = of(schema_name, table);
        assert!(events.len() >= count, "{name}: {events:?}");
        for event in &events {
            assert_valid(&schema.event, event);
        }
        let others = events_of_others(&events, &schema);
        assert_eq!(others, 0, "{name} takes events with another table's name");
    }
    let root = schema(&service, "parts", "").await;
    let parts: Vec<&Value> = events.iter().filter(|event| event["root"] == "parts" || event["table"] == "parts").collect();
    assert!(parts.len() > 8);
    parts.iter().for_each(|event| assert_valid(&root.event, event));
    for (table, what) in [("unlogged", "an unlogged table"), ("seen", "a view"), ("kept", "a materialised view")] {
        let schema = schema(&service, table, "").await;
        assert!(schema.text["$defs"]["event"]["description"].as_str().unwrap().contains(what), "{table}");
        assert!(!schema.event.is_valid(parts[0]), "{table}");
    }
    for table in ["nothing", "pg_catalog.pg_class", "information_schema.tables", "pgdeltastream.stream", "pg_toast.pg_toast_1"] {
        assert_eq!(service.get(&format!("/v1/schemas/tables/{table}")).await.refusal(), (404, String::from("no_such_table")), "{table}");
    }
    client.leave().await;
    service.stop().await;
}

/// How many of them are still taken under another name.
fn events_of_others(events: &[&Value], schema: &Schema) -> usize {
    let renamed = events.iter().map(|event| {
        let mut event = (*event).clone();
        event["table"] = json!("other");
        event
    });
    renamed.filter(|event| schema.event.is_valid(event)).count()
}

#[tokio::test]
async fn a_wide_table_has_a_schema_of_its_own_too() {
    let (postgres, service) = start().await;
    let columns: Vec<String> = (0..1_600).map(|column| format!("column_{column} integer")).collect();
    let labels: Vec<String> = (0..3_000).map(|label| format!("'label {label}'")).collect();
    postgres.execute(&format!("CREATE TABLE wide ({})", columns.join(", "))).await;
    postgres.execute(&format!("CREATE TYPE many AS ENUM ({}); CREATE TABLE labelled (a many, b many[])", labels.join(", "))).await;
    let wide = schema(&service, "wide", "").await;
    assert_eq!(wide.text["$defs"]["row"]["properties"].as_object().unwrap().len(), 1_600);
    let labelled = schema(&service, "labelled", "").await;
    assert_valid(&labelled.row, &json!({"a": "label 2999", "b": [["label 0"], [null]]}));
    assert_eq!(service.get("/v1/schemas/tables/wide").await.text, service.get("/v1/schemas/tables/wide").await.text, "always the same");
    service.stop().await;
}
