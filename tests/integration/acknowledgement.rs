//! Clients that acknowledge nothing, garbage, too much, too little, in odd ways; and what comes again.

use pgdeltastream::lsn::Lsn;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{Client, Postgres, Service, eventually, start};

const TABLE: &str = "CREATE TABLE t (id serial PRIMARY KEY, name text)";

async fn insert(postgres: &Postgres, names: &[&str]) {
    for name in names {
        postgres.execute(&format!("INSERT INTO t (name) VALUES ('{name}')")).await;
    }
}

async fn setup() -> (Postgres, Service, String, Client) {
    let (postgres, service) = start().await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    (postgres, service, slot, client)
}

async fn until_confirmed(postgres: &Postgres, slot: &str, position: &str) {
    let position: Lsn = position.parse().unwrap();
    eventually("the confirmation", async || (postgres.confirmed(slot).await == position).then_some(())).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again() {
    let (postgres, service, slot, mut client) = setup().await;
    insert(&postgres, &["a", "b", "c"]).await;
    let (first, acknowledged) = client.inserted().await;
    assert_eq!(first, "a");
    assert_eq!(client.inserted().await.0, "b");
    client.acknowledge(&acknowledged).await;
    client.leave().await;
    // The confirmation has gone out by the time that the slot can be had again.
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b");
    assert_eq!(client.inserted().await.0, "c");
    assert!(client.is_silent().await);
    service.stop().await;
}

#[tokio::test]
async fn who_acknowledges_nothing_gets_everything_again() {
    let (postgres, service, slot, mut client) = setup().await;
    insert(&postgres, &["a", "b"]).await;
    for _ in 0..3 {
        assert_eq!(client.inserted().await.0, "a");
        assert_eq!(client.inserted().await.0, "b");
        client.leave().await;
        client = service.stream(&slot).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_may_be_binary_say_more_and_cover_many() {
    let (postgres, service, slot, mut client) = setup().await;
    insert(&postgres, &["a", "b", "c"]).await;
    let mut positions = vec![];
    for _ in 0..3 {
        positions.push(client.inserted().await.1);
    }
    let frame = json!({"lsn": positions[1], "client": "x", "at": [1]}).to_string();
    client.send_message(Message::binary(frame.into_bytes())).await;
    until_confirmed(&postgres, &slot, &positions[1]).await;
    client.acknowledge(&positions[0]).await;
    client.acknowledge(&positions[2].to_lowercase()).await;
    until_confirmed(&postgres, &slot, &positions[2]).await;
    service.stop().await;
}

#[tokio::test]
async fn garbage_is_answered_and_the_stream_goes_on() {
    let (postgres, service, slot, mut client) = setup().await;
    for garbage in ["", "ping", "[]", "{}", r#"{"lsn":7}"#, r#"{"lsn":"x"}"#, r#"{"lsn":"0/1; drop table t"}"#, "\u{0}", r#"{"LSN":"0/1"}"#]
    {
        client.send(garbage).await;
        let answer = client.next().await;
        assert_eq!(answer["code"], "invalid_frame", "{garbage:?}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("expected"), "{answer}");
    }
    client.send_message(Message::binary(vec![0xff, 0xfe])).await;
    assert_eq!(client.next().await["code"], "invalid_frame");
    insert(&postgres, &["a"]).await;
    let (name, position) = client.inserted().await;
    assert_eq!(name, "a");
    assert!(postgres.confirmed(&slot).await < position.parse().unwrap());
    service.stop().await;
}

#[tokio::test]
async fn a_position_that_the_server_has_not_reached_is_refused_and_harms_nothing() {
    let (postgres, service, slot, mut client) = setup().await;
    insert(&postgres, &["a"]).await;
    let (_, position) = client.inserted().await;
    for future in ["7FFFFFFF/FFFF0000", "FFFFFFFF/FFFFFFFF"] {
        client.acknowledge(future).await;
        assert_eq!(client.next().await["code"], "lsn_ahead");
    }
    assert!(postgres.confirmed(&slot).await < position.parse().unwrap());
    client.leave().await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "a", "the slot still hears");
    service.stop().await;
}

#[tokio::test]
async fn inside_a_transaction_it_counts_for_those_wholly_before() {
    let (postgres, service, slot, mut client) = setup().await;
    insert(&postgres, &["a", "b"]).await;
    let (_, first) = client.inserted().await;
    let (_, second) = client.inserted().await;
    let inside = Lsn::from(second.parse::<Lsn>().unwrap().to_u64() - 1);
    client.acknowledge(&inside.to_string()).await;
    until_confirmed(&postgres, &slot, &first).await;
    client.leave().await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "b", "as a whole");
    service.stop().await;
}

#[tokio::test]
async fn what_the_client_says_to_have_already_is_not_sent_again() {
    let postgres = Postgres::with_settings(&[("wal_sender_timeout", "15s")]).await;
    let service = Service::start(&postgres).await;
    postgres.execute(TABLE).await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    insert(&postgres, &["a"]).await;
    client.inserted().await;

    // A client that had `b` from elsewhere, as after a restart of the service, says so before the service has seen it.
    let walsender = postgres.text("SELECT pid FROM pg_stat_replication").await.unwrap();
    signal("STOP", &walsender).await;
    insert(&postgres, &["b"]).await;
    let durable = postgres.written().await;
    client.acknowledge(&durable.to_string()).await;
    client.send("to be answered after the acknowledgement").await;
    assert_eq!(client.next().await["code"], "invalid_frame");
    signal("CONT", &walsender).await;

    insert(&postgres, &["c"]).await;
    assert_eq!(client.inserted().await.0, "c");
    eventually("the claim to be confirmed", async || (postgres.confirmed(&slot).await >= durable).then_some(())).await;
    client.leave().await;
    let mut client = service.stream(&slot).await;
    assert_eq!(client.inserted().await.0, "c");
    service.stop().await;
}

async fn signal(signal: &str, pid: &str) {
    let status = tokio::process::Command::new("sh").args(["-c", "kill -s $0 $1", signal, pid]).status().await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn an_oversized_frame_closes_with_1009() {
    let (_postgres, service, slot, mut client) = setup().await;
    client.send(&"x".repeat(65 * 1024)).await;
    client.closed().await.assert_code(1009);
    assert!(service.stream(&slot).await.is_silent().await);
    service.stop().await;
}

#[tokio::test]
async fn who_still_sends_a_frame_that_is_refused_hears_why() {
    let (_postgres, service, _, mut client) = setup().await;
    // More than the buffers on the way hold: it is through only if somebody takes it.
    client.send(&"x".repeat(32 * 1024 * 1024)).await;
    client.closed().await.assert_code(1009);
    service.stop().await;
}

#[tokio::test]
async fn a_text_that_is_not_utf_8_closes_with_1007() {
    let (_postgres, service, slot, mut client) = setup().await;
    let frame = Frame::message(vec![0xFF], OpCode::Data(Data::Text), true);
    client.send_message(Message::Frame(frame)).await;
    client.closed().await.assert_code(1007);
    assert!(service.stream(&slot).await.is_silent().await);
    service.stop().await;
}
