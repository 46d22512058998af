//! A slot is dropped and made again under the same name, behind the service's back.

use crate::end;
use crate::harness::{Postgres, Proxy, Service, eventually};

#[tokio::test]
async fn who_is_connected_is_told_though_the_name_is_the_same() {
    let postgres = Postgres::with_settings(&[]).await;
    let proxy = Proxy::to_cluster(postgres.cluster.as_ref().unwrap()).await;
    let service = Service::start_with(&postgres, &["--pgHost", "127.0.0.1", "--pgPort", &proxy.port().to_string()]).await;
    postgres.execute("CREATE TABLE t (name text)").await;
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    proxy.refuse();
    proxy.cut();
    let free = format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to be free", async || (postgres.text(&free).await? == "true").then_some(())).await;
    postgres.execute(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    postgres.execute("INSERT INTO t VALUES ('lost')").await;
    postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'wal2json')")).await;
    proxy.heal();
    let closed = client.closed().await;
    closed.assert_code(4410);
    assert!(closed.reason.starts_with("slot_missing: the slot was made anew"), "{}", closed.reason);
    end(service).await;
}

#[tokio::test]
async fn one_of_another_plugin_is_none_of_ours() {
    let postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    let slot = service.create(serde_json::json!({"name": "s"})).await["slotName"].as_str().unwrap().to_owned();
    postgres.execute(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    postgres.execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')")).await;
    assert_eq!(service.show(&slot).await["walStatus"], "missing");
    let refused = service.try_stream(&format!("slotName={slot}")).await.err().unwrap();
    assert_eq!(refused.refusal(), (410, String::from("stream_gone")));
    assert_eq!(service.delete(&format!("/v1/streams/{slot}")).await.status, 204);
    assert_eq!(postgres.slots().await, ["s"], "somebody else's slot is left alone");
    end(service).await;
}
