//! The stream as server-sent events: all that a websocket gives, for clients that have none.

use pgdeltastream::cluster::StopMode;
use pgdeltastream::lsn::Lsn;
use serde_json::{Value, json};

use crate::harness::{EventSource, Postgres, Service, eventually, start};

const TABLE: &str = "CREATE TABLE t (id serial PRIMARY KEY, name text)";

async fn insert(postgres: &Postgres, names: &[&str]) {
    for name in names {
        postgres.execute(&format!("INSERT INTO t (name) VALUES ('{name}')")).await;
    }
}

async fn events(service: &Service, slot: &str) -> EventSource {
    again(service, slot, "").await
}

async fn again(service: &Service, slot: &str, last_id: &str) -> EventSource {
    service.events(&format!("slotName={slot}"), last_id).await.unwrap_or_else(|answer| panic!("{answer:?}"))
}

async fn status(service: &Service, slot: &str, last_id: &str) -> u16 {
    service.events(&format!("slotName={slot}"), last_id).await.err().unwrap().status
}

async fn until_free(postgres: &Postgres, slot: &str) {
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be free", async || (postgres.text(&active).await? == "false").then_some(())).await;
}

#[tokio::test]
async fn they_are_the_messages_of_the_websocket_in_every_format() {
    let (postgres, service) = start().await;
    postgres.execute(&format!("{TABLE}; CREATE TABLE nameless (name text); INSERT INTO nameless VALUES ('x')")).await;
    let slot = service.init().await;
    let statements = [
        r#"INSERT INTO t (name) VALUES (E'a\nb\r\u2028{"x":1}'), ('b')"#,
        "SELECT pg_logical_emit_message(false, 'outside', E'of\nany')",
        "BEGIN; UPDATE nameless SET name = 'y'; UPDATE t SET name = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT",
        "TRUNCATE t",
        "INSERT INTO t (name) VALUES ('the end')",
    ];
    for statement in statements {
        postgres.execute(statement).await;
    }
    for format in ["wal2json-v1", "wal2json-v2", "events"] {
        let query = format!("slotName={slot}&format={format}");
        let mut socket = service.try_stream(&query).await.unwrap();
        let mut texts = vec![];
        while texts.last().is_none_or(|text: &String| !text.contains("the end")) {
            texts.push(socket.text().await);
        }
        socket.leave().await;
        let mut source = service.events(&query, "").await.unwrap();
        for text in &texts {
            let event = source.event().await.unwrap();
            assert_eq!(&event.data, text, "{format}");
            let message: Value = serde_json::from_str(text).unwrap();
            assert_eq!(event.name, if message["notice"].is_object() { "notice" } else { "message" });
            // In format 2 the begin of a transaction has the position of its end, and acknowledges nothing.
            let position =
                message["nextlsn"].as_str().filter(|_| !["B", "I", "U", "D", "T"].contains(&message["action"].as_str().unwrap_or("")));
            assert_eq!(event.id.as_deref(), position, "{text}");
        }
        assert_eq!(texts.iter().filter(|text| text.contains("\"notice\"")).count(), usize::from(format == "events"), "{texts:#?}");
    }
    service.stop().await;
}

#[tokio::test]
async fn what_was_received_is_acknowledged_at_the_reconnect_over_a_restart_of_the_service() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let mut source = events(&service, &slot).await;
    insert(&postgres, &["a", "b", "c"]).await;
    assert_eq!(source.inserted().await, "a");
    assert_eq!(source.inserted().await, "b");
    let position: Lsn = source.last_id.parse().unwrap();
    assert!(postgres.confirmed(&slot).await < position, "to have sent it is not enough");
    service.kill().await;

    let service = Service::start(&postgres).await;
    let mut source = again(&service, &slot, &source.last_id).await;
    assert_eq!(source.beginning().await, position.to_string(), "not what the wire has yet to pass");
    assert_eq!(source.inserted().await, "c");
    eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    service.stop().await;
    assert_eq!(source.closed().await.code, 1001);
}

#[tokio::test]
async fn who_has_received_nothing_is_known_again_and_has_acknowledged_nothing() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    insert(&postgres, &["a"]).await;
    let mut source = events(&service, &slot).await;
    let event = source.event().await.unwrap();
    let before = source.last_id.clone();
    assert_eq!(event.id, Some(before.clone()));

    let mut source = events(&service, &slot).await;
    assert_eq!(source.inserted().await, "a");
    // The beginning has an id, and no event.
    let beginning = postgres.confirmed(&slot).await.to_string();
    let mut source = again(&service, &slot, &beginning).await;
    assert_eq!(source.inserted().await, "a");
    assert_eq!(source.last_id, before);
    service.stop().await;
}

#[tokio::test]
async fn a_last_event_id_is_checked_before_the_stream_is_taken() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let mut source = events(&service, &slot).await;
    let query = format!("slotName={slot}");
    let refused = |last_id: &'static str| service.events(&query, last_id);
    for ahead in ["7FFFFFFF/FFFF0000", "FFFFFFFF/FFFFFFFF"] {
        assert_eq!(refused(ahead).await.err().unwrap().refusal(), (400, String::from("lsn_ahead")));
    }
    for hostile in ["0", "1001", "4411", "0/1'; DROP TABLE t --", "0/123456789", "-1/0", "größe", "0/1, 0/2"] {
        let answer = refused(hostile).await.err().unwrap();
        assert_eq!(answer.refusal(), (400, String::from("invalid_request")), "{hostile}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/Last-Event-ID");
    }
    insert(&postgres, &["a"]).await;
    assert_eq!(source.inserted().await, "a", "who has the stream keeps it");
    service.stop().await;
}

#[tokio::test]
async fn whoever_comes_again_after_a_final_close_is_told_to_stay_away() {
    let (_postgres, service) = start().await;
    let slot = service.init().await;
    let mut first = events(&service, &slot).await;
    let socket = service.stream(&slot).await;
    first.closed().await.assert_code(4409);
    assert_eq!(first.last_id, "4409");
    assert_eq!(status(&service, &slot, &first.last_id).await, 204);

    let mut second = events(&service, &slot).await;
    socket.closed().await.assert_code(4409);
    let before = second.last_id.clone();
    service.init().await;
    second.closed().await.assert_code(4410);
    assert_eq!(status(&service, &slot, &second.last_id).await, 204);
    // And so is who did not hear of the close, or was away for long. Who comes for the first time hears what is wrong.
    let beginning = if before.is_empty() { String::from("0/1") } else { before };
    for slot in [slot.as_str(), "nobody"] {
        assert_eq!(status(&service, slot, &beginning).await, 204, "{slot}");
    }
    assert_eq!(status(&service, &slot, "").await, 410);
    assert_eq!(status(&service, "nobody", "").await, 404);
    service.stop().await;
}

#[tokio::test]
async fn whoever_comes_again_while_postgres_is_away_is_kept_coming() {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let mut source = events(&service, &slot).await;
    insert(&postgres, &["a"]).await;
    assert_eq!(source.inserted().await, "a");
    postgres.close().await;
    postgres.cluster.as_mut().unwrap().stop(StopMode::Immediate).unwrap();
    source.closed().await.assert_code(1013);
    // An error would end an EventSource for good.
    let mut source = again(&service, &slot, &source.last_id).await;
    source.closed().await.assert_code(1013);
    assert_eq!(status(&service, &slot, "").await, 503);
    postgres.cluster.as_mut().unwrap().start_again().unwrap();
    postgres.restart(StopMode::Fast).await;
    let mut source = again(&service, &slot, &source.last_id).await;
    insert(&postgres, &["b"]).await;
    assert_eq!(source.inserted().await, "b", "and not a again");
    service.stop().await;
}

#[tokio::test]
async fn who_asks_for_neither_hears_of_both() {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let url = service.url(&format!("/v1/lr/stream?slotName={slot}"));
    for accept in ["*/*", "text/html", "application/json", "text/event-stream;q=0"] {
        let answer = service.send(reqwest::Client::new().get(&url).header("accept", accept)).await;
        assert_eq!(answer.refusal(), (426, String::from("upgrade_required")), "{accept}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("ws://") && detail.contains("text/event-stream"), "{detail}");
    }
    let answer = service.events("slotName=UPPER&format=xml", "").await.err().unwrap();
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2, "{}", answer.text);
    service.stop().await;
}

#[tokio::test]
async fn filters_and_takeover_are_as_with_a_websocket() {
    let (postgres, service) = start().await;
    postgres.execute(&format!("{TABLE}; CREATE TABLE other (name text)")).await;
    let made = service.create(json!({"tables": ["t", "other"]})).await;
    let slot = made["slotName"].as_str().unwrap();
    let mut source = service.events(&format!("slotName={slot}&tables=t&actions=insert"), "").await.unwrap();
    postgres.execute("INSERT INTO other VALUES ('hidden'); INSERT INTO t (name) VALUES ('a'); DELETE FROM t").await;
    insert(&postgres, &["b"]).await;
    assert_eq!(source.inserted().await, "a");
    assert_eq!(source.inserted().await, "b");
    let refused = service.events(&format!("slotName={slot}&takeover=false"), "").await.err().unwrap();
    assert_eq!(refused.refusal(), (409, String::from("slot_in_use")));
    assert_eq!(status(&service, &format!("{slot}&tables=elsewhere"), "").await, 400);
    service.stop().await;
}

#[tokio::test]
async fn who_hangs_up_frees_the_slot() {
    let (postgres, service) = start().await;
    let slot = service.init().await;
    let source = events(&service, &slot).await;
    drop(source);
    until_free(&postgres, &slot).await;
    service.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_is_waited_for_in_bounded_memory_and_does_not_hold_up_the_end() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id serial PRIMARY KEY, name text)").await;
    let slot = service.init().await;
    let mut source = events(&service, &slot).await;
    // More than all buffers between the service and the client can take.
    for _ in 0..100 {
        postgres.execute("INSERT INTO t (name) SELECT repeat('x', 1000) FROM generate_series(1, 1000)").await;
    }
    let sent = format!("SELECT pg_wal_lsn_diff(sent_lsn, '{}') FROM pg_stat_replication", postgres.confirmed(&slot).await);
    eventually("the sending to begin", async || (postgres.text(&sent).await?.parse::<u64>().unwrap() > 0).then_some(())).await;
    for _ in 0..100 {
        let message: Value = serde_json::from_str(&source.text().await).unwrap();
        assert_eq!(message["change"].as_array().unwrap().len(), 1000);
    }
    assert!(service.peak_memory() < 64 * 1024 * 1024, "{}", service.peak_memory());

    let other = events(&service, &slot).await;
    service.stop().await;
    drop(other);
}
