//! Requests that cannot be fulfilled: each gets JSON with an `error`, and harms nothing.

use serde_json::json;

use crate::harness::start;

#[tokio::test]
async fn what_is_wrong_is_said() {
    let (postgres, service) = start().await;
    let before = postgres.slots().await;
    for (path, status, code) in [
        ("/", 404, "not_found"),
        ("/v1/init/more", 404, "not_found"),
        ("/v1/snapshot/data", 405, "method_not_allowed"),
        ("/v1/lr/stream", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=No%20Name", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=a&slotName=b", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=a&more=1", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=a&emptyTransactions=maybe", 400, "invalid_request"),
        ("/v1/lr/stream?slotName=a", 426, "upgrade_required"),
    ] {
        let answer = service.get(path).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let missing = service.try_stream("slotName=delta_nobody1").await.err().unwrap();
    assert_eq!(missing.refusal(), (404, String::from("no_such_stream")));
    assert_eq!(service.try_stream("slotName=a%27b").await.err().unwrap().refusal().0, 400);
    let put = service.send(reqwest::Client::new().put(service.url("/v1/init"))).await;
    assert_eq!((put.refusal().0, put.headers["allow"].to_str().unwrap()), (405, "GET, OPTIONS, POST"));
    let no_websocket = service.get("/v1/lr/stream?slotName=a").await.headers;
    assert_eq!((&no_websocket["upgrade"], &no_websocket["sec-websocket-version"]), (&"websocket".parse().unwrap(), &"13".parse().unwrap()));
    assert_eq!(postgres.slots().await, before);
    service.stop().await;
}

#[tokio::test]
async fn a_body_is_checked_before_anything_is_done_with_it() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY, doc json); INSERT INTO t VALUES (1, '{}')").await;
    let no_init = service.data(json!({"table": "t", "offset": 0, "limit": 1})).await;
    assert_eq!(no_init.refusal(), (404, String::from("no_such_stream")));
    service.init().await;
    let order = |column: &str, order: &str| json!({"table": "t", "offset": 0, "limit": 1, "order_by": {"column": column, "order": order}});
    for (body, status, code) in [
        (json!({"table": "t; drop table t", "offset": 0, "limit": 1}), 400, "invalid_request"),
        (json!({"table": "(select 1) x", "offset": 0, "limit": 1}), 400, "invalid_request"),
        (json!({"table": "t\u{0}", "offset": 0, "limit": 1}), 400, "invalid_request"),
        (json!({"table": "t", "offset": -1, "limit": 1}), 400, "invalid_request"),
        (json!({"table": "t", "offset": 0, "limit": "1; drop table t"}), 400, "invalid_request"),
        (json!({"table": "t", "offset": 0, "limit": 9_223_372_036_854_775_808_u64}), 400, "invalid_request"),
        (json!({"table": "t", "offset": 0, "limit": 1, "where": "1=1"}), 400, "invalid_request"),
        (json!({"table": "t", "slotName": "A", "offset": 0, "limit": 1}), 400, "invalid_request"),
        (json!({"table": "t", "slotName": "nobody", "offset": 0, "limit": 1}), 404, "no_such_stream"),
        (order("id", "ASC; drop table t"), 400, "invalid_request"),
        (order("id; drop table t", "ASC"), 404, "no_such_column"),
        (order("nothing", "ASC"), 404, "no_such_column"),
        (order("doc", "ASC"), 400, "no_order"),
        (json!({"table": "nothing", "offset": 0, "limit": 1}), 404, "no_such_table"),
        (json!({"table": "pg_catalog.pg_class", "offset": 0, "limit": 1}), 404, "no_such_table"),
        (json!({"table": "information_schema.tables", "offset": 0, "limit": 1}), 404, "no_such_table"),
        (json!({"table": "pgdeltastream.stream", "offset": 0, "limit": 1}), 404, "no_such_table"),
        (json!(["t"]), 400, "invalid_request"),
    ] {
        let answer = service.data(body.clone()).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{body}: {}", answer.text);
    }
    for body in ["", "{", "table=t", "\u{0}", "{\"table\":\"\u{1}\"}"] {
        assert_eq!(service.post("/v1/snapshot/data", body).await.refusal(), (400, String::from("invalid_request")), "{body:?}");
    }
    let all_faults = service.data(json!({"offset": -1, "limit": "x"})).await.json();
    let mut pointers: Vec<_> = all_faults["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/limit", "/offset", "/table"]);
    let huge = service.post("/v1/snapshot/data", "x".repeat(70_000)).await;
    assert_eq!(huge.refusal(), (413, String::from("body_too_large")));
    assert_eq!(service.rows(json!({"table": "t", "offset": 0, "limit": 9})).await, [json!({"id": 1, "doc": {}})]);
    service.stop().await;
}

#[tokio::test]
async fn the_service_says_that_it_is_alive() {
    let (_postgres, service) = start().await;
    assert_eq!(service.get("/healthz").await.status, 200);
    service.stop().await;
}
