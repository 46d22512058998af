//! A browser's own `EventSource`, which comes again by itself and knows no protocol but server-sent events.

use pgdeltastream::cluster::StopMode;
use pgdeltastream::lsn::Lsn;
use serde_json::{Value, json};

use crate::harness::{Page, Postgres, Service, eventually};

/// Follows a stream and writes down what comes.
const FOLLOW: &str = "
    window.seen = [];
    window.source = new EventSource(URL);
    for (const name of ['message', 'notice', 'close'])
        source.addEventListener(name, event => seen.push({name, id: event.lastEventId, data: JSON.parse(event.data)}));
";

/// The names that were inserted, and how the service closed, in their order.
async fn seen(page: &mut Page) -> Vec<String> {
    let seen = page.evaluate("seen").await;
    let seen = seen.as_array().unwrap().iter().map(|event| match event["name"].as_str().unwrap() {
        "message" => event["data"]["events"][0]["new"]["name"].as_str().unwrap().to_owned(),
        "close" => event["data"]["code"].to_string(),
        name => panic!("{name}: {event}"),
    });
    seen.collect()
}

async fn until_seen(page: &mut Page, expected: &[&str]) {
    let mut last = vec![];
    let waited = tokio::time::timeout(crate::harness::PATIENCE / 2, async {
        while last != expected {
            last = seen(page).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "expected {expected:?}, seen {last:?}");
}

#[tokio::test]
async fn an_event_source_goes_on_whoever_restarts_and_stays_away_when_told_to() {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let mut page = Page::open(&service.url("/healthz")).await;
    let url = json!(format!("/v1/lr/stream?slotName={slot}&format=events")).to_string();
    page.evaluate(&FOLLOW.replace("URL", &url)).await;
    for name in ["a", "größe 😀\\r\n"] {
        postgres.execute(&format!("INSERT INTO t VALUES (E'{name}')")).await;
    }
    let mut expected = vec!["a", "größe 😀\r\n"];
    until_seen(&mut page, &expected).await;
    let last: Value = page.evaluate("seen[1]").await;
    assert_eq!(last["id"], last["data"]["nextlsn"]);
    let position: Lsn = last["id"].as_str().unwrap().parse().unwrap();
    assert!(postgres.confirmed(&slot).await < position);

    // The service dies, and comes back at the same address.
    let port = service.url("").rsplit(':').next().unwrap().to_owned();
    service.kill().await;
    let service = Service::start_with(&postgres, &["--serverPort", &port, "--pgGrace", "0"]).await;
    eventually("the browser to come again", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    expected.push("b");
    until_seen(&mut page, &expected).await;

    // Postgres stops, and starts again, and the service does not wait for it.
    postgres.restart(StopMode::Fast).await;
    postgres.execute("INSERT INTO t VALUES ('c')").await;
    expected.extend(["1013", "c"]);
    until_seen(&mut page, &expected).await;
    assert_eq!(page.evaluate("source.readyState").await, 1, "open");

    // Somebody else takes the stream, and keeps it.
    let mut socket = service.try_stream(&format!("slotName={slot}")).await.unwrap();
    expected.push("4409");
    until_seen(&mut page, &expected).await;
    eventually("the browser to give up", async || (page.evaluate("source.readyState").await == 2).then_some(())).await;
    postgres.execute("INSERT INTO t VALUES ('d')").await;
    while socket.inserted().await.0 != "d" {}
    until_seen(&mut page, &expected).await;
    service.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_follows_if_it_may() {
    let postgres = Postgres::start().await;
    let site = Service::start(&postgres).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let mut page = Page::open(&site.url("/healthz")).await;
    let origin = page.evaluate("location.origin").await;
    for (allowed, state) in [(origin.as_str().unwrap(), 1), ("https://elsewhere.example", 2)] {
        let service = Service::start_with(&postgres, &["--corsOrigins", allowed]).await;
        let slot = service.init().await;
        let url = json!(service.url(&format!("/v1/lr/stream?slotName={slot}&format=events"))).to_string();
        page.evaluate(&FOLLOW.replace("URL", &url)).await;
        eventually("the browser to open it or to give up", async || (page.evaluate("source.readyState").await == state).then_some(()))
            .await;
        if state == 1 {
            postgres.execute("INSERT INTO t VALUES ('a')").await;
            until_seen(&mut page, &["a"]).await;
            // It comes again, and is let in again.
            service.stop().await;
            let port = url.split(['/', ':']).nth(4).unwrap().to_owned();
            let service = Service::start_with(&postgres, &["--corsOrigins", allowed, "--serverPort", &port]).await;
            postgres.execute("INSERT INTO t VALUES ('b')").await;
            until_seen(&mut page, &["a", "1001", "b"]).await;
            page.evaluate("source.close()").await;
            service.stop().await;
        } else {
            service.stop().await;
        }
    }
    site.stop().await;
}
