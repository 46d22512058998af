//! What the tests of hasura/pgdeltastream checked, and its clients rely on.

use serde_json::json;

use crate::harness::{eventually, start};

#[tokio::test]
async fn init_makes_a_wal2json_slot() {
    let (postgres, service) = start().await;
    let answer = service.get("/v1/init").await;
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, "application/json"));
    let slot = answer.json()["slotName"].as_str().unwrap().to_owned();
    let (word, number) = slot.strip_prefix("delta_").unwrap().split_at(slot.find(|c: char| c.is_ascii_digit()).unwrap() - "delta_".len());
    assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && number.parse::<u32>().is_ok(), "{slot}");
    let plugin = postgres.text(&format!("SELECT plugin FROM pg_replication_slots WHERE slot_name = '{slot}'")).await;
    assert_eq!(plugin.as_deref(), Some("wal2json"));
    service.stop().await;
}

#[tokio::test]
async fn the_snapshot_shows_what_was_there_at_init() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE delta_test (id serial PRIMARY KEY, name text); INSERT INTO delta_test (name) VALUES ('name1'), ('name2'), ('name3')").await;
    let slot = service.init().await;
    postgres.execute("INSERT INTO delta_test (name) VALUES ('name4'), ('name5'); UPDATE delta_test SET name = 'x' WHERE id = 1").await;
    let three = [json!({"id": 1, "name": "name1"}), json!({"id": 2, "name": "name2"}), json!({"id": 3, "name": "name3"})];
    let order = json!({"column": "id", "order": "ASC"});
    assert_eq!(service.rows(json!({"table": "delta_test", "offset": 0, "limit": 10, "order_by": order})).await, three);
    assert_eq!(service.rows(json!({"slotName": slot, "table": "delta_test", "offset": 1, "limit": 1})).await, [three[1].clone()]);
    service.stop().await;
}

#[tokio::test]
async fn changes_come_over_the_websocket_and_acknowledgements_reach_postgres() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE delta_test (id serial PRIMARY KEY, name text); INSERT INTO delta_test (name) VALUES ('name1'), ('name2'), ('name3')").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;

    postgres.execute("INSERT INTO delta_test (name) VALUES ('name4')").await;
    let text = client.text().await;
    let position = text.split('"').nth(3).unwrap().to_owned();
    let expected = format!(
        r#"{{"nextlsn":"{position}","change":[{{"kind":"insert","schema":"public","table":"delta_test","columnnames":["id","name"],"columntypes":["integer","text"],"columnvalues":[4,"name4"]}}]}}"#
    );
    assert_eq!(text, expected);
    client.acknowledge(&position).await;
    confirmed_exactly(&postgres, &slot, &position).await;

    postgres.execute("UPDATE delta_test SET name = 'name_new' WHERE id = 1").await;
    let (changes, position) = client.transaction().await;
    assert_eq!((&changes[0]["kind"], &changes[0]["columnvalues"]), (&json!("update"), &json!([1, "name_new"])));
    assert_eq!(changes[0]["oldkeys"]["keyvalues"], json!([1]));
    client.acknowledge(&position).await;
    confirmed_exactly(&postgres, &slot, &position).await;
    client.leave().await;
    service.stop().await;
}

/// It is the very position, not a later one: clients of the original compare.
async fn confirmed_exactly(postgres: &crate::harness::Postgres, slot: &str, position: &str) {
    let position = position.parse().unwrap();
    let confirmed =
        eventually("the confirmation", async || Some(postgres.confirmed(slot).await).filter(|confirmed| *confirmed >= position)).await;
    assert_eq!(confirmed, position);
}
