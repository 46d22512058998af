//! A snapshot sees nothing of a table that was truncated or rewritten since. Fewer rows must never look like all rows.

use serde_json::json;

use crate::harness::{Answer, Postgres, Service, start};

async fn page(service: &Service, table: &str) -> Answer {
    service.data(json!({"table": table, "offset": 0, "limit": 100})).await
}

async fn after(change: &str, table: &str) -> (Postgres, Service, Answer) {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t SELECT n, n FROM generate_series(1, 100) n").await;
    postgres.execute("CREATE VIEW v AS SELECT * FROM t").await;
    postgres.execute("CREATE TABLE p (id integer) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10); INSERT INTO p VALUES (1)").await;
    postgres.execute("CREATE TABLE loose (id integer); INSERT INTO loose VALUES (11)").await;
    service.init().await;
    postgres.execute(change).await;
    let answer = page(&service, table).await;
    (postgres, service, answer)
}

#[tokio::test]
async fn a_rewritten_table_is_refused() {
    for (change, table) in [
        ("DROP VIEW v; ALTER TABLE t ALTER n TYPE bigint", "t"),
        ("ALTER TABLE t ADD u uuid DEFAULT gen_random_uuid()", "t"),
        ("TRUNCATE t", "t"),
        ("TRUNCATE t", "v"),
        ("VACUUM FULL t", "t"),
        ("DROP TABLE t CASCADE", "t"),
        ("ALTER TABLE t RENAME TO s; CREATE TABLE t (id integer PRIMARY KEY, n integer)", "t"),
        ("ALTER TABLE t DROP n CASCADE", "t"),
        ("ALTER TABLE t DROP n CASCADE; ALTER TABLE t ADD n integer", "t"),
        ("DROP VIEW v; ALTER TABLE t RENAME id TO x; ALTER TABLE t RENAME n TO id; ALTER TABLE t RENAME x TO n", "t"),
        ("CREATE OR REPLACE VIEW v AS SELECT * FROM t WHERE id > 50", "v"),
        ("ALTER TABLE t ALTER n SET NOT NULL", "t"),
        ("TRUNCATE p1", "p"),
        ("ALTER TABLE p DETACH PARTITION p1", "p"),
        ("ALTER TABLE p ATTACH PARTITION loose FOR VALUES FROM (11) TO (20)", "p"),
    ] {
        let (_postgres, service, answer) = after(change, table).await;
        assert_eq!(answer.refusal(), (410, String::from("table_rewritten")), "{change}: {}", answer.text);
        service.stop().await;
    }
}

#[tokio::test]
async fn other_changes_are_not_in_the_way() {
    for (change, table, count) in [
        ("ALTER TABLE t ADD later integer DEFAULT 7", "t", 100),
        ("VACUUM t", "t", 100),
        ("CREATE INDEX ON t (n); ANALYZE t", "t", 100),
        ("DELETE FROM t", "v", 100),
        ("CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)", "p", 1),
    ] {
        let (_postgres, service, answer) = after(change, table).await;
        let rows = answer.json();
        assert_eq!(rows.as_array().map(Vec::len), Some(count), "{change}: {}", answer.text);
        assert!(rows[0].get("later").is_none(), "a row as of the snapshot has the columns of then");
        service.stop().await;
    }
}

#[tokio::test]
async fn constraints_of_today_say_nothing_of_the_rows_of_then() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE p (id integer PRIMARY KEY, n integer) PARTITION BY RANGE (id)").await;
    postgres
        .execute(
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000)",
        )
        .await;
    postgres.execute("INSERT INTO p SELECT n, n FROM generate_series(1, 1999) n").await;
    service.init().await;
    postgres
        .execute("DELETE FROM p WHERE id > 1500; ALTER TABLE p2 ADD CHECK (id <= 1500); ALTER TABLE p1 ADD CHECK (n < 0) NOT VALID")
        .await;
    let rows = service.rows(json!({"table": "p", "after": {"id": 1500}})).await;
    assert_eq!(rows.len(), 499);
    let rows = service.rows(json!({"table": "p", "after": {"id": 1500}, "until": {"id": 1800}})).await;
    assert_eq!(rows.len(), 300);
    service.stop().await;
}

#[tokio::test]
async fn a_snapshot_stays_readable_while_its_stream_runs() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text PRIMARY KEY); INSERT INTO t VALUES ('before')").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('after')").await;
    assert_eq!(client.inserted().await.0, "after");
    for _ in 0..3 {
        let refused = service.data(json!({"table": "nothing", "offset": 0, "limit": 1})).await;
        assert_eq!(refused.status, 404, "an error of one reader is none of the next one's");
        assert_eq!(page(&service, "t").await.json(), json!([{"name": "before"}]));
    }
    service.stop().await;
}
