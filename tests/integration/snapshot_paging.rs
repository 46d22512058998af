//! Pages by key, parts of a table, and whole tables one row a line.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::{Postgres, Service, start};

/// A row, every value as the text that came.
type Row = BTreeMap<String, Box<RawValue>>;

/// All rows of a table, page by page, each behind the last row of the one before.
async fn paged(service: &Service, body: &Value, order: &[&str]) -> Vec<Row> {
    let body = body.to_string();
    let (mut asked, mut rows) = (body.clone(), vec![]);
    loop {
        let answer = service.post("/v1/snapshot/data", asked.clone()).await;
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text);
        let page: Vec<Row> = serde_json::from_str(&answer.text).unwrap();
        let Some(last) = page.last() else { return rows };
        let after: Vec<String> = order.iter().map(|column| format!("{column:?}:{}", last[*column])).collect();
        asked = format!(r#"{},"after":{{{}}}}}"#, body.strip_suffix('}').unwrap(), after.join(","));
        assert!(rows.len() < 10_000, "{asked}");
        rows.extend(page);
    }
}

fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect()
}

/// What the same order gives in one piece.
async fn whole(postgres: &Postgres, sql: &str) -> Vec<String> {
    let all = postgres.text(&format!("SELECT coalesce(string_agg(k, E'\x01'), '') FROM (SELECT ({sql}) AS k) q")).await;
    all.unwrap().split('\x01').map(str::to_owned).collect()
}

#[tokio::test]
async fn keys_of_every_type_that_has_an_order() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN small AS integer CHECK (VALUE < 100); CREATE TYPE pair AS (a integer, b text); CREATE DOMAIN moods AS mood[]")
        .await;
    let types: &[(&str, &[&str])] = &[
        ("boolean", &["true", "false"]),
        ("smallint", &["-32768", "0", "32767"]),
        ("integer", &["-1", "0", "2147483647"]),
        ("bigint", &["-9223372036854775808", "9007199254740993", "9007199254740992", "9223372036854775807"]),
        (
            "numeric",
            &[
                "1234567890123456789012345678901234567890.12",
                "1234567890123456789012345678901234567890.13",
                "0.1000",
                "NaN",
                "Infinity",
                "-Infinity",
                "-1e-30",
            ],
        ),
        ("real", &["1.1", "-0.0001", "NaN", "Infinity", "-Infinity", "3.4e38"]),
        ("double precision", &["0.1", "0.30000000000000004", "1e308", "5e-324", "NaN", "-Infinity"]),
        ("text", &["", "a", "A", "ä", "it''s", "back\\slash", "tab\there", "line\nbreak", "\"quoted\"", "NULL", "\\N", "e'||1", "😀"]),
        ("varchar(5)", &["a", "ab", "abcde"]),
        ("char(5)", &["a", "ab", "abcde"]),
        ("name", &["a", "b"]),
        ("\"char\"", &["a", "b"]),
        ("bytea", &["\\x", "\\x00", "\\x5c27", "\\xff"]),
        ("date", &["2024-02-29", "infinity", "-infinity", "0044-03-15 BC"]),
        ("time", &["00:00", "23:59:59.999999"]),
        ("timetz", &["00:00+00", "12:00-03"]),
        ("timestamp", &["2024-01-01 00:00:00.000001", "infinity", "-infinity", "0044-03-15 12:00 BC"]),
        ("timestamptz", &["2024-01-01 00:00:00.000001+02", "infinity", "-infinity", "0044-03-15 12:00+00 BC"]),
        ("interval", &["1 day", "-1 year 2 mons", "00:00:00.5"]),
        ("uuid", &["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ("inet", &["10.0.0.1", "10.0.0.0/8", "::1"]),
        ("cidr", &["10.0.0.0/8", "::/0"]),
        ("macaddr", &["08:00:2b:01:02:03", "08:00:2b:01:02:04"]),
        ("bit(3)", &["101", "110"]),
        ("varbit", &["1", "10", "101"]),
        ("money", &["1.00", "-5.00"]),
        ("oid", &["1", "4294967295"]),
        ("pg_lsn", &["0/1", "FF/0"]),
        ("mood", &["sad", "ok", "happy"]),
        ("small", &["1", "99"]),
        ("jsonb", &["1", "\"a\"", "null", "[1, null]", "{\"a\": 1.50}", "true"]),
        ("integer[]", &["{}", "{1}", "{1,NULL}", "{{1,2},{3,4}}"]),
        ("text[]", &["{}", "{a}", "{\"a,b\",\"q\\\"\",NULL,\"NULL\"}", "{\"\"}"]),
        ("moods", &["{sad}", "{sad,happy}"]),
        ("int4range", &["empty", "[1,2)", "(,)"]),
        ("int4multirange", &["{}", "{[1,2),[5,6)}"]),
        ("pair", &["(1,a)", "(1,\"b \"\"q\"\"\")", "(,)"]),
        ("tsvector", &["a", "a b"]),
    ];
    let mut tables = String::new();
    for (number, (name, values)) in types.iter().enumerate() {
        tables += &format!("CREATE TABLE k{number} (n integer, k {name}, PRIMARY KEY (k, n));");
        for value in *values {
            let value = value.replace('\'', "''").replace("''''", "''");
            tables += &format!("INSERT INTO k{number} SELECT n, '{value}' FROM generate_series(1, 3) n;");
        }
    }
    postgres.execute(&tables).await;
    service.init().await;
    for (number, (name, values)) in types.iter().enumerate() {
        for order in ["ASC", "DESC"] {
            let body = json!({"table": format!("k{number}"), "limit": 2, "order_by": {"column": "k", "order": order}});
            let rows = paged(&service, &body, &["k", "n"]).await;
            assert_eq!(rows.len(), 3 * values.len(), "{name} {order}");
            let mut all = body;
            all.as_object_mut().unwrap().remove("limit");
            let whole = service.data(all).await;
            assert_eq!(texts(&rows), texts(&serde_json::from_str::<Vec<Row>>(&whole.text).unwrap()), "{name} {order}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_type_of_an_extension_is_compared_as_it_is_ordered() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE TABLE t (k ext.citext, n integer, PRIMARY KEY (k, n)); INSERT INTO t SELECT x, n FROM unnest('{a,B,c,D,\"A2\",b2}'::text[]) x, generate_series(1, 3) n").await;
    postgres.execute("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE u (k text COLLATE nocase NOT NULL); CREATE UNIQUE INDEX ON u (k COLLATE \"C\"); INSERT INTO u VALUES ('a'), ('A')").await;
    service.init().await;
    let rows = paged(&service, &json!({"table": "t", "limit": 2}), &["k", "n"]).await;
    let keys: Vec<String> = rows.iter().map(|row| format!("{} {}", row["k"].get().trim_matches('"'), row["n"])).collect();
    assert_eq!(keys, whole(&postgres, "SELECT string_agg(k || ' ' || n, E'\\x01' ORDER BY k, n) FROM t").await);
    assert_eq!(
        service.data(json!({"table": "u", "after": {"k": "a"}})).await.refusal(),
        (400, String::from("no_key")),
        "to whoever orders, they are the same"
    );
    service.stop().await;
}

#[tokio::test]
async fn an_order_with_many_nulls() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (a integer, b integer, v integer, w text, PRIMARY KEY (b, a)); CREATE INDEX ON t (v); INSERT INTO t SELECT n % 10, n / 10, nullif(n % 4, 0), CASE WHEN n % 3 = 0 THEN 'x' END FROM generate_series(0, 99) n").await;
    service.init().await;
    for (column, order) in [("v", "ASC"), ("v", "DESC"), ("w", "asc"), ("w", "desc"), ("a", "ASC"), ("b", "DESC")] {
        for limit in [1, 7, 25, 99, 100, 1000] {
            let body = json!({"table": "t", "limit": limit, "order_by": {"column": column, "order": order}});
            let others: Vec<&str> = ["b", "a"].into_iter().filter(|key| *key != column).collect();
            let rows = paged(&service, &body, &[&[column][..], &others].concat()).await;
            let keys: Vec<String> = rows.iter().map(|row| format!("{} {}", row["b"], row["a"])).collect();
            let others = others.iter().map(|key| format!(", {key} {order}")).collect::<String>();
            let expected = format!("SELECT string_agg(b || ' ' || a, E'\\x01' ORDER BY {column} {order}{others}) FROM t");
            assert_eq!(keys, whole(&postgres, &expected).await, "{column} {order} by {limit}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn parts_make_a_table() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (a text, b integer, PRIMARY KEY (a, b)); INSERT INTO t SELECT chr(97 + n % 26), n FROM generate_series(1, 1000) n").await;
    service.init().await;
    let splits = [json!({"a": "c", "b": 28}), json!({"a": "c", "b": 10_000}), json!({"a": "q", "b": -1})];
    let mut parts = vec![json!({"table": "t"}); splits.len() + 1];
    for (number, split) in splits.iter().enumerate() {
        parts[number]["until"] = split.clone();
        parts[number + 1]["after"] = split.clone();
    }
    let read = futures_util::future::join_all(parts.into_iter().map(|part| service.lines(part))).await;
    let together: String = read.into_iter().map(|part| part.text).collect();
    let ordered = service.lines(json!({"table": "t", "order_by": {"column": "a"}})).await;
    assert_eq!(together, ordered.text);
    assert_eq!(together.lines().count(), 1000);
    service.stop().await;
}

#[tokio::test]
async fn lines_are_the_rows_of_the_array() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, n numeric, x text, j jsonb, a text[]); INSERT INTO t SELECT n, n / 7.0, E'tab\\t\\n\\\\ \"' || n, jsonb_build_object('n', n), ARRAY[n::text, NULL, E'\\\\'] FROM generate_series(1, 5000) n; CREATE TABLE none (id integer); CREATE TABLE bare (); INSERT INTO bare SELECT FROM generate_series(1, 3)").await;
    service.init().await;
    let lines = service.lines(json!({"table": "t"})).await;
    assert_eq!((lines.status, lines.headers["content-type"].to_str().unwrap()), (200, "application/x-ndjson"));
    let array = service.data(json!({"table": "t"})).await.text;
    assert_eq!(format!("[{}]", lines.text.trim_end().replace('\n', ",")), array);
    assert_eq!(service.lines(json!({"table": "none"})).await.text, "");
    assert_eq!(service.lines(json!({"table": "bare"})).await.text, "{}\n{}\n{}\n");
    assert_eq!(service.data(json!({"table": "none"})).await.text, "[]");
    let page = service.lines(json!({"table": "t", "limit": 2, "after": {"id": 4998}, "columns": ["ID"]})).await;
    assert_eq!(page.text, "{\"id\":4999}\n{\"id\":5000}\n");
    let wrong = service.lines(json!({"table": "nowhere"})).await;
    assert_eq!(wrong.refusal(), (404, String::from("no_such_table")));
    service.stop().await;
}

#[tokio::test]
async fn columns_and_numbers_are_as_asked_for() {
    let (postgres, service) = start().await;
    postgres.execute(r#"CREATE TABLE t (id bigint PRIMARY KEY, "camelCase" text, n numeric[], t timestamptz); INSERT INTO t VALUES (9007199254740993, 'x', '{1.50,NULL}', '2024-01-01')"#).await;
    service.init().await;
    let text = async |body: Value| service.data(body).await.text;
    let columns = json!({"table": "t", "columns": ["n", "camelCase"]});
    assert_eq!(text(columns).await, r#"[{"n":[1.50,null],"camelCase":"x"}]"#);
    let strings = json!({"table": "t", "columns": ["id", "n"], "numbers": "string", "order_by": {"column": "t"}});
    assert_eq!(text(strings).await, r#"[{"id":"9007199254740993","n":["1.50",null]}]"#);
    let after = |id: Value| json!({"table": "t", "columns": ["t"], "after": {"id": id}});
    assert_eq!(text(after(json!("9007199254740992"))).await, r#"[{"t":"2024-01-01T00:00:00+00:00"}]"#, "as a string too");
    assert_eq!(text(after(json!(9_007_199_254_740_993_u64))).await, "[]", "with every digit");
    for (body, refusal) in [
        (json!({"table": "t", "columns": ["none"]}), (404, "no_such_column")),
        (json!({"table": "t", "columns": []}), (400, "invalid_request")),
        (json!({"table": "t", "columns": ["id", "id"]}), (400, "invalid_request")),
        (json!({"table": "t", "columns": "id"}), (400, "invalid_request")),
        (json!({"table": "t", "numbers": "float"}), (400, "invalid_request")),
    ] {
        assert_eq!(service.data(body.clone()).await.refusal(), (refusal.0, refusal.1.to_owned()), "{body}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_and_does_nothing() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE TABLE t (id integer PRIMARY KEY, x text, p point, j jsonb); INSERT INTO t VALUES (1, 'a'); CREATE TABLE keyless (id integer); CREATE TABLE parent (id integer PRIMARY KEY); CREATE TABLE heir () INHERITS (parent)")
        .await;
    service.init().await;
    let invalid = |after: Value| json!({"table": "t", "after": after});
    for (body, code, pointer) in [
        (invalid(json!({})), "invalid_request", Some("/after")),
        (invalid(json!({"id": 1, "x": "a"})), "invalid_request", Some("/after/x")),
        (invalid(json!({"ID": 1})), "invalid_request", Some("/after/ID")),
        (invalid(json!({"id": null})), "invalid_request", Some("/after/id")),
        (invalid(json!({"id": true})), "invalid_request", Some("/after/id")),
        (invalid(json!({"id": "1; DROP TABLE t"})), "invalid_request", Some("/after")),
        (invalid(json!({"id": "1'::integer) OR true; DROP TABLE t; --"})), "invalid_request", Some("/after")),
        (invalid(json!({"id": "\\'; DROP TABLE t; --"})), "invalid_request", Some("/after")),
        (invalid(json!({"id": 1.5})), "invalid_request", Some("/after")),
        (invalid(json!({"id": 1e30})), "invalid_request", Some("/after")),
        (invalid(json!({"id": "1\u{0}"})), "invalid_request", Some("/after/id")),
        (json!({"table": "t", "after": {"id": 1}, "offset": 1}), "invalid_request", Some("/offset")),
        (json!({"table": "t", "until": {"id": 1}, "order_by": {"column": "x"}}), "invalid_request", Some("/order_by")),
        (json!({"table": "t", "order_by": {"column": "j"}, "after": {"j": null, "id": 1}}), "invalid_request", Some("/after/j")),
        (json!({"table": "t", "order_by": {"column": "p"}, "after": {"p": "(1,2)", "id": 1}}), "no_order", None),
        (json!({"table": "keyless", "after": {"id": 1}}), "no_key", None),
        (json!({"table": "keyless", "until": {"id": 1}}), "no_key", None),
        (json!({"table": "parent", "after": {"id": 1}}), "no_key", None),
    ] {
        let answer = service.data(body.clone()).await;
        assert_eq!(answer.refusal(), (400, code.to_owned()), "{body} {}", answer.text);
        if let Some(pointer) = pointer {
            assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body} {}", answer.text);
        }
    }
    assert_eq!(service.rows(json!({"table": "t", "after": {"id": 0}, "offset": 0})).await.len(), 1);
    postgres.execute("ALTER ROLE CURRENT_USER SET standard_conforming_strings = off").await;
    assert_eq!(
        service.data(json!({"table": "t", "order_by": {"column": "x"}, "after": {"x": "\\'; DROP TABLE t; --", "id": 1}})).await.status,
        200
    );
    service.stop().await;
}

#[tokio::test]
async fn an_export_that_breaks_off_does_not_end_like_a_whole_one() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE TABLE t (id integer PRIMARY KEY, x text); INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n",
        )
        .await;
    service.init().await;
    let request = reqwest::Client::new().post(service.url("/v1/snapshot/data")).header("accept", "application/x-ndjson");
    let mut response = request.body(r#"{"table":"t"}"#).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    postgres
        .execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pgdeltastream snapshot'")
        .await;
    let rest = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(rest.await.is_err());
    assert_eq!(service.lines(json!({"table": "t", "after": {"id": 49_990}})).await.text.lines().count(), 10, "another one goes on");
    service.stop().await;
}

#[tokio::test]
async fn what_there_is_to_read_and_where_to_split_it() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE TABLE large (a integer, b text, filler text, PRIMARY KEY (b, a)); INSERT INTO large SELECT n, md5(n::text), repeat('x', 400) FROM generate_series(1, 40000) n;
             CREATE TABLE p (id integer PRIMARY KEY, x text) PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO p SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n;
             CREATE UNLOGGED TABLE u (id integer PRIMARY KEY); CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
             CREATE SCHEMA s; CREATE TABLE s.keyless (id numeric(5,2) NOT NULL, x text); CREATE TABLE s.parent (id integer PRIMARY KEY); CREATE TABLE s.heir () INHERITS (s.parent);
             ANALYZE large; ANALYZE p",
        )
        .await;
    service.init().await;
    postgres.execute("CREATE TABLE later (id integer)").await;
    let answer = service.get("/v1/snapshot/tables").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let tables = answer.json()["tables"].as_array().unwrap().clone();
    let names: Vec<&str> = tables.iter().map(|table| table["table"].as_str().unwrap()).collect();
    assert_eq!(names, ["large", "m", "p", "p0", "p1", "u", "v", "heir", "keyless", "parent"]);
    let table = |name: &str| tables[names.iter().position(|other| *other == name).unwrap()].clone();
    for (name, kind, streamed) in [
        ("large", "table", true),
        ("m", "materialized view", false),
        ("p", "partitioned table", true),
        ("u", "table", false),
        ("v", "view", false),
    ] {
        assert_eq!(
            (&table(name)["kind"], &table(name)["streamed"], table(name)["why"].is_string()),
            (&json!(kind), &json!(streamed), !streamed),
            "{name}"
        );
    }
    assert_eq!(
        table("keyless")["columns"],
        json!([{"name": "id", "type": "numeric(5,2)", "notNull": true}, {"name": "x", "type": "text", "notNull": false}])
    );
    assert_eq!((&table("keyless")["key"], &table("parent")["key"], &table("large")["key"]), (&json!([]), &json!([]), &json!(["b", "a"])));
    assert_eq!((&table("p0")["partitionOf"], &table("p")["estimatedRows"]), (&json!("\"public\".\"p\""), &json!(20_000)));
    for (name, rows) in [("large", 40_000), ("p", 20_000)] {
        let splits = table(name)["splitPoints"].as_array().unwrap().clone();
        assert!(!splits.is_empty(), "{name}");
        let mut parts = vec![json!({"table": name, "columns": table(name)["key"]}); splits.len() + 1];
        for (number, split) in splits.iter().enumerate() {
            parts[number]["until"] = split.clone();
            parts[number + 1]["after"] = split.clone();
        }
        let read = futures_util::future::join_all(parts.into_iter().map(|part| service.lines(part))).await;
        let counts: Vec<usize> = read.iter().map(|part| part.text.lines().count()).collect();
        assert_eq!(counts.iter().sum::<usize>(), rows, "{name}");
        assert!(counts.iter().all(|count| count * 8 > rows / counts.len()), "parts of about the same size: {counts:?}");
        let mut all: Vec<&str> = read.iter().flat_map(|part| part.text.lines()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), rows, "{name}: no row twice");
    }
    service.create(json!({"name": "of_s", "tables": ["s.*", "p"]})).await;
    let of = async |query: &str| {
        let tables = service.get(&format!("/v1/snapshot/tables?{query}")).await.json()["tables"].clone();
        tables.as_array().unwrap().iter().map(|table| table["table"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("slotName=of_s").await, "p p0 p1 heir keyless parent");
    assert_eq!(of("slotName=of_s&tables=s.keyless,large").await, "keyless");
    assert_eq!(service.get("/v1/snapshot/tables?tables=pg_catalog.*").await.refusal(), (404, String::from("no_such_table")));
    assert_eq!(service.get("/v1/snapshot/tables?slotName=none").await.refusal(), (404, String::from("no_such_stream")));
    service.stop().await;
}

#[tokio::test]
async fn ten_thousand_tables_are_listed() {
    let (postgres, service) = start().await;
    for hundred in 0..100 {
        let tables: String = (0..100).map(|n| format!("CREATE TABLE t{hundred}_{n} (id integer PRIMARY KEY, x text);")).collect();
        postgres.execute(&tables).await;
    }
    service.init().await;
    let answer = service.get("/v1/snapshot/tables").await;
    assert_eq!(answer.json()["tables"].as_array().unwrap().len(), 10_000);
    service.stop().await;
}

#[tokio::test]
async fn a_table_that_was_dropped_since_hides_no_other() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE gone (id integer PRIMARY KEY); CREATE TABLE kept (id integer PRIMARY KEY)").await;
    service.init().await;
    postgres.execute("DROP TABLE gone").await;
    let list = service.get("/v1/snapshot/tables").await.json();
    let tables: Vec<(&Value, &Value)> =
        list["tables"].as_array().unwrap().iter().map(|table| (&table["table"], &table["readable"])).collect();
    assert_eq!(tables, [(&json!("gone"), &json!(false)), (&json!("kept"), &json!(true))]);
    service.stop().await;
}

#[tokio::test]
async fn heirs_are_left_out_where_that_is_asked_for() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE parent (id integer); CREATE TABLE heir () INHERITS (parent)").await;
    postgres.execute("INSERT INTO parent VALUES (1); INSERT INTO heir VALUES (2)").await;
    let slot = service.init().await;
    assert_eq!(service.rows(json!({"table": "parent"})).await, [json!({"id": 1}), json!({"id": 2})]);
    assert_eq!(service.rows(json!({"table": "parent", "only": true})).await, [json!({"id": 1})]);
    // Each row once, under the name that its changes have.
    let output = service.tail(&slot, &["--snapshot", "--limit", "0"]).output().await.unwrap();
    let rows = String::from_utf8(output.stdout).unwrap();
    let expected = [r#"{"schema":"public","table":"heir","row":{"id":2}}"#, r#"{"schema":"public","table":"parent","row":{"id":1}}"#];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    service.stop().await;
}

#[tokio::test]
async fn a_column_whose_operators_are_no_order_is_refused() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, b box, p point); INSERT INTO t VALUES (1, '(1,1),(0,0)', '(1,1)')").await;
    service.init().await;
    for column in ["b", "p"] {
        let order = json!({"column": column});
        let refused = service.data(json!({"table": "t", "order_by": order})).await;
        assert_eq!(refused.refusal(), (400, String::from("no_order")), "{column}");
        let after = json!({"id": 1, column: "(1,1),(0,0)"});
        let refused = service.data(json!({"table": "t", "order_by": order, "after": after})).await;
        assert_eq!(refused.status, 400, "{column}: {}", refused.text);
    }
    service.stop().await;
}
