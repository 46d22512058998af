//! What the service publishes, held against what it sends: every answer and every frame that a test sees.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

static OPENAPI: LazyLock<Value> = LazyLock::new(|| document(include_str!("../../schemas/openapi.json")));
static ASYNCAPI: LazyLock<Value> = LazyLock::new(|| document(include_str!("../../schemas/asyncapi.json")));

/// What a frame may be, by the stream's format.
const FRAMES: [(&str, &[&str]); 3] = [
    ("wal2json-v1", &["Wal2jsonV1Message", "StreamError"]),
    ("wal2json-v2", &["Wal2jsonV2Record", "StreamError"]),
    ("events", &["EventsMessage", "NoticeMessage", "StreamError"]),
];

/// Fails unless an answer is one that the OpenAPI document describes.
pub fn check_answer(method: &Method, path: &str, status: u16, headers: &HeaderMap, text: &str) {
    let what = format!("{method} {path}: {status} {text:.500}");
    let Some(schema) = described(method, path, status, headers, &what) else { return };
    let content_type = headers["content-type"].to_str().unwrap();
    if content_type == "application/x-ndjson" {
        assert!(
            text.lines().all(|line| parse(line).is_ok_and(|row| row.is_object())) && (text.is_empty() || text.ends_with('\n')),
            "{what}"
        );
        return;
    }
    let is_json = content_type.ends_with("json");
    if *method != Method::HEAD && is_json {
        check(&schema, &OPENAPI, text, &what);
    }
}

/// The schema of an answer's body, if it has one.
fn described(method: &Method, path: &str, status: u16, headers: &HeaderMap, what: &str) -> Option<Value> {
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    let paths = OPENAPI["paths"].as_object().unwrap();
    let operations = paths.iter().find(|(template, _)| matches(template, path)).map(|(_, operations)| operations);
    let method = if *method == Method::HEAD { "get" } else { &method.as_str().to_ascii_lowercase() };
    let operation = operations.and_then(|operations| operations.get(method));
    let Some(operation) = operation.filter(|_| status != 405) else {
        // Nothing is there, or not with this method: only OPTIONS may say more than that.
        assert!([400, 403, 404, 405].contains(&status) || method == "options" && status == 204, "{what}");
        return (status != 204).then_some(problem);
    };
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{what}: this status is not described");
    for (name, header) in answer["headers"].as_object().into_iter().flatten() {
        assert!(headers.contains_key(name) || header["required"] != true, "{what}: there is no {name}");
    }
    let content_type = headers.get("content-type").and_then(|value| value.to_str().unwrap().split(';').next());
    let Some(content) = answer["content"].as_object() else {
        assert_eq!(content_type, None, "{what}: no body is described");
        return None;
    };
    let content_type = content_type.unwrap_or_else(|| panic!("{what}: no content type"));
    let content = content.get(content_type).unwrap_or_else(|| panic!("{what}: {content_type} is not described"));
    Some(content["schema"].clone())
}

fn matches(template: &str, path: &str) -> bool {
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let is_same =
        |part: &str, segment: &str| part.starts_with('{') || percent_decode_str(segment).decode_utf8().is_ok_and(|text| text == part);
    template.len() == path.len() && template.iter().zip(path).all(|(part, segment)| is_same(part, segment))
}

/// Fails unless a frame is one that the AsyncAPI document describes for this format.
pub fn check_frame(format: &str, text: &str) {
    let (_, messages) = FRAMES.iter().find(|(name, _)| *name == format).unwrap_or_else(|| panic!("{format} is no format"));
    let options: Vec<Value> = messages.iter().map(|message| json!({"$ref": format!("#/components/schemas/{message}")})).collect();
    check(&json!({ "oneOf": options }), &ASYNCAPI, text, format);
}

/// Fails unless an event's data are what the AsyncAPI document describes for this format, under this name.
pub fn check_event(format: &str, name: &str, data: &str) {
    let message = match name {
        "notice" => "NoticeMessage",
        "close" => "StreamClose",
        _ => FRAMES.iter().find(|(name, _)| *name == format).unwrap().1[0],
    };
    check(&json!({"$ref": format!("#/components/schemas/{message}")}), &ASYNCAPI, data, name);
}

fn check(schema: &Value, document: &Value, text: &str, what: &str) {
    let value: Value = parse(text).unwrap_or_else(|error| panic!("{what}: {error}: {text:.500}"));
    let validator = validator(schema, document);
    if !validator.is_valid(&value) {
        let faults: Vec<String> =
            validator.iter_errors(&value).map(|fault| format!("{:?}: {:.300}", fault.instance_path(), fault.to_string())).collect();
        panic!("{what}: {faults:?}: {text:.1000}");
    }
}

/// Reads JSON text, whatever numbers are in it.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    match serde_json::from_str(text) {
        // Numbers that no float can hold are numbers too, but not to this parser.
        Err(error) if error.to_string().starts_with("number out of range") => serde_json::from_str(&with_floats(text)),
        parsed => parsed,
    }
}

fn with_floats(text: &str) -> String {
    let is_in_number = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let token = |token: &str| {
        let number = token.trim_end_matches(|letter| !is_in_number(letter));
        let is_too_large = number.ends_with(|last: char| last.is_ascii_digit()) && number.parse().is_ok_and(f64::is_infinite);
        if is_too_large { format!("0{}", &token[number.len()..]) } else { token.to_owned() }
    };
    text.split_inclusive(|letter| !is_in_number(letter)).map(token).collect()
}

/// Compiled once for each schema.
fn validator(schema: &Value, document: &Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap();
    let compiled = validators.entry(format!("{schema}{}", document["id"])).or_insert_with(|| {
        let mut root = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"]});
        root.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        Arc::new(jsonschema::draft202012::options().should_validate_formats(true).build(&root).unwrap())
    });
    compiled.clone()
}

/// Clients are to pass over members that they do not know. Here there are none.
fn document(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        close(schema);
    }
    document
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.contains_key("properties") && members.get("type").is_some_and(|kind| kind == "object") {
                members.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
