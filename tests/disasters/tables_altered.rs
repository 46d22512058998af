//! Tables are altered, renamed and dropped while they are streamed. More of it, with changes that are read long after, is in
//! `tests/integration/altered_tables.rs`.

use serde_json::{Value, json};

use crate::end;
use crate::harness::{Client, Postgres, Service};

const STORY: &str = "
    INSERT INTO t VALUES (1, 'a');
    ALTER TABLE t ADD x integer DEFAULT 7;
    INSERT INTO t VALUES (2, 'b', 8);
    ALTER TABLE t RENAME name TO label;
    UPDATE t SET label = 'c' WHERE id = 2;
    ALTER TABLE t ALTER x TYPE text USING 'number ' || x;
    INSERT INTO t VALUES (3, 'd', 'nine');
    ALTER TABLE t DROP x;
    DELETE FROM t WHERE id = 3;
    ALTER TABLE t RENAME TO renamed;
    INSERT INTO renamed VALUES (4, 'e');
    DROP TABLE renamed;
    CREATE TABLE t (id text PRIMARY KEY);
    INSERT INTO t VALUES ('five')";

async fn follow(format: &str) -> (Postgres, Service, Client) {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, name text)").await;
    let slot = service.init().await;
    let client = service.stream_with(&slot, &[("format", format)]).await.unwrap();
    for statement in STORY.split(';') {
        postgres.execute(statement).await;
    }
    (postgres, service, client)
}

#[tokio::test]
async fn events_say_what_each_change_was() {
    let (_postgres, service, mut client) = follow("events").await;
    let expected = [
        json!({"op": "insert", "table": "t", "new": {"id": 1, "name": "a"}}),
        json!({"op": "insert", "table": "t", "new": {"id": 2, "name": "b", "x": 8}}),
        json!({"op": "update", "table": "t", "key": {"id": 2}, "new": {"id": 2, "label": "c", "x": 8}}),
        json!({"op": "insert", "table": "t", "new": {"id": 3, "label": "d", "x": "nine"}}),
        json!({"op": "delete", "table": "t", "key": {"id": 3}}),
        json!({"op": "insert", "table": "renamed", "new": {"id": 4, "label": "e"}}),
        json!({"op": "insert", "table": "t", "new": {"id": "five"}}),
    ];
    for expected in expected {
        // ALTER … TYPE writes the rows anew, which nobody is to see.
        let mut event = client.next().await["events"][0].clone();
        for member in ["id", "schema"] {
            event.as_object_mut().unwrap().remove(member);
        }
        assert_eq!(event, expected);
    }
    client.leave().await;
    end(service).await;
}

#[tokio::test]
async fn transactions_say_what_wal2json_says() {
    let (_postgres, service, mut client) = follow("wal2json-v1").await;
    let expected =
        [json!([1, "a"]), json!([2, "b", 8]), json!([2, "c", 8]), json!([3, "d", "nine"]), Value::Null, json!([4, "e"]), json!(["five"])];
    for expected in expected {
        assert_eq!(client.transaction().await.0[0]["columnvalues"], expected);
    }
    client.leave().await;
    end(service).await;
}
