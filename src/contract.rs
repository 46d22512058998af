//! What comes from outside is checked against the JSON Schemas in `schemas/`, the very files that are published, and becomes a typed
//! message only then.

pub mod subscription;

use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::message::{Acknowledgement, Fault, InitResponse, Problem, SnapshotDataRequest, StreamError, StreamQuery};

/// A message that breaks its contract: every fault, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.iter().map(describe).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    /// At least one.
    pub faults: Vec<Fault>,
}

fn describe(fault: &Fault) -> String {
    if fault.pointer.is_empty() { fault.message.clone() } else { format!("{}: {}", fault.pointer, fault.message) }
}

impl Invalid {
    /// A single fault.
    pub fn at(pointer: &str, message: impl std::fmt::Display) -> Self {
        Self { faults: vec![Fault { pointer: pointer.to_owned(), message: truncated(&message.to_string()) }] }
    }
}

/// A message with a schema of its own in `schemas/`.
pub trait Message: JsonSchema {
    /// The file's name, without `.json`.
    const NAME: &'static str;
    /// The file's text, as it was when this program was built.
    const SCHEMA: &'static str;
}

/// A message that clients send.
pub trait Request: Message + DeserializeOwned {
    /// The schema, compiled once.
    fn validator() -> &'static Validator;
}

macro_rules! messages {
    ($($message:ty => $name:literal),+ $(,)?) => {
        $(impl Message for $message {
            const NAME: &'static str = $name;
            const SCHEMA: &'static str = include_str!(concat!("../schemas/", $name, ".json"));
        })+

        /// The name and the text of every schema as the types have it now; `schemas/` must hold the same.
        pub fn generated() -> Vec<(&'static str, String)> {
            vec![$(($name, generate::<$message>())),+]
        }
    };
}

macro_rules! requests {
    ($($request:ty),+ $(,)?) => {
        $(impl Request for $request {
            fn validator() -> &'static Validator {
                static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| compile::<$request>());
                &VALIDATOR
            }
        })+
    };
}

messages! {
    InitResponse => "init-response",
    SnapshotDataRequest => "snapshot-data-request",
    StreamQuery => "stream-query",
    Acknowledgement => "acknowledgement",
    StreamError => "stream-error",
    Problem => "problem",
}

requests!(SnapshotDataRequest, StreamQuery, Acknowledgement);

/// Reads a message from JSON text.
pub fn read<T: Request>(text: &[u8]) -> Result<T, Invalid> {
    let value = serde_json::from_slice(text).map_err(|error| Invalid::at("", format!("not JSON: {error}")))?;
    read_value(value)
}

/// Reads a message from a JSON value.
pub fn read_value<T: Request>(value: Value) -> Result<T, Invalid> {
    let faults: Vec<Fault> = T::validator()
        .iter_errors(&value)
        .map(|error| Fault { pointer: error.instance_path().to_string(), message: truncated(&error.to_string()) })
        .collect();
    if !faults.is_empty() {
        return Err(Invalid { faults });
    }
    // JSON Schema takes 10.0 for an integer, serde does not.
    serde_json::from_value(value).map_err(|error| Invalid::at("", error))
}

/// Reads a message from the parameters of a query string, each given once.
pub fn read_query<T: Request>(parameters: Vec<(String, String)>) -> Result<T, Invalid> {
    let mut object = serde_json::Map::new();
    for (name, text) in parameters {
        let value = match text.as_str() {
            "true" | "false" if is_boolean::<T>(&name) => Value::Bool(text == "true"),
            _ => Value::String(text),
        };
        if object.insert(name.clone(), value).is_some() {
            return Err(Invalid::at(&format!("/{name}"), "given more than once"));
        }
    }
    read_value(Value::Object(object))
}

fn is_boolean<T: Message>(property: &str) -> bool {
    let schema: Value = serde_json::from_str(T::SCHEMA).unwrap_or_default();
    schema.pointer(&format!("/properties/{property}/type")).is_some_and(|kind| kind == "boolean")
}

/// Error texts repeat the whole offending value, however long it is.
fn truncated(message: &str) -> String {
    const LIMIT: usize = 300;
    match message.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

fn generate<T: Message>() -> String {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[expect(clippy::expect_used, reason = "the embedded schemas are compiled by a test of this module")]
fn compile<T: Message>() -> Validator {
    let schema = serde_json::from_str(T::SCHEMA).expect("an embedded schema is JSON");
    jsonschema::validator_for(&schema).expect("an embedded schema is a schema")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn faults<T: Request + std::fmt::Debug>(text: &str) -> Vec<(String, String)> {
        let invalid = read::<T>(text.as_bytes()).unwrap_err();
        invalid.faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect()
    }

    #[test]
    fn the_body_of_the_original_is_read() {
        let request: SnapshotDataRequest =
            read(br#"{"slotName":"delta_face56","table":"t","offset":1,"limit":5,"order_by":{"column":"id","order":"desc"}}"#).unwrap();
        assert_eq!((request.offset, request.limit), (1, Some(5)));
        assert_eq!(request.order_by.unwrap().order, "desc");
    }

    #[test]
    fn all_faults_come_at_once_each_with_its_place() {
        let faults = faults::<SnapshotDataRequest>(r#"{"offset":-1,"limit":"x","order_by":{"column":"id","order":"sideways"},"more":1}"#);
        let mut pointers: Vec<_> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["", "", "/limit", "/offset", "/order_by/order"], "{faults:?}");
    }

    #[test]
    fn what_the_original_would_have_run_as_sql_is_refused() {
        for order in ["asc; drop table x", "ASC NULLS FIRST", ""] {
            let body = serde_json::json!({"table": "t", "offset": 0, "limit": 1, "order_by": {"column": "id", "order": order}});
            assert!(read_value::<SnapshotDataRequest>(body).is_err(), "{order:?}");
        }
        for body in
            [r#"{"table":"t\u0000"}"#, r#"{"table":"t","limit":null}"#, r#"{"table":"t","offset":9223372036854775808}"#, "[]", "", "{"]
        {
            assert!(read::<SnapshotDataRequest>(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn an_acknowledgement_may_say_more_than_it_must() {
        assert_eq!(read::<Acknowledgement>(br#"{"lsn":"0/170FCB0","client":7}"#).unwrap().lsn, "0/170FCB0");
        for frame in [r#"{"lsn":5}"#, r#"{"LSN":"0/1"}"#, r#"{"lsn":"0/"}"#, r#"{"lsn":"0/1 "}"#, r#""0/1""#, "ping", "\u{0}"] {
            assert!(read::<Acknowledgement>(frame.as_bytes()).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn a_query_string_is_a_message_like_any_other() {
        let read =
            |pairs: &[(&str, &str)]| read_query::<StreamQuery>(pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect());
        assert!(read(&[("slotName", "true"), ("emptyTransactions", "true")]).unwrap().empty_transactions);
        assert_eq!(read(&[("slotName", "a"), ("slotName", "b")]).unwrap_err().faults[0].pointer, "/slotName");
        assert_eq!(read(&[("slotName", "a"), ("emptyTransactions", "yes")]).unwrap_err().faults[0].pointer, "/emptyTransactions");
        assert!(read(&[]).is_err() && read(&[("slotName", "a"), ("more", "1")]).is_err());
    }

    #[test]
    fn error_texts_do_not_grow_with_the_request() {
        let body = format!(r#"{{"table":"t","offset":"{}"}}"#, "ä".repeat(50_000));
        assert!(faults::<SnapshotDataRequest>(&body)[0].1.len() < 1_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read::<Acknowledgement>(&bytes);
            let _ = read::<SnapshotDataRequest>(&bytes);
        }
    }
}
