//! The service as a strict client of HTTP finds it.

use std::path::Path;

use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Postgres, Service, in_time, start};

async fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Http::new().request(Method::from_bytes(method.as_bytes()).unwrap(), service.url(path));
    service.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn committed(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(file)).unwrap()
}

#[tokio::test]
async fn what_is_published_is_what_is_committed() {
    let (_postgres, service) = start().await;
    assert_eq!(service.get("/openapi.json").await.text, committed("openapi.json"));
    assert_eq!(service.get("/asyncapi.json").await.text, committed("asyncapi.json"));
    let list = service.get("/v1/schemas").await.json();
    let mut files = 2;
    for entry in list["schemas"].as_array().unwrap() {
        let answer = service.get(entry["href"].as_str().unwrap()).await;
        assert_eq!(answer.headers["content-type"], "application/schema+json");
        assert_eq!(answer.text, committed(&format!("{}.json", entry["name"].as_str().unwrap())));
        assert_eq!(answer.json()["$id"], entry["id"]);
        files += 1;
    }
    assert_eq!(std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")).unwrap().count(), files);
    assert_eq!(service.get("/v1/schemas/nothing").await.refusal(), (404, String::from("no_such_schema")));
    service.stop().await;
}

#[tokio::test]
async fn the_page_for_people_needs_no_other_host_and_no_script() {
    let (_postgres, service) = start().await;
    let page = service.get("/docs").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for outside in ["<script", "<link", "<img", "src=", "@import", "url(", "http://", "https://"] {
        assert!(!page.text.contains(outside), "{outside}");
    }
    let (openapi, asyncapi) = (service.get("/openapi.json").await.json(), service.get("/asyncapi.json").await.json());
    for path in openapi["paths"].as_object().unwrap().keys() {
        assert!(page.text.contains(path), "{path}");
    }
    for message in asyncapi["components"]["messages"].as_object().unwrap().keys() {
        assert!(page.text.contains(&format!("id=\"{message}\"")), "{message}");
    }
    for code in openapi["components"]["schemas"]["ProblemCode"]["oneOf"].as_array().unwrap() {
        assert!(page.text.contains(&format!("id=\"{}\"", code["const"].as_str().unwrap())), "{code}");
    }
    // Every place of the page that it refers to is there.
    for target in page.text.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.text.contains(&format!("id=\"{target}\"")), "{target}");
    }
    service.stop().await;
}

#[tokio::test]
async fn who_has_a_document_gets_nothing() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY)").await;
    for path in ["/v1/schemas", "/v1/schemas/problem", "/v1/schemas/tables/t", "/openapi.json", "/asyncapi.json", "/docs"] {
        let first = service.get(path).await;
        let tag = first.headers["etag"].to_str().unwrap();
        assert!(tag.starts_with('"') && first.headers.contains_key("cache-control"), "{path}: {tag}");
        for known in [tag, "*", &format!("\"other\", W/{tag}")] {
            let again = ask(&service, "GET", path, &[("if-none-match", known)]).await;
            assert_eq!((again.status, again.text.as_str(), again.headers["etag"].to_str().unwrap()), (304, "", tag), "{path} {known}");
        }
        let other = ask(&service, "GET", path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!((other.status, other.text), (200, first.text.clone()), "{path}");
    }
    let before = service.get("/v1/schemas/tables/t").await.headers["etag"].clone();
    postgres.execute("ALTER TABLE t ADD note text").await;
    let after = ask(&service, "GET", "/v1/schemas/tables/t", &[("if-none-match", before.to_str().unwrap())]).await;
    assert_eq!(after.status, 200, "the table is another");
    for (method, path) in [("POST", "/v1/init"), ("GET", "/v1/init"), ("GET", "/healthz"), ("GET", "/nothing")] {
        assert_eq!(ask(&service, method, path, &[]).await.headers["cache-control"], "no-store", "{method} {path}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_document_comes_as_the_client_likes_it() {
    let (_postgres, service) = start().await;
    let content_type = async |path: &str, accept: &str| {
        let answer = ask(&service, "GET", path, &[("accept", accept)]).await;
        (answer.status, answer.headers["content-type"].to_str().unwrap().to_owned(), answer.headers.get("etag").cloned())
    };
    let (status, schema, tag) = content_type("/v1/schemas/problem", "*/*").await;
    assert_eq!((status, schema.as_str()), (200, "application/schema+json"));
    let (status, json, other_tag) = content_type("/v1/schemas/problem", "application/json, */*;q=0.1").await;
    assert_eq!((status, json.as_str()), (200, "application/json"));
    assert_ne!(tag, other_tag, "a strong tag is of one representation");
    assert_eq!(content_type("/openapi.json", "application/vnd.oai.openapi+json").await.1, "application/vnd.oai.openapi+json");
    for path in ["/v1/schemas", "/v1/schemas/problem", "/openapi.json", "/asyncapi.json", "/docs"] {
        let (status, content_type, _) = content_type(path, "image/png").await;
        assert_eq!((status, content_type.as_str()), (406, "application/problem+json"), "{path}");
    }
    // What was there before does not look at it.
    assert_eq!(content_type("/healthz", "image/png").await.0, 200);
    assert_eq!(content_type("/v1/init", "image/png").await.0, 200);
    service.stop().await;
}

#[tokio::test]
async fn head_is_get_without_a_body_where_get_changes_nothing() {
    let (postgres, service) = start().await;
    for path in ["/healthz", "/v1/schemas", "/v1/schemas/problem", "/openapi.json", "/asyncapi.json", "/docs"] {
        let (get, head) = (service.get(path).await, ask(&service, "HEAD", path, &[]).await);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        for header in ["content-type", "content-length", "etag", "cache-control", "vary"] {
            assert_eq!(head.headers.get(header), get.headers.get(header), "{path}: {header}");
        }
    }
    let head = ask(&service, "HEAD", "/v1/init", &[]).await;
    assert_eq!((head.status, head.headers["allow"].to_str().unwrap()), (405, "GET, OPTIONS, POST"));
    assert!(postgres.slots().await.is_empty(), "to ask harms nothing");
    assert_eq!(ask(&service, "HEAD", "/v1/schemas/nothing", &[]).await.status, 404);
    service.stop().await;
}

#[tokio::test]
async fn options_and_405_say_what_is_possible() {
    let (_postgres, service) = start().await;
    for (path, allowed) in [
        ("/v1/init", "GET, OPTIONS, POST"),
        ("/v1/snapshot/data", "OPTIONS, POST"),
        ("/v1/lr/stream", "GET, OPTIONS"),
        ("/v1/schemas/tables/x", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
    ] {
        let options = ask(&service, "OPTIONS", path, &[]).await;
        assert_eq!((options.status, options.headers["allow"].to_str().unwrap()), (204, allowed), "{path}");
        for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let refused = ask(&service, method, path, &[]).await;
            assert_eq!(refused.refusal(), (405, String::from("method_not_allowed")), "{method} {path}");
            assert_eq!(refused.headers["allow"], allowed);
        }
    }
    assert_eq!(ask(&service, "OPTIONS", "/nothing", &[]).await.status, 404);
    service.stop().await;
}

#[tokio::test]
async fn a_request_without_a_path_is_answered() {
    let (_postgres, service) = start().await;
    let address = service.url("").replace("http://", "");
    for line in ["CONNECT example.com:443", "GET example.com:80", "GET /", "GET http://example.com"] {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(format!("{line} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        in_time("the answer", connection.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("application/problem+json"), "{line}: {answer}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_path_is_the_same_however_it_is_written() {
    let (postgres, service) = start().await;
    postgres.execute(r#"CREATE TABLE "Ä/b %" (id integer PRIMARY KEY)"#).await;
    for path in ["/healthz/", "/%68ealthz", "/v1/schemas/", "/v1/%73chemas/problem/", "/v1/init/", "/v1/init?more=1"] {
        assert_eq!(service.get(path).await.status, 200, "{path}");
    }
    for path in ["//healthz", "/healthz//", "/v1%2Finit", "/V1/init", "/v1/init%00", "/v1/../healthz%"] {
        assert_eq!(service.get(path).await.refusal(), (404, String::from("not_found")), "{path}");
    }
    let schema = service.get("/v1/schemas/tables/public.%22%C3%84%2Fb%20%25%22/").await;
    assert_eq!((schema.status, schema.json()["$defs"]["row"]["title"].as_str()), (200, Some("Ä/b %")), "{}", schema.text);
    let no_text = ask(&service, "GET", "/v1/schemas/%ff", &[]).await;
    assert_eq!(no_text.refusal(), (400, String::from("malformed_request")));
    service.stop().await;
}

#[tokio::test]
async fn a_query_is_text_and_has_no_unknown_parameter() {
    let (_postgres, service) = start().await;
    let pointers = async |path: &str| {
        let answer = service.get(path).await;
        assert_eq!(answer.refusal(), (400, String::from("invalid_request")), "{path}");
        let faults = answer.json()["errors"].as_array().unwrap().clone();
        faults.iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pointers("/v1/schemas?a=1&b/c=2").await, ["/a", "/b~1c"]);
    assert_eq!(pointers("/docs?x").await, ["/x"]);
    assert_eq!(pointers("/v1/schemas/tables/t?numbers=bare&more=1").await, ["/numbers", "/more"]);
    assert_eq!(pointers("/v1/lr/stream?slotName=a&tables=%ff").await, ["/tables"]);
    assert_eq!(
        pointers("/v1/lr/stream?slotName=a&slotName=b&includeLsn=1&numbers=string&tables=a&excludeTables=public.*").await,
        ["/includeLsn", "/slotName", "/numbers", "/excludeTables",]
    );
    assert_eq!(pointers("/v1/schemas/tables/a%20b").await, ["/table"]);
    service.stop().await;
}

#[tokio::test]
async fn a_body_may_be_so_long_and_is_not_encoded() {
    let (postgres, service) = start().await;
    postgres.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    service.init().await;
    let padded = |length: usize| {
        let body = json!({"table": "t", "limit": 1.0}).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(service.post("/v1/snapshot/data", padded(64 * 1024)).await.json(), json!([{"id": 1}]));
    assert_eq!(service.post("/v1/snapshot/data", padded(64 * 1024 + 1)).await.refusal(), (413, String::from("body_too_large")));
    let post = |header: &'static str, value: &'static str| {
        service.send(Http::new().post(service.url("/v1/snapshot/data")).header(header, value).body(padded(30)))
    };
    for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-16", "nonsense"] {
        assert_eq!(post("content-type", content_type).await.status, 200, "{content_type}: as the original");
    }
    assert_eq!(post("content-encoding", "identity").await.status, 200);
    assert_eq!(post("content-encoding", "gzip").await.refusal(), (415, String::from("unsupported_media_type")));
    service.stop().await;
}

#[tokio::test]
async fn a_body_that_would_be_too_long_is_not_waited_for() {
    let (_postgres, service) = start().await;
    let mut connection = TcpStream::connect(service.url("").trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/snapshot/data HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time("the answer", connection.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    service.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_may_not_ask() {
    let (postgres, service) = start().await;
    let host = service.url("").replace("http://", "");
    let elsewhere = [("origin", "https://elsewhere.example")];
    for (method, path) in
        [("GET", "/v1/init"), ("POST", "/v1/init"), ("GET", "/healthz"), ("GET", "/v1/lr/stream"), ("OPTIONS", "/v1/init")]
    {
        let answer = ask(&service, method, path, &elsewhere).await;
        assert_eq!(answer.refusal(), (403, String::from("origin_not_allowed")), "{method} {path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    // What a page only loads, as an image, has no origin, and says where it is from; a link is followed, but not to what changes something.
    for (path, site, mode, status) in [
        ("/healthz", "cross-site", "no-cors", 403),
        ("/healthz", "same-site", "no-cors", 403),
        ("/v1/init", "cross-site", "no-cors", 403),
        ("/v1/init", "cross-site", "navigate", 403),
        ("/docs", "cross-site", "navigate", 200),
        ("/healthz", "same-origin", "no-cors", 200),
        ("/healthz", "none", "navigate", 200),
    ] {
        let answer = ask(&service, "GET", path, &[("sec-fetch-site", site), ("sec-fetch-mode", mode)]).await;
        assert_eq!(answer.status, status, "{path} {site} {mode}");
    }
    assert!(postgres.slots().await.is_empty());
    assert_eq!(ask(&service, "GET", "/healthz", &[("origin", &format!("http://{host}"))]).await.status, 200, "its own page may");
    assert_eq!(ask(&service, "GET", "/healthz", &[("origin", "null")]).await.status, 403);
    service.stop().await;
}

#[tokio::test]
async fn pages_of_sites_that_are_configured_may_ask() {
    let postgres = Postgres::start().await;
    let service = Service::start_in(&postgres, &[("CORS_ORIGINS", "https://one.example, https://two.example:8443")]).await;
    let allowed = ask(&service, "GET", "/healthz", &[("origin", "https://two.example:8443")]).await;
    assert_eq!((allowed.status, allowed.headers["access-control-allow-origin"].to_str().unwrap()), (200, "https://two.example:8443"));
    assert_eq!(allowed.headers["vary"], "Origin");
    assert_eq!(ask(&service, "GET", "/healthz", &[("origin", "https://two.example")]).await.status, 403);
    assert!(!ask(&service, "GET", "/healthz", &[]).await.headers.contains_key("access-control-allow-origin"));
    let refused = ask(&service, "GET", "/v1/schemas/nothing", &[("origin", "https://one.example")]).await;
    assert_eq!(refused.headers["access-control-allow-origin"], "https://one.example", "the page may read what is wrong");
    let preflight = [("origin", "https://one.example"), ("access-control-request-method", "POST")];
    let preflight = ask(&service, "OPTIONS", "/v1/snapshot/data", &preflight).await;
    assert_eq!((preflight.status, preflight.headers["access-control-allow-methods"].to_str().unwrap()), (204, "OPTIONS, POST"));
    assert!(preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("Content-Type"));
    service.stop().await;

    let service = Service::start_in(&postgres, &[("CORS_ORIGINS", "*")]).await;
    let anybody = ask(&service, "GET", "/healthz", &[("origin", "https://elsewhere.example")]).await;
    assert_eq!((anybody.status, anybody.headers["access-control-allow-origin"].to_str().unwrap()), (200, "*"));
    service.stop().await;
}

#[tokio::test]
async fn an_origin_that_is_none_is_refused_at_the_start() {
    let postgres = Postgres::start().await;
    let (code, text) = Service::fail_to_start(&postgres.options, &["--corsOrigins", "https://one.example/page"]).await;
    assert_eq!(code, 2);
    assert!(text.contains("https://one.example/page") && text.contains("--corsOrigins"), "{text}");
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let (_postgres, service) = start().await;
    let problem: Value = service.get("/nothing").await.json();
    let expected = json!({
        "type": "urn:pgdeltastream:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": problem["error"],
        "code": "not_found",
        "error": problem["detail"],
    });
    assert_eq!(problem, expected);
    service.stop().await;
}
