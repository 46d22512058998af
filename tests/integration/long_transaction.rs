//! A transaction whose message would be over the limit comes in several, cut between changes.

use crate::harness::start;

const LIMIT: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn only_the_last_of_its_messages_has_the_position() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer, filling text)").await;
    let slot = service.init().await;
    let mut client = service.stream(&slot).await;
    postgres.execute(r#"INSERT INTO t SELECT n, repeat('"},{x', 1000) FROM generate_series(1, 5000) n"#).await;
    postgres.execute("INSERT INTO t VALUES (0, 'after')").await;
    let (mut ids, mut messages) = (vec![], 0);
    let position = loop {
        let text = client.text().await;
        assert!(text.len() <= LIMIT, "{}", text.len());
        messages += 1;
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        ids.extend(message["change"].as_array().unwrap().iter().map(|change| change["columnvalues"][0].as_u64().unwrap()));
        if let Some(position) = message["nextlsn"].as_str() {
            break position.to_owned();
        }
    };
    assert!(messages > 1);
    assert!(ids.into_iter().eq(1..=5000));
    client.acknowledge(&position).await;
    assert_eq!(client.transaction().await.0[0]["columnvalues"][1], "after");
    let position = position.parse().unwrap();
    crate::harness::eventually("the confirmation", async || (postgres.confirmed(&slot).await == position).then_some(())).await;
    service.stop().await;
}
