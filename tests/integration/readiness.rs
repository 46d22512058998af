//! `/readyz`: red with the reason while nothing can be streamed, and green again by itself.

use pgdeltastream::cluster::StopMode;

use crate::harness::{Postgres, Service, eventually};

#[tokio::test]
async fn it_follows_postgres() {
    let mut postgres = Postgres::with_settings(&[]).await;
    let service = Service::start(&postgres).await;
    assert_eq!(service.get("/readyz").await.json(), serde_json::json!({"status": "ok"}));
    let slot = service.init().await;
    let client = service.stream(&slot).await;
    postgres.stop(StopMode::Fast).await;
    let refused = eventually("the service not to be ready", async || {
        let answer = service.get("/readyz").await;
        (answer.status != 200).then(|| answer.refusal())
    })
    .await;
    assert_eq!(refused, (503, String::from("postgres_unavailable")));
    assert_eq!(service.get("/healthz").await.status, 200, "to start it again would help nobody");
    postgres.start_again();
    eventually("the service to be ready", async || (service.get("/readyz").await.status == 200).then_some(())).await;
    client.leave().await;
    service.stop().await;
}
