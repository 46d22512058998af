//! Sessions that write at the same time.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::comparison::compare;
use crate::damage::Damage;
use crate::harness::eventually;
use crate::history::History;

/// A process of this database that waits for another's transaction.
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'";

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn the_websocket_says_what_wal2json_says_of_interleaved_sessions() {
    let history = History::write(async |postgres| {
        let (mut one, mut two, mut three) = (postgres.connection().await, postgres.connection().await, postgres.connection().await);
        run(&mut one, "CREATE TABLE t (id serial PRIMARY KEY, name text)").await;
        run(&mut one, "BEGIN; INSERT INTO t (name) VALUES ('first to begin')").await;
        run(&mut two, "BEGIN; INSERT INTO t (name) VALUES ('second to begin'); SAVEPOINT s; INSERT INTO t (name) VALUES ('taken back')")
            .await;
        run(&mut three, "BEGIN; INSERT INTO t (name) VALUES ('never committed')").await;
        run(&mut one, "SELECT pg_logical_emit_message(false, 'p', 'from inside, but not of it')").await;
        run(&mut two, "ROLLBACK TO s; INSERT INTO t (name) VALUES ('first to commit'); COMMIT").await;
        run(&mut two, "SELECT pg_logical_emit_message(false, 'p', 'between two commits')").await;
        run(&mut one, "INSERT INTO t (name) VALUES ('after the other has committed'); COMMIT").await;
        run(&mut three, "ROLLBACK").await;
        run(&mut one, "CREATE TABLE wider (a integer PRIMARY KEY)").await;
        run(&mut one, "BEGIN; INSERT INTO t (name) VALUES ('before the columns')").await;
        run(&mut two, "ALTER TABLE wider ADD b text DEFAULT 'added'").await;
        run(&mut two, "BEGIN; ALTER TABLE wider ADD c integer").await;
        run(&mut three, "BEGIN; DELETE FROM t WHERE name LIKE 'first%'; PREPARE TRANSACTION 'three'").await;
        run(&mut two, "INSERT INTO wider VALUES (1, 'b', 2); COMMIT").await;
        run(&mut one, "INSERT INTO wider VALUES (2, 'b', 3); COMMIT").await;
        run(&mut one, "COMMIT PREPARED 'three'").await;
        run(&mut one, "BEGIN; INSERT INTO t VALUES (100, 'given up')").await;
        // The second waits for the first, and then has the key.
        let waiting = run(&mut two, "INSERT INTO t VALUES (100, 'waited') ON CONFLICT DO NOTHING");
        tokio::join!(waiting, async {
            eventually("the second to wait", async || postgres.text(WAITING).await).await;
            run(&mut one, "ROLLBACK").await;
        });
    })
    .await;
    compare(&history, &Damage::new([r#"{"change":[,{"kind":"message" => {"change":[{"kind":"message""#].into_iter())).await;
}
