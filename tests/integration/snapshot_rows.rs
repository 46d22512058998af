//! Rows of the snapshot: which, in which order, and what a value of each type looks like.

use serde_json::{Value, json};

use crate::harness::{Postgres, Service, start};

async fn column(service: &Service, body: Value, name: &str) -> Vec<Value> {
    service.rows(body).await.into_iter().map(|mut row| row[name].take()).collect()
}

#[tokio::test]
async fn pages_tile_in_every_order() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (a integer, b integer, v integer, PRIMARY KEY (b, a)); INSERT INTO t SELECT n, n / 10, n % 3 FROM generate_series(1, 100) n").await;
    postgres.execute("CREATE TABLE loose (n integer, v integer); INSERT INTO loose SELECT n, n % 3 FROM generate_series(1, 100) n; CREATE INDEX ON loose (v)").await;
    postgres.execute("CREATE TABLE parent (n integer PRIMARY KEY, v integer); CREATE TABLE heir () INHERITS (parent); INSERT INTO parent SELECT n, 1 FROM generate_series(1, 50) n; INSERT INTO heir SELECT n, 2 FROM generate_series(1, 50) n").await;
    service.init().await;
    for (table, order_by) in [
        ("t", None),
        ("t", Some(("v", "ASC"))),
        ("t", Some(("V", "desc"))),
        ("loose", None),
        ("loose", Some(("v", "DESC"))),
        ("parent", None),
        ("t", Some(("a", "Desc"))),
    ] {
        let mut all = vec![];
        for offset in (0..100).step_by(30) {
            let mut body = json!({"table": table, "offset": offset, "limit": 30});
            if let Some((column, order)) = order_by {
                body["order_by"] = json!({"column": column, "order": order});
            }
            all.extend(service.rows(body).await);
        }
        let mut different = all.clone();
        different.sort_by_key(Value::to_string);
        different.dedup();
        assert_eq!((all.len(), different.len()), (100, 100), "{table} {order_by:?}");
    }
    let first = column(&service, json!({"table": "t", "offset": 0, "limit": 3, "order_by": {"column": "v", "order": "DESC"}}), "a").await;
    assert_eq!(first, [98, 95, 92], "the key follows in the same direction");
    assert_eq!(column(&service, json!({"table": "t", "offset": 98, "limit": 30}), "a").await, [99, 100]);
    assert!(service.rows(json!({"table": "t", "offset": 100, "limit": 30})).await.is_empty());
    assert!(service.rows(json!({"table": "t", "offset": 0, "limit": 0})).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn the_key_is_the_primary_key_or_else_a_unique_index_over_columns_that_are_never_null() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE u (a integer UNIQUE, b integer NOT NULL, c integer); CREATE UNIQUE INDEX ON u (b) INCLUDE (c); INSERT INTO u SELECT n, -n, n FROM generate_series(1, 9) n").await;
    service.init().await;
    assert_eq!(column(&service, json!({"table": "u", "offset": 0, "limit": 3}), "b").await, [-9, -8, -7]);
    service.stop().await;
}

#[tokio::test]
async fn names_are_read_as_in_sql() {
    let (postgres, service) = start().await;
    postgres.execute(r#"CREATE SCHEMA "Shop"; CREATE TABLE "Shop"."Odd ""name; drop table x" ("createdAt" integer, "Größe "" x" text, id integer PRIMARY KEY);
        INSERT INTO "Shop"."Odd ""name; drop table x" VALUES (2, 'ä', 1), (1, 'b', 2);
        CREATE TABLE "Mixed" (id integer); INSERT INTO "Mixed" VALUES (7); CREATE TABLE mixed (id integer); INSERT INTO mixed VALUES (8); CREATE TABLE t (t text, no_columns integer); INSERT INTO t VALUES ('t');
        CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES"#).await;
    let slot = service.init().await;
    let odd = |column: &str| json!({"table": r#""Shop"."Odd ""name; drop table x""#, "offset": 0, "limit": 9, "order_by": {"column": column, "order": "asc"}});
    let rows = [json!({"createdAt": 1, "Größe \" x": "b", "id": 2}), json!({"createdAt": 2, "Größe \" x": "ä", "id": 1})];
    for column in ["createdAt", "\"createdAt\""] {
        assert_eq!(service.rows(odd(column)).await, rows, "{column}");
    }
    for column in ["ID", "\"Größe \"\" x\"", "Größe \" x"] {
        assert_eq!(service.rows(odd(column)).await.len(), 2, "{column}");
    }
    for (table, id) in [("\"Mixed\"", 7), ("Mixed", 8), ("public.MIXED", 8), ("PUBLIC.\"Mixed\"", 7)] {
        assert_eq!(service.rows(json!({"table": table, "offset": 0, "limit": 9})).await, [json!({ "id": id })], "{table}");
    }
    assert_eq!(service.rows(json!({"table": "t", "offset": 0, "limit": 9})).await, [json!({"t": "t", "no_columns": null})]);
    assert_eq!(service.rows(json!({"table": "bare", "offset": 0, "limit": 9})).await, [json!({})]);
    let mut client = service.stream(&slot).await;
    postgres.execute(r#"DELETE FROM "Shop"."Odd ""name; drop table x" WHERE id = 1"#).await;
    let (changes, _) = client.transaction().await;
    assert_eq!((&changes[0]["schema"], &changes[0]["table"]), (&json!("Shop"), &json!(r#"Odd "name; drop table x"#)));
    service.stop().await;
}

#[tokio::test]
async fn views_and_partitioned_tables_have_rows_too() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO p SELECT generate_series(1, 10)").await;
    postgres.execute("CREATE VIEW v AS SELECT id, id * 2 AS twice FROM p; CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM p").await;
    service.init().await;
    postgres.execute("INSERT INTO p VALUES (11)").await;
    assert_eq!(column(&service, json!({"table": "p", "offset": 0, "limit": 99}), "id").await, (1..=10).collect::<Vec<_>>());
    assert_eq!(service.rows(json!({"table": "v", "offset": 0, "limit": 99})).await.len(), 10);
    assert_eq!(service.rows(json!({"table": "m", "offset": 0, "limit": 99})).await, [json!({"n": 10})]);
    service.stop().await;
}

#[tokio::test]
async fn a_large_table_comes_whole_and_a_reader_that_leaves_is_forgotten() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, filling text); INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n").await;
    service.init().await;
    let client = reqwest::Client::new();
    for _ in 0..12 {
        let request = client.post(service.url("/v1/snapshot/data")).body(r#"{"table":"t","offset":0,"limit":40000}"#);
        let mut response = request.send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        drop(response);
    }
    let all = service.rows(json!({"table": "t", "offset": 0, "limit": 1_000_000})).await;
    assert!(all.iter().map(|row| row["id"].as_u64().unwrap()).eq(1..=40_000));
    assert_eq!(service.rows(json!({"table": "t"})).await.len(), 40_000, "without a limit, all");
    let readers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgdeltastream snapshot' AND state <> 'idle' AND datname = current_database()";
    crate::harness::eventually("readers to be gone", async || (postgres.text(readers).await? == "0").then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn a_page_that_breaks_off_does_not_end_like_a_whole_one() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE TABLE t (id integer, filling text); INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 30000) n")
        .await;
    service.init().await;
    let request = reqwest::Client::new().post(service.url("/v1/snapshot/data")).body(r#"{"table":"t"}"#);
    let mut response = request.send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgdeltastream snapshot' AND datname = current_database()").await;
    let end = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "the connection is broken off");
    service.stop().await;
}

/// Column type, SQL value, JSON.
const TYPES: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("smallint", "-32768", "-32768"),
    ("integer", "2147483647", "2147483647"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("real", "'1e-05'", "1e-05"),
    ("double precision", "'-0'", "-0"),
    ("double precision", "0.1::float8 + 0.2::float8", "0.30000000000000004"),
    ("double precision", "'NaN'", r#""NaN""#),
    ("real", "'-Infinity'", r#""-Infinity""#),
    ("numeric", "12345678901234567890.1234567890000", "12345678901234567890.1234567890000"),
    ("numeric", "'Infinity'", r#""Infinity""#),
    ("numeric(10,4)", "0", "0.0000"),
    ("text", r#"E'a"b\\c\n\t\u0001é😀'"#, r#""a\"b\\c\n\t\u0001é😀""#),
    ("text", "NULL", "null"),
    ("varchar(5)", "'ab'", r#""ab""#),
    ("char(4)", "'ab'", r#""ab  ""#),
    (r#""char""#, "'c'", r#""c""#),
    ("name", "'n'", r#""n""#),
    ("json", "E'{\"a\":  1e400,\\n \"a\": [0.10]}'", r#"{"a":  1e400,  "a": [0.10]}"#),
    ("jsonb", r#"'{"b": null, "a": 1.50}'"#, r#"{"a": 1.50, "b": null}"#),
    ("jsonpath", "'$.a'", r#""$.\"a\"""#),
    ("timestamp", "'2024-02-29 12:34:56.789'", r#""2024-02-29T12:34:56.789""#),
    ("timestamptz", "'2024-02-29 12:34:56.789+05:30'", r#""2024-02-29T07:04:56.789+00:00""#),
    ("timestamp", "'infinity'", r#""infinity""#),
    ("timestamptz", "'0044-03-15 12:00:00+00 BC'", r#""0044-03-15 12:00:00+00 BC""#),
    ("date", "'2024-02-29'", r#""2024-02-29""#),
    ("time", "'12:34:56.5'", r#""12:34:56.5""#),
    ("timetz", "'12:34:56+02'", r#""12:34:56+02""#),
    ("interval", "'1 year 2 mons -3 days 04:05:06.7'", r#""1 year 2 mons -3 days +04:05:06.7""#),
    ("bytea", r"'\xdeadbeef00'", r#""\\xdeadbeef00""#),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
    ("xml", "'<a>1</a>'", r#""<a>1</a>""#),
    ("bit(3)", "B'101'", r#""101""#),
    ("varbit", "B'10'", r#""10""#),
    ("money", "'12.34'", r#""$12.34""#),
    ("oid", "42", r#""42""#),
    ("regclass", "'pg_class'", r#""pg_class""#),
    ("inet", "'192.168.0.1/24'", r#""192.168.0.1/24""#),
    ("cidr", "'10.0.0.0/8'", r#""10.0.0.0/8""#),
    ("macaddr", "'08:00:2b:01:02:03'", r#""08:00:2b:01:02:03""#),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", r#""08:00:2b:01:02:03:04:05""#),
    ("point", "'(1,2)'", r#""(1,2)""#),
    ("line", "'{1,2,3}'", r#""{1,2,3}""#),
    ("lseg", "'[(0,0),(1,1)]'", r#""[(0,0),(1,1)]""#),
    ("box", "'(1,1),(0,0)'", r#""(1,1),(0,0)""#),
    ("path", "'((0,0),(1,1))'", r#""((0,0),(1,1))""#),
    ("polygon", "'((0,0),(1,1),(1,0))'", r#""((0,0),(1,1),(1,0))""#),
    ("circle", "'<(0,0),1>'", r#""<(0,0),1>""#),
    ("tsvector", "'a:1 b:2'", r#""'a':1 'b':2""#),
    ("tsquery", "'a & b'", r#""'a' & 'b'""#),
    ("pg_lsn", "'0/170FCB0'", r#""0/170FCB0""#),
    ("txid_snapshot", "'10:20:15'", r#""10:20:15""#),
    ("pg_snapshot", "'10:20:15'", r#""10:20:15""#),
    ("xid", "'7'", r#""7""#),
    ("xid8", "'7'", r#""7""#),
    ("cid", "'7'", r#""7""#),
    ("tid", "'(0,1)'", r#""(0,1)""#),
    ("int2vector", "'1 2'", r#""1 2""#),
    ("oidvector", "'1 2'", r#""1 2""#),
    ("int4range", "'[1,5)'", r#""[1,5)""#),
    ("tstzrange", "'[2024-01-01 00:00+00,)'", r#""[\"2024-01-01 00:00:00+00\",)""#),
    ("nummultirange", "'{[1,2),(3,4]}'", r#""{[1,2),(3,4]}""#),
    ("integer[]", "'{1,NULL,3}'", "[1,null,3]"),
    ("integer[]", "'{}'", "[]"),
    ("integer[][]", "'[0:1][5:6]={{1,2},{3,4}}'", "[[1,2],[3,4]]"),
    ("text[]", r#"'{"a,b","say \"hi\"","NULL",NULL,"back\\slash"}'"#, r#"["a,b","say \"hi\"","NULL",null,"back\\slash"]"#),
    ("boolean[]", "'{t,f}'", "[true,false]"),
    ("numeric[]", "'{1.50,NaN}'", r#"[1.50,"NaN"]"#),
    ("timestamptz[]", "'{2024-01-01 00:00:00+00}'", r#"["2024-01-01T00:00:00+00:00"]"#),
    ("jsonb[]", r#"ARRAY['{"a": [1, "x,y"]}'::jsonb]"#, r#"[{"a": [1, "x,y"]}]"#),
    ("box[]", "'{(1,1),(0,0);(2,2),(1,1)}'", r#"["(1,1),(0,0)","(2,2),(1,1)"]"#),
    ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", r#"["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]"#),
    ("mood", "'so \"so\"'", r#""so \"so\"""#),
    ("mood[]", r#"'{sad,"so \"so\""}'"#, r#"["sad","so \"so\""]"#),
    ("positive", "5", "5"),
    ("positive[]", "'{5,6}'", "[5,6]"),
    ("twice", "7", "7"),
    ("numbers", "'{1,2}'", "[1,2]"),
    ("happening", "'2024-01-01 00:00:00+00'", r#""2024-01-01T00:00:00+00:00""#),
    ("pair", "ROW(1, 'x,y')", r#""(1,\"x,y\")""#),
    ("pair[]", "ARRAY[ROW(1, 'x')::pair]", r#"["(1,x)"]"#),
];

async fn with_all_types(postgres: &Postgres) {
    postgres.execute("CREATE TYPE mood AS ENUM ('sad', 'so \"so\"'); CREATE DOMAIN positive AS integer CHECK (value > 0); CREATE DOMAIN twice AS positive; CREATE DOMAIN numbers AS integer[]; CREATE DOMAIN happening AS timestamptz; CREATE TYPE pair AS (a integer, b text)").await;
    let columns: Vec<String> = TYPES.iter().enumerate().map(|(index, (name, ..))| format!("c{index} {name}")).collect();
    let values: Vec<&str> = TYPES.iter().map(|(_, value, _)| *value).collect();
    postgres
        .execute(&format!("CREATE TABLE every_type ({}); INSERT INTO every_type VALUES ({})", columns.join(", "), values.join(", ")))
        .await;
}

#[tokio::test]
async fn every_built_in_type_looks_as_the_row_model_says_whatever_the_server_is_set_to() {
    let postgres = Postgres::with_settings(&[
        ("TimeZone", "Asia/Tokyo"),
        ("DateStyle", "German"),
        ("IntervalStyle", "iso_8601"),
        ("extra_float_digits", "0"),
        ("bytea_output", "escape"),
        ("statement_timeout", "1h"),
        ("default_transaction_isolation", "serializable"),
    ])
    .await;
    with_all_types(&postgres).await;
    let service = Service::start(&postgres).await;
    let slot = service.init().await;
    let answer = service.data(json!({"table": "every_type", "offset": 0, "limit": 1})).await;
    let expected: Vec<String> = TYPES.iter().enumerate().map(|(index, (_, _, json))| format!("\"c{index}\":{json}")).collect();
    let got = answer.text.strip_prefix("[{").and_then(|text| text.strip_suffix("}]")).unwrap_or_else(|| panic!("{}", answer.text));
    for (index, pair) in expected.iter().enumerate() {
        assert!(format!("{got},").contains(&format!("{pair},")), "{:?}: expected {pair} in {got}", TYPES[index]);
    }
    assert_eq!(got, expected.join(","));

    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO every_type SELECT * FROM every_type").await;
    let (changes, _) = client.transaction().await;
    assert_eq!(changes[0]["columnvalues"].as_array().unwrap().len(), TYPES.len());
    let streamed = |name: &str| changes[0]["columnvalues"][TYPES.iter().position(|(kind, ..)| *kind == name).unwrap()].clone();
    assert_eq!(streamed("timestamptz"), "2024-02-29 07:04:56.789+00");
    assert_eq!(streamed("bytea"), "deadbeef00");
    service.stop().await;
}
