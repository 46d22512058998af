//! Slots that are gone behind our back, and streams that are half made: said, and with a way out.

use serde_json::json;

use crate::harness::{Postgres, Service, eventually, start};

#[tokio::test]
async fn a_stream_whose_slot_somebody_dropped_says_so() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    service.create(json!({"name": "s", "tables": ["t"]})).await;
    postgres.execute("SELECT pg_drop_replication_slot('s')").await;
    let stream = service.show("s").await;
    assert_eq!((&stream["walStatus"], &stream["confirmedFlushLsn"], &stream["active"]), (&json!("missing"), &json!(null), &json!(false)));
    let refused = service.try_stream("slotName=s").await.err().unwrap();
    assert_eq!(refused.refusal(), (410, String::from("stream_gone")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("DELETE /v1/streams/s"), "{}", refused.text);
    assert_eq!(service.data(json!({"slotName": "s", "table": "t"})).await.refusal(), (410, String::from("stream_gone")));
    assert_eq!(service.post("/v1/streams", r#"{"name":"s"}"#).await.refusal(), (409, String::from("name_taken")));
    let service = {
        service.stop().await;
        Service::start(&postgres).await
    };
    assert_eq!(service.show("s").await["walStatus"], "missing", "nobody forgets what a client asked for");
    assert_eq!(service.delete("/v1/streams/s").await.status, 204);
    service.create(json!({"name": "s", "tables": ["t"]})).await;
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(service.stream("s").await.inserted().await.0, "a");
    service.stop().await;
}

#[tokio::test]
async fn what_a_dead_instance_left_half_made_is_removed() {
    let (postgres, service) = start().await;
    let half_made = "INSERT INTO pgdeltastream.stream (slot_name, kind, state, system_identifier, timeline, owner)
                     SELECT name, 'stream', 'creating', '1', 1, 'dead' FROM unnest('{with_slot,without}'::name[]) AS name";
    postgres.execute(half_made).await;
    postgres.execute("SELECT pg_create_logical_replication_slot('with_slot', 'wal2json')").await;
    assert_eq!(service.show("without").await["state"], "creating");
    assert_eq!(service.try_stream("slotName=without").await.err().unwrap().refusal(), (409, String::from("slot_in_use")));
    assert_eq!(service.delete("/v1/streams/without").await.status, 204);
    service.create(json!({"name": "with_slot"})).await;
    assert_eq!(service.show("with_slot").await["state"], "ready", "made anew");
    postgres.execute(&half_made.replace("with_slot", "slot_too")).await;
    postgres.execute("SELECT pg_create_logical_replication_slot('slot_too', 'wal2json')").await;
    service.stop().await;
    let service = Service::start(&postgres).await;
    service.logged("removed a slot that was left unfinished").await;
    assert_eq!(postgres.slots().await, ["with_slot"]);
    service.stop().await;
}

#[tokio::test]
async fn what_a_living_instance_is_making_is_left_alone() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let mut open = postgres.connection().await;
    sqlx::raw_sql("BEGIN; INSERT INTO t VALUES ('open')").execute(&mut open).await.unwrap();
    let (making, ()) = futures_util::join!(service.post("/v1/streams", r#"{"name":"slow"}"#), async {
        eventually("the slot", async || postgres.slots().await.contains(&String::from("slow")).then_some(())).await;
        let other = Service::start(&postgres).await;
        assert_eq!(other.show("slow").await["state"], "creating");
        assert_eq!(other.delete("/v1/streams/slow").await.refusal(), (409, String::from("slot_in_use")));
        assert_eq!(other.post("/v1/streams", r#"{"name":"slow"}"#).await.refusal(), (409, String::from("name_taken")));
        sqlx::raw_sql("COMMIT").execute(&mut open).await.unwrap();
        other.stop().await;
    });
    assert_eq!(making.status, 201, "{}", making.text);
    service.stop().await;
}

#[tokio::test]
async fn an_adopted_slot_is_dropped_only_when_asked_to() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    postgres.execute("SELECT pg_create_logical_replication_slot('theirs', 'wal2json')").await;
    assert_eq!(service.delete("/v1/streams/theirs").await.refusal(), (404, String::from("no_such_stream")));
    service.stream("theirs").await.leave().await;
    let adopted = service.show("theirs").await;
    assert_eq!((&adopted["kind"], &adopted["snapshot"]["state"]), (&json!("adopted"), &json!("none")));
    assert_eq!(service.data(json!({"slotName": "theirs", "table": "t"})).await.refusal(), (410, String::from("snapshot_gone")));
    service.init().await;
    service.init().await;
    assert!(postgres.slots().await.contains(&String::from("theirs")));
    assert_eq!(service.delete("/v1/streams/theirs").await.status, 204);
    assert!(!postgres.slots().await.contains(&String::from("theirs")));
    service.stop().await;
}

/// What is written down before a slot is made may be all that is left of whoever wrote it, and would then say that the slot is ours to drop.
#[tokio::test]
async fn the_name_of_somebody_elses_slot_is_not_even_written_down() {
    let (postgres, service) = start().await;
    postgres.execute("SELECT pg_create_logical_replication_slot('theirs', 'wal2json')").await;
    postgres
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'written down'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON pgdeltastream.stream FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    assert_eq!(service.post("/v1/streams", r#"{"name":"theirs"}"#).await.refusal(), (409, String::from("name_taken")));
    assert_eq!(postgres.slots().await, ["theirs"]);
    service.stop().await;
}

#[tokio::test]
async fn what_could_not_be_deleted_is_not_deleted_later() {
    let postgres = Postgres::with_settings(&[]).await;
    postgres.execute("CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO app").await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    postgres.execute("SELECT pg_create_logical_replication_slot('theirs', 'wal2json')").await;
    service.stream("theirs").await.leave().await;
    let url = postgres.cluster.as_ref().unwrap().url("postgres");
    let mut holder = tokio::process::Command::new("pg_recvlogical");
    holder.args(["--dbname", &url, "--slot", "theirs", "--start", "--file", "/dev/null"]);
    let mut holder = holder.stderr(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'theirs'";
    eventually("the slot to be held", async || (postgres.text(active).await? == "true").then_some(())).await;
    assert_eq!(service.delete("/v1/streams/theirs").await.refusal(), (409, String::from("slot_in_use")));
    assert_eq!(service.show("theirs").await["state"], "ready");
    holder.kill().await.unwrap();
    eventually("the slot to be free", async || (postgres.text(active).await? == "false").then_some(())).await;
    // Whoever starts, and whoever calls init, removes what was given up.
    service.init().await;
    service.stop().await;
    let service = Service::start_with(&postgres, &["--user", "app"]).await;
    assert!(postgres.slots().await.contains(&String::from("theirs")));
    service.stream("theirs").await.leave().await;
    service.stop().await;
}
