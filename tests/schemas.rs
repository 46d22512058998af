//! What is published in `schemas/` is what the types say. `EXPECTORATE=overwrite cargo test --test schemas` rewrites it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use pgdeltastream::contract::published;
use pgdeltastream::http::api::{asyncapi, openapi};
use pgdeltastream::message::{EventsMessage, NoticeMessage, Wal2jsonV1Message, Wal2jsonV2Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// What was recorded of a history in which everything happens. wal2json writes some texts that are no JSON; those the service mends.
fn recorded(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    std::fs::read_to_string(path).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// To the types, a member that is null and one that is not there are the same.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn comes_back<T: DeserializeOwned + Serialize>(recorded: &Value) {
    let typed: T = serde_json::from_value(recorded.clone()).unwrap_or_else(|error| panic!("{error}: {recorded}"));
    assert_eq!(without_nulls(serde_json::to_value(typed).unwrap()), without_nulls(recorded.clone()));
}

#[test]
fn the_types_have_all_that_is_written() {
    recorded("format-1.jsonl").iter().for_each(comes_back::<Wal2jsonV1Message>);
    recorded("format-2.jsonl").iter().for_each(comes_back::<Wal2jsonV2Record>);
    let (notices, messages): (Vec<Value>, Vec<Value>) =
        recorded("events.jsonl").into_iter().partition(|message| message["notice"].is_object());
    assert!(!notices.is_empty() && messages.len() > 10);
    notices.iter().for_each(comes_back::<NoticeMessage>);
    messages.iter().for_each(comes_back::<EventsMessage>);
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, text) in published::generated() {
        expectorate::assert_contents(folder().join(format!("{name}.json")), &text);
    }
}

#[test]
fn the_committed_documents_are_those_of_the_types() {
    expectorate::assert_contents(folder().join("openapi.json"), &openapi::generated());
    expectorate::assert_contents(folder().join("asyncapi.json"), &asyncapi::generated());
}

#[test]
fn no_schema_is_left_over() {
    let mut known: Vec<String> = published::generated().iter().map(|(name, _)| format!("{name}.json")).collect();
    known.extend([String::from("openapi.json"), String::from("asyncapi.json")]);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&file), "schemas/{file} belongs to no type");
    }
}

#[test]
fn every_schema_has_an_id_a_description_and_examples_that_are_valid() {
    for (name, text) in published::generated() {
        let schema = parsed(&text);
        assert_eq!(schema["$id"], format!("urn:pgdeltastream:v1:{name}"));
        assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        let examples = schema["examples"].as_array().cloned().unwrap_or_default();
        assert!(!examples.is_empty(), "{name} has no example");
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        for example in &examples {
            let faults: Vec<String> = validator.iter_errors(example).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{name}: {faults:?}");
        }
    }
}
