//! `format=events`: rows as objects, with what each is known by, what it was, and what did not change.

use pgdeltastream::lsn::Lsn;
use serde_json::{Value, json};

use crate::harness::{Client, Postgres, Service, eventually, start};

async fn events(service: &Service, slot: &str, parameters: &[(&str, &str)]) -> Client {
    service.stream_with(slot, &[&[("format", "events")], parameters].concat()).await.unwrap_or_else(|answer| panic!("{answer:?}"))
}

/// The events of the next message, which is a whole transaction.
async fn transaction(client: &mut Client) -> (Vec<Value>, String) {
    let message = client.next().await;
    assert_eq!((&message["part"], &message["last"]), (&json!(0), &json!(true)), "{message}");
    let position = message["nextlsn"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned();
    (message["events"].as_array().unwrap().clone(), position)
}

/// An event without its id.
fn told(event: &Value) -> Value {
    let mut event = event.clone();
    assert!(event.as_object_mut().unwrap().remove("id").unwrap().is_string());
    event
}

#[tokio::test]
async fn a_message_says_which_transaction_it_is() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, name text)").await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    postgres.execute("INSERT INTO t VALUES (3, 'newval1')").await;
    let xid: u64 = postgres.text("SELECT xmin FROM t").await.unwrap().parse().unwrap();
    let message = client.next().await;
    assert_eq!(message["xid"], json!(xid));
    let time = message["commitTime"].as_str().unwrap();
    assert!(time.len() > 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    let event = &message["events"][0];
    assert_eq!(told(event), json!({"op": "insert", "schema": "public", "table": "t", "new": {"id": 3, "name": "newval1"}}));
    let id = event["id"].as_str().unwrap();
    assert!(id.split('/').count() == 5 && id.ends_with("/0"), "{id}");
    let position = message["nextlsn"].as_str().unwrap().to_owned();
    client.acknowledge(&position).await;
    let position = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn what_a_row_was_depends_on_the_replica_identity() {
    let (postgres, service) = start().await;
    for (table, identity) in [("d", "DEFAULT"), ("f", "FULL"), ("n", "NOTHING"), ("i", "USING INDEX i_code")] {
        postgres.execute(&format!("CREATE TABLE {table} (id integer PRIMARY KEY, code integer NOT NULL, big text, note text); ALTER TABLE {table} ALTER big SET STORAGE EXTERNAL; CREATE UNIQUE INDEX {table}_code ON {table} (code); ALTER TABLE {table} REPLICA IDENTITY {identity}")).await;
        postgres.execute(&format!("INSERT INTO {table} VALUES (1, 10, repeat('x', 3000), NULL)")).await;
    }
    postgres
        .execute(
            "CREATE TABLE keyless (a integer, b text); ALTER TABLE keyless REPLICA IDENTITY FULL; INSERT INTO keyless VALUES (1, NULL)",
        )
        .await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    let big = "x".repeat(3000);
    for table in ["d", "i", "n", "f"] {
        postgres.execute(&format!("UPDATE {table} SET note = 'a'; UPDATE {table} SET id = 2, code = 20; DELETE FROM {table}")).await;
    }
    let of = |op: &str, table: &str, rest: Value| {
        let mut event = json!({"op": op, "schema": "public", "table": table});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event
    };
    for (table, key, changed) in [("d", json!({"id": 1}), json!({"id": 2})), ("i", json!({"code": 10}), json!({"code": 20}))] {
        let (told_events, _) = transaction(&mut client).await;
        let expected = [
            of("update", table, json!({"key": key, "new": {"id": 1, "code": 10, "note": "a"}, "unchanged": ["big"]})),
            of("update", table, json!({"key": key, "new": {"id": 2, "code": 20, "note": "a"}, "unchanged": ["big"]})),
            of("delete", table, json!({"key": changed})),
        ];
        assert_eq!(told_events.iter().map(told).collect::<Vec<_>>(), expected);
    }
    assert_eq!(client.next().await["notice"]["table"], "n", "nothing of n is told, and that is");
    let (told_events, _) = transaction(&mut client).await;
    let row = |id: u32, code: u32, note: Value| json!({"id": id, "code": code, "big": big, "note": note});
    let expected = [
        of("update", "f", json!({"key": {"id": 1}, "old": row(1, 10, Value::Null), "new": row(1, 10, json!("a"))})),
        of("update", "f", json!({"key": {"id": 1}, "old": row(1, 10, json!("a")), "new": row(2, 20, json!("a"))})),
        of("delete", "f", json!({"key": {"id": 2}, "old": row(2, 20, json!("a"))})),
    ];
    assert_eq!(told_events.iter().map(told).collect::<Vec<_>>(), expected);
    postgres.execute("DELETE FROM keyless").await;
    let (told_events, _) = transaction(&mut client).await;
    assert_eq!(told(&told_events[0]), of("delete", "keyless", json!({"old": {"a": 1, "b": null}})));
    service.stop().await;
}

const TYPES: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN whole AS integer; CREATE DOMAIN truth AS boolean; CREATE DOMAIN bytes AS bytea; CREATE DOMAIN numbers AS integer[]; CREATE DOMAIN inner_whole AS whole;
CREATE TABLE t (
    id integer PRIMARY KEY, touched integer, b boolean, i2 smallint, i8 bigint, f4 real, f8 double precision, f8_tiny double precision, n numeric, n_long numeric, n_scale numeric(10, 4),
    m money, tx text, vc varchar(20), ch char(5), nm name, one "char", by bytea, by_empty bytea, ts timestamp, ts_bc timestamp, ts_inf timestamp, tz timestamptz, d date, ti time, tiz timetz, iv interval,
    j json, jb jsonb, u uuid, ip inet, net cidr, mac macaddr, mac8 macaddr8, bi bit(5), vb varbit, x xml, tsv tsvector, tsq tsquery, o oid, rc regclass, ls pg_lsn,
    pt point, ln line, sg lseg, bx box, pa path, po polygon, ci circle, r4 int4range, rn numrange, rt tstzrange, mr int4multirange, e mood, c pair, dw whole, dt truth, db bytes, dn numbers, diw inner_whole,
    ai integer[], an numeric[], at text[], ab boolean[], aby bytea[], aj jsonb[], atz timestamptz[], abx box[], ae mood[], adw whole[], a2 integer[], alb integer[], aempty text[], nothing text, gen integer GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t VALUES (
    1, 0, true, -32768, 9223372036854775807, 0.1, 1e308, 5e-324, 0.1000, 123456789012345678901234567890123456789012345678901234567890.123456789012345678901234567890, 1.5,
    12.34, E'quote " back \\ line \n tab \t bell \x07 del \x7f emoji 🐘', 'v', 'c', 'n', 'x', '\x00ff10', '', '2024-01-02 03:04:05.678901', '0044-03-15 12:00:00 BC', '-infinity', '2024-01-02 03:04:05.5+02', '2024-01-02', '03:04:05', '03:04:05+02', '1 year -2 days 03:00',
    E'{"a": 1.10,\n "b": [1e2, "\\u00e9"]}', '{"z": 1, "a": 0.1000}', '00000000-0000-0000-0000-000000000001', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '10101', '101', '<a>x</a>', 'a fat cat', 'fat & cat', 26, 'pg_class', '16/B374D848',
    '(1,2)', '{1,2,3}', '[(1,2),(3,4)]', '((1,2),(3,4))', '((1,2),(3,4))', '((1,2),(3,4))', '<(1,2),3>', '[1,5)', '[1.5,2.5]', '[2024-01-01 00:00+00,2024-02-01 00:00+00)', '{[1,3),[5,7)}', 'ok', '(1,"a b")', 5, true, '\xdead', '{1,NULL}', 6,
    '{1,NULL,3}', '{0.10,1e10}', '{"a b",NULL,"NULL","c\"d\\e",""}', '{t,f,NULL}', '{"\\xdead"}', '{"{\"a\": 1}"}', '{"2024-01-02 03:04:05+00"}', '{(1,2),(3,4);(5,6),(7,8)}', '{ok,sad}', '{1,2}', '{{1,2},{3,4}}', '[0:1]={7,8}', '{}', NULL);
ALTER TABLE t REPLICA IDENTITY FULL"#;

#[tokio::test]
async fn a_row_is_the_same_in_the_snapshot_and_in_the_stream() {
    let (postgres, service) = start().await;
    postgres.execute(TYPES).await;
    let slot = service.init().await;
    let answer = service.data(json!({"table": "t"})).await;
    let mut client = events(&service, &slot, &[]).await;
    postgres.execute("UPDATE t SET touched = touched").await;
    let text = client.text().await;
    // The very same text, and not only what a parser makes of it, which may lose digits.
    let row = answer.text.trim().strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    let (_, new) = text.split_once(r#""new":"#).unwrap();
    assert_eq!(new.strip_suffix("}]}").unwrap(), row);
    service.stop().await;
}

#[tokio::test]
async fn numbers_can_be_strings_and_lose_nothing() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE DOMAIN whole AS integer; CREATE TABLE t (i bigint, n numeric, a numeric[], d whole, nan float8, t text)")
        .await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[("numbers", "string")]).await;
    postgres.execute("INSERT INTO t VALUES (9007199254740993, 0.1000, '{1,NULL,2.50}', 5, 'NaN', '7')").await;
    let (told_events, _) = transaction(&mut client).await;
    let new = json!({"i": "9007199254740993", "n": "0.1000", "a": ["1", null, "2.50"], "d": "5", "nan": null, "t": "7"});
    assert_eq!(told_events[0]["new"], new);
    service.stop().await;
}

/// The ids of all events of the transactions that end up to there, each with what it says.
async fn ids(service: &Service, slot: &str, end: Lsn, filter: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut client = events(service, slot, &[&[("emptyTransactions", "true")], filter].concat()).await;
    let mut ids = vec![];
    loop {
        let message = client.next().await;
        if message["nextlsn"].as_str().is_some_and(|position| position.parse::<Lsn>().unwrap() > end) {
            client.leave().await;
            return ids;
        }
        let events = message["events"].as_array().unwrap();
        ids.extend(events.iter().map(|event| (event["id"].as_str().unwrap().to_owned(), told(event).to_string())));
    }
}

#[tokio::test]
async fn ids_are_the_same_at_every_delivery_and_through_every_filter() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE a (id integer PRIMARY KEY, v text); CREATE TABLE b (id integer PRIMARY KEY); CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)").await;
    let slot = service.init().await;
    for (table, rows) in [("a (id)", 300), ("b", 200), ("p", 50)] {
        let rows: String = (1..=rows).map(|id| format!("{id}\n")).collect();
        postgres.copy(&format!("COPY {table} FROM STDIN"), &rows).await;
    }
    postgres.execute("BEGIN; INSERT INTO a VALUES (0); UPDATE a SET v = 'x' WHERE id < 5; DELETE FROM b WHERE id < 5; SELECT pg_logical_emit_message(true, 'p', 'c'); INSERT INTO b VALUES (1000); SELECT pg_logical_emit_message(true, 'p', 'd'); TRUNCATE b, a, p; INSERT INTO b VALUES (7); COMMIT").await;
    postgres.execute("SELECT pg_logical_emit_message(false, 'outside', '')").await;
    let end = postgres.text("SELECT pg_current_wal_insert_lsn()").await.unwrap().parse().unwrap();
    postgres.execute("CREATE TABLE the_end ()").await;
    let all = ids(&service, &slot, end, &[]).await;
    let mut different: Vec<&String> = all.iter().map(|(id, _)| id).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), all.len(), "each event has an id of its own");
    assert_eq!(all.len(), 550 + 1 + 5 + 4 + 1 + 1 + 1 + 5 + 1 + 1);
    assert_eq!(ids(&service, &slot, end, &[]).await, all, "the same at the next delivery");
    let filters: [&[(&str, &str)]; 6] = [
        &[("tables", "b")],
        &[("excludeTables", "public.b")],
        &[("actions", "insert,truncate")],
        &[("messages", "false")],
        &[("tables", "p,a"), ("actions", "insert,truncate,delete")],
        &[("tables", "public.*"), ("excludeTables", "p")],
    ];
    for filter in filters {
        let some = ids(&service, &slot, end, filter).await;
        assert!(some.len() > 50 && some.len() < all.len(), "{filter:?}: {}", some.len());
        let mut rest = all.iter();
        assert!(some.iter().all(|event| rest.any(|other| other == event)), "{filter:?}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_long_transaction_comes_in_parts_and_only_the_last_can_be_acknowledged() {
    let postgres = Postgres::start().await;
    let service = Service::start_with(&postgres, &["--maxMessageBytes", "2000"]).await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, filling text)").await;
    let slot = service.init().await;
    postgres.execute("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 100) n").await;
    postgres.execute("INSERT INTO t VALUES (0, repeat('y', 5000))").await;
    for round in 0..2 {
        let mut client = events(&service, &slot, &[]).await;
        let (mut rows, mut parts) = (vec![], 0);
        let position = loop {
            let text = client.text().await;
            assert!(text.len() <= 2000, "{}", text.len());
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["part"], json!(parts), "round {round}: from the first part again");
            assert_eq!(message["last"], json!(message.get("nextlsn").is_some()));
            assert!(message["xid"].is_number() && message["commitTime"].is_string());
            rows.extend(message["events"].as_array().unwrap().iter().map(|event| event["new"]["id"].as_u64().unwrap()));
            parts += 1;
            if let Some(position) = message["nextlsn"].as_str() {
                break position.to_owned();
            }
        };
        assert!(parts > 5 && rows.into_iter().eq(1..=100));
        if round == 0 {
            client.leave().await;
            continue;
        }
        let long = client.next().await;
        assert_eq!((&long["part"], &long["events"][0]["new"]["id"]), (&json!(0), &json!(0)), "a single event may be longer");
        client.acknowledge(&position).await;
        let position = position.parse().unwrap();
        eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn a_table_that_nothing_tells_rows_of_apart_is_told_of_once_and_never_first() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE loose (a integer); CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO loose VALUES (1)").await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    for _ in 0..3 {
        postgres.execute("UPDATE loose SET a = a + 1").await;
    }
    postgres.execute("DELETE FROM loose").await;
    postgres.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(transaction(&mut client).await.0[0]["table"], "t", "events come first");
    let notice = client.next().await;
    assert_eq!((&notice["notice"]["code"], &notice["notice"]["schema"]), (&json!("no_replica_identity"), &json!("public")));
    assert_eq!(notice["notice"]["table"], "loose");
    assert!(notice["notice"]["message"].as_str().unwrap().contains("REPLICA IDENTITY FULL"));
    postgres.execute("INSERT INTO loose VALUES (1); DELETE FROM loose").await;
    let (told_events, _) = transaction(&mut client).await;
    assert_eq!(told_events.len(), 1, "the insert is told, the delete is not");
    assert!(client.is_silent().await, "and nobody is told of the table again");
    let mut client = events(&service, &slot, &[("excludeTables", "loose")]).await;
    postgres.execute("INSERT INTO t VALUES (2)").await;
    while transaction(&mut client).await.0[0]["new"]["id"] != 2 {}
    assert!(client.is_silent().await, "it is not this client's");
    service.stop().await;
}

#[tokio::test]
async fn messages_come_with_their_transaction_or_alone_or_not_at_all() {
    let (postgres, service) = start().await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    postgres.execute("SELECT pg_logical_emit_message(true, 'p', 'in \"x\"')").await;
    let (told_events, _) = transaction(&mut client).await;
    assert_eq!(told(&told_events[0]), json!({"op": "message", "prefix": "p", "content": "in \"x\"", "transactional": true}));
    postgres.execute("SELECT pg_logical_emit_message(false, 'p', 'out'); SELECT pg_logical_emit_message(true, 'pgdeltastream', 'ours'); SELECT pg_logical_emit_message(true, 'p', 'in')").await;
    let alone = client.next().await;
    assert_eq!((&alone["xid"], alone.get("nextlsn")), (&Value::Null, None));
    assert_eq!(told(&alone["events"][0]), json!({"op": "message", "prefix": "p", "content": "out", "transactional": false}));
    let (told_events, position) = transaction(&mut client).await;
    assert_eq!((told_events.len(), &told_events[0]["content"]), (1, &json!("in")), "those of the service itself never appear");
    client.acknowledge(&position).await;
    postgres.execute("CREATE TABLE t (id integer)").await;
    let mut client = events(&service, &slot, &[("messages", "false")]).await;
    postgres.execute("SELECT pg_logical_emit_message(true, 'p', ''), pg_logical_emit_message(false, 'p', '')").await;
    postgres.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(transaction(&mut client).await.0[0]["op"], "insert");
    service.stop().await;
}

#[tokio::test]
async fn a_table_may_change_while_it_is_streamed() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer)").await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    let mut change = async |sql: &str| {
        postgres.execute(sql).await;
        transaction(&mut client).await.0.pop().unwrap()
    };
    assert_eq!(change("INSERT INTO t VALUES (1, 7)").await["new"], json!({"id": 1, "n": 7}));
    assert_eq!(
        change("ALTER TABLE t ADD c numeric[]; INSERT INTO t VALUES (2, 7, '{1.50}')").await["new"],
        json!({"id": 2, "n": 7, "c": [1.50]})
    );
    postgres.execute("ALTER TABLE t ALTER n TYPE text; ALTER TABLE t RENAME n TO \"N\"").await;
    assert_eq!(change("UPDATE t SET \"N\" = '007' WHERE id = 1").await["new"], json!({"id": 1, "N": "007", "c": null}));
    assert_eq!(change("ALTER TABLE t DROP c; UPDATE t SET \"N\" = NULL WHERE id = 1").await["new"], json!({"id": 1, "N": null}));
    let event = change("ALTER TABLE t REPLICA IDENTITY FULL; DELETE FROM t WHERE id = 2").await;
    assert_eq!((&event["key"], &event["old"]), (&json!({"id": 2}), &json!({"id": 2, "N": "7"})));
    let event = change("ALTER TABLE t REPLICA IDENTITY DEFAULT; DELETE FROM t WHERE id = 1").await;
    assert_eq!((&event["key"], event.get("old")), (&json!({"id": 1}), None));
    assert_eq!(
        change("DROP TABLE t; CREATE TABLE t (x timestamptz); INSERT INTO t VALUES ('2024-01-01 00:00+00')").await["new"],
        json!({"x": "2024-01-01T00:00:00+00:00"})
    );
    service.stop().await;
}

#[tokio::test]
async fn what_nobody_can_tell_of_an_old_change_is_not_told() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, big text, n integer); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t VALUES (1, repeat('x', 3000), 0)").await;
    postgres.execute("CREATE TABLE gone (id integer PRIMARY KEY, n integer); INSERT INTO gone VALUES (1, 0)").await;
    let slot = service.init().await;
    // Nobody reads; then the tables are altered.
    postgres.execute("UPDATE t SET n = 1").await;
    postgres.execute("ALTER TABLE t ADD late text").await;
    postgres.execute("UPDATE gone SET n = 1").await;
    postgres.execute("UPDATE t SET n = 2").await;
    postgres.execute("DROP TABLE gone").await;
    let mut client = events(&service, &slot, &[]).await;
    let mut next = async || told(&transaction(&mut client).await.0[0]);
    let update = |n: u32| json!({"op": "update", "schema": "public", "table": "t", "key": {"id": 1}, "new": {"id": 1, "n": n}});
    let with = |mut event: Value, member: &str, value: Value| {
        event[member] = value;
        event
    };
    assert_eq!(next().await, with(update(1), "unchangedUnknown", json!(true)), "late may have been there, unchanged, or not");
    assert_eq!(
        next().await,
        json!({"op": "update", "schema": "public", "table": "gone", "key": {"id": 1}, "new": {"id": 1, "n": 1}, "unchangedUnknown": true})
    );
    assert_eq!(next().await, with(with(update(2), "unchanged", json!(["big"])), "new", json!({"id": 1, "n": 2, "late": null})));
    service.stop().await;
}

#[tokio::test]
async fn a_partition_says_what_it_is_a_part_of() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE SCHEMA parts; CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parts.p0 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id); CREATE TABLE p00 PARTITION OF parts.p0 FOR VALUES FROM (0) TO (5)").await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[("tables", "p")]).await;
    postgres.execute("INSERT INTO p VALUES (1)").await;
    let (told_events, _) = transaction(&mut client).await;
    assert_eq!(told(&told_events[0]), json!({"op": "insert", "schema": "public", "table": "p00", "root": "p", "new": {"id": 1}}));
    postgres.execute("CREATE TABLE parts.p1 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)").await;
    let (told_events, _) = transaction(&mut client).await;
    let expected = json!({"op": "insert", "schema": "parts", "table": "p1", "root": "p", "rootSchema": "public", "new": {"id": 11}});
    assert_eq!(told(&told_events[0]), expected, "attached after the stream was opened");
    service.stop().await;
}

#[tokio::test]
async fn empty_transactions_come_only_if_they_are_wanted() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer)").await;
    let slot = service.init().await;
    let mut client = events(&service, &slot, &[]).await;
    postgres.execute("CREATE TABLE u ()").await;
    postgres.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(transaction(&mut client).await.0.len(), 1);
    let mut client = events(&service, &slot, &[("emptyTransactions", "true")]).await;
    postgres.execute("CREATE TABLE v ()").await;
    while !transaction(&mut client).await.0.is_empty() {}
    service.stop().await;
}
