//! Streams as resources: made, listed, shown and deleted, each for itself.

use serde_json::{Value, json};

use crate::harness::{Postgres, Service, eventually, start};

fn names(list: &Value) -> Vec<&str> {
    list["streams"].as_array().unwrap().iter().map(|stream| stream["slotName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_has_its_own_tables_snapshot_and_position() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE a (name text PRIMARY KEY); CREATE TABLE b (name text PRIMARY KEY); INSERT INTO a VALUES ('old')").await;
    let init = service.init().await;
    let of_a = service.create(json!({"name": "of_a", "tables": ["A"]})).await;
    let expected = json!({
        "slotName": "of_a", "kind": "stream", "state": "ready", "tables": [r#""public"."a""#], "excludeTables": [], "unmatched": [],
        "actions": ["insert", "update", "delete", "truncate"], "active": false, "ackedLsn": null, "sentLsn": null,
        "tablesWithoutIdentity": [], "walStatus": "reserved",
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(of_a[member], *value, "{member}");
    }
    assert_eq!(of_a["snapshot"]["state"], "ready");
    postgres.execute("INSERT INTO a VALUES ('new')").await;
    let others = service.create(json!({"name": "others", "excludeTables": ["a"], "actions": ["insert"]})).await;
    assert_eq!(others["actions"], json!(["insert"]));
    assert_eq!(service.rows(json!({"slotName": "of_a", "table": "a"})).await, [json!({"name": "old"})]);
    assert_eq!(service.rows(json!({"slotName": "others", "table": "a"})).await.len(), 2);
    let (mut all, mut a, mut b) = (service.stream(&init).await, service.stream("of_a").await, service.stream("others").await);
    postgres.execute("INSERT INTO b VALUES ('x')").await;
    postgres.execute("UPDATE b SET name = 'not told'; DELETE FROM b").await;
    postgres.execute("INSERT INTO a VALUES ('y')").await;
    assert_eq!(a.inserted().await.0, "new");
    let (name, position) = a.inserted().await;
    assert_eq!((name.as_str(), b.inserted().await.0.as_str()), ("y", "x"));
    assert_eq!(all.inserted().await.0, "new");
    assert_eq!(service.show("of_a").await["sentLsn"], position.as_str());
    a.acknowledge(&position).await;
    eventually("the acknowledgement", async || (service.show("of_a").await["confirmedFlushLsn"] == position.as_str()).then_some(())).await;
    eventually("the word kept", async || (service.show("of_a").await["ackedLsn"] == position.as_str()).then_some(())).await;
    assert_ne!(service.show("others").await["ackedLsn"], position.as_str());
    let again = service.init().await;
    all.closed().await.assert_code(4410);
    assert_eq!(names(&service.get("/v1/streams").await.json()), {
        let mut all = vec!["of_a", "others", &again];
        all.sort_unstable();
        all
    });
    postgres.execute("INSERT INTO b VALUES ('z')").await;
    assert_eq!(b.inserted().await.0, "z", "an init is no matter of other streams");
    service.stop().await;
}

#[tokio::test]
async fn a_deleted_stream_leaves_nothing() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    service.create(json!({"name": "kept"})).await;
    service.create(json!({"name": "gone"})).await;
    let client = service.stream("gone").await;
    let deleted = service.delete("/v1/streams/gone").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    client.closed().await.assert_code(4410);
    assert_eq!(postgres.slots().await, ["kept"]);
    assert_eq!(names(&service.get("/v1/streams").await.json()), ["kept"]);
    let gone = (410, String::from("stream_gone"));
    assert_eq!(service.get("/v1/streams/gone").await.refusal(), gone);
    assert_eq!(service.delete("/v1/streams/gone").await.refusal(), gone);
    assert_eq!(service.data(json!({"slotName": "gone", "table": "t"})).await.refusal(), gone);
    assert_eq!(service.try_stream("slotName=gone").await.err().unwrap().refusal(), gone);
    assert_eq!(service.delete("/v1/streams/never").await.refusal(), (404, String::from("no_such_stream")));
    service.create(json!({"name": "gone"})).await;
    postgres.execute("INSERT INTO t VALUES ('again')").await;
    assert_eq!(service.stream("gone").await.inserted().await.0, "again");
    service.stop().await;
}

#[tokio::test]
async fn streams_outlive_the_service() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE a (name text); CREATE TABLE b (name text)").await;
    service.create(json!({"name": "of_a", "tables": ["a"], "actions": ["insert"]})).await;
    let mut client = service.stream("of_a").await;
    postgres.execute("INSERT INTO a VALUES ('one')").await;
    let (_, position) = client.inserted().await;
    client.acknowledge(&position).await;
    client.leave().await;
    let before = service.show("of_a").await;
    service.stop().await;
    let service = Service::start(&postgres).await;
    let after = service.show("of_a").await;
    for member in ["kind", "tables", "actions", "createdAt", "ackedLsn", "unmatched"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(after["ackedLsn"], position.as_str());
    assert_eq!(after["snapshot"], json!({"state": "lost", "expiresAt": null, "xminAge": null}));
    assert_eq!(service.data(json!({"slotName": "of_a", "table": "a"})).await.refusal(), (410, String::from("snapshot_gone")));
    postgres.execute("INSERT INTO b VALUES ('x')").await;
    postgres.execute("INSERT INTO a VALUES ('two'); DELETE FROM a WHERE name = 'one'").await;
    assert_eq!(service.stream("of_a").await.inserted().await.0, "two");
    service.stop().await;
}

#[tokio::test]
async fn names_are_taken_once() {
    let (postgres, service) = start().await;
    let taken = (409, String::from("name_taken"));
    service.create(json!({"name": "mine"})).await;
    postgres.execute("SELECT pg_create_logical_replication_slot('theirs', 'test_decoding')").await;
    for name in ["mine", "theirs"] {
        assert_eq!(service.post("/v1/streams", json!({"name": name}).to_string()).await.refusal(), taken, "{name}");
    }
    assert_eq!(postgres.slots().await, ["mine", "theirs"]);
    assert_eq!(service.get("/v1/streams/theirs").await.refusal(), (404, String::from("no_such_stream")), "it is none of ours");
    let one = || async { service.post("/v1/streams", r#"{"name":"wanted"}"#).await.status };
    let mut answers = futures_util::future::join_all((0..5).map(|_| one())).await;
    answers.sort_unstable();
    assert_eq!(answers, [201, 409, 409, 409, 409]);
    let unnamed = service.create(json!({})).await;
    assert!(unnamed["slotName"].as_str().unwrap().starts_with("delta_"), "{unnamed}");
    postgres.execute("SELECT pg_drop_replication_slot('theirs')").await;
    service.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_wrongly_makes_nothing() {
    let (postgres, service) = start().await;
    let refused = async |body: Value| service.post("/v1/streams", body.to_string()).await;
    for (body, pointer) in [
        (json!({"name": "A"}), "/name"),
        (json!({"name": "1a"}), "/name"),
        (json!({"tables": ["a", "b;c"]}), "/tables/1"),
        (json!({"tables": "a"}), "/tables"),
        (json!({"actions": []}), "/actions"),
        (json!({"actions": ["upsert"]}), "/actions/0"),
        (json!({"tables": ["a"], "excludeTables": ["a"]}), "/excludeTables"),
        (json!({"snapshot": "yes"}), "/snapshot"),
        (json!({"slotName": "a"}), "/slotName"),
        (json!({"name": "a\u{0}"}), "/name"),
    ] {
        let answer = refused(body.clone()).await;
        assert_eq!(answer.refusal(), (400, String::from("invalid_request")), "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(refused(json!({"tables": ["pg_catalog.pg_class"]})).await.refusal(), (404, String::from("no_such_table")));
    assert_eq!(postgres.slots().await, Vec::<String>::new());
    assert_eq!(service.get("/v1/streams").await.json(), json!({"streams": []}));
    service.stop().await;
}

#[tokio::test]
async fn a_connection_narrows_its_stream_and_never_widens_it() {
    let (postgres, service) = start().await;
    postgres
        .execute("CREATE TABLE a (name text); CREATE TABLE b (name text); CREATE TABLE c (name text); CREATE TABLE p (name text) PARTITION BY LIST (name); CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('in p')")
        .await;
    service.create(json!({"name": "of_abp", "tables": ["a", "b", "p", "later"], "actions": ["insert", "truncate"]})).await;
    assert_eq!(service.show("of_abp").await["unmatched"], json!([r#""public"."later""#]));
    let mut client = service.stream_with("of_abp", &[("tables", "b,c")]).await.unwrap();
    postgres.execute("INSERT INTO a VALUES ('a')").await;
    postgres.execute("INSERT INTO c VALUES ('c')").await;
    postgres.execute("INSERT INTO b VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b");
    client.leave().await;
    let mut client = service.stream_with("of_abp", &[("tables", "p1"), ("actions", "insert,delete")]).await.unwrap();
    postgres.execute("INSERT INTO p VALUES ('in p')").await;
    assert_eq!(client.inserted().await.0, "in p", "a partition of what the stream is about");
    client.leave().await;
    for (parameters, pointer) in [
        (&[("tables", "c")][..], "/tables"),
        (&[("tables", "a"), ("excludeTables", "public.*,b")], "/excludeTables"),
        (&[("excludeTables", "public.*")], "/tables"),
        (&[("actions", "delete")], "/tables"),
        (&[("actions", "truncate,delete"), ("format", "wal2json-v1")], "/actions"),
        (&[("includeSchemas", "false")], "/includeSchemas"),
    ] {
        let Err(answer) = service.stream_with("of_abp", parameters).await else { panic!("{parameters:?}") };
        assert_eq!(answer.refusal(), (400, String::from("invalid_request")), "{parameters:?}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{parameters:?} {}", answer.text);
    }
    service.stop().await;
}

#[tokio::test]
async fn who_does_not_take_over_is_told_that_somebody_is_there() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (name text)").await;
    service.create(json!({"name": "s"})).await;
    let in_use = (409, String::from("slot_in_use"));
    let mut first = service.try_stream("slotName=s&takeover=false").await.unwrap();
    assert_eq!(service.try_stream("slotName=s&takeover=false").await.err().unwrap().refusal(), in_use);
    let other = Service::start(&postgres).await;
    assert_eq!(other.try_stream("slotName=s&takeover=false").await.err().unwrap().refusal(), in_use, "not of another instance either");
    postgres.execute("INSERT INTO t VALUES ('a')").await;
    assert_eq!(first.inserted().await.0, "a");
    let second = service.stream("s").await;
    first.closed().await.assert_code(4409);
    let mut third = service.stream("s").await;
    second.closed().await.assert_code(4409);
    assert_eq!(service.try_stream("slotName=s").await.err().unwrap().refusal(), in_use, "the third time within 10 s");
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(third.inserted().await.0, "a");
    assert_eq!(third.inserted().await.0, "b");
    third.leave().await;
    service.stream("s").await;
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn two_instances_have_the_same_streams() {
    let (postgres, service) = start().await;
    let other = Service::start(&postgres).await;
    service.create(json!({"name": "s"})).await;
    let client = service.stream("s").await;
    assert_eq!(names(&other.get("/v1/streams").await.json()), ["s"]);
    assert_eq!(other.show("s").await["active"], true);
    assert_eq!(other.show("s").await["snapshot"]["state"], "lost", "the snapshot is the other's");
    assert_eq!(other.delete("/v1/streams/s").await.status, 204);
    client.closed().await.assert_code(4410);
    assert_eq!(service.get("/v1/streams").await.json(), json!({"streams": []}));
    assert_eq!(postgres.text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%anchor%'").await.unwrap(), "0");
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn tables_whose_updates_postgres_does_not_tell_are_listed() {
    let (postgres, service) = start().await;
    postgres
        .execute(
            "CREATE SCHEMA s; CREATE TABLE s.keyed (id int PRIMARY KEY); CREATE TABLE s.bare (id int); CREATE TABLE s.full_ (id int);
             ALTER TABLE s.full_ REPLICA IDENTITY FULL; CREATE TABLE s.nothing (id int PRIMARY KEY); ALTER TABLE s.nothing REPLICA IDENTITY NOTHING;
             CREATE TABLE s.indexed (id int NOT NULL); CREATE UNIQUE INDEX i ON s.indexed (id); ALTER TABLE s.indexed REPLICA IDENTITY USING INDEX i;
             CREATE UNLOGGED TABLE s.unlogged (id int); CREATE TABLE other (id int)",
        )
        .await;
    let stream = service.create(json!({"name": "s", "tables": ["s.*"]})).await;
    assert_eq!(stream["tablesWithoutIdentity"], json!([r#""s"."bare""#, r#""s"."nothing""#]));
    let inserts = service.create(json!({"name": "inserts", "tables": ["s.*"], "actions": ["insert"]})).await;
    assert_eq!(inserts["tablesWithoutIdentity"], json!([]), "there are none to be told");
    service.stop().await;
}

#[tokio::test]
async fn one_that_is_made_anew_has_nothing_of_the_one_before() {
    let postgres = Postgres::with_settings(&[]).await;
    let (service, other) = (Service::start(&postgres).await, Service::start(&postgres).await);
    postgres.execute("CREATE TABLE t (name text)").await;
    for _ in 0..3 {
        service.create(json!({"name": "s"})).await;
        let client = service.stream("s").await;
        // Whoever streams the one before has not heard of its end when the next one is made.
        assert_eq!(other.delete("/v1/streams/s").await.status, 204);
        service.create(json!({"name": "s"})).await;
        client.closed().await.assert_code(4410);
        // For longer than it takes to look why the wire was lost.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(service.show("s").await["snapshot"]["state"], "ready");
        assert!(service.rows(json!({"slotName": "s", "table": "t"})).await.is_empty());
        assert_eq!(service.delete("/v1/streams/s").await.status, 204);
    }
    service.stop().await;
    other.stop().await;
}
