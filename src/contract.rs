//! What comes from outside is checked against the JSON Schemas in `schemas/`, the very files that are published, and becomes a typed
//! message only then.

pub mod creation;
pub mod published;
pub mod subscription;
pub mod table;

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::filter::TablePattern;
use crate::message::{
    AcknowledgeRequest, Acknowledgement, CreateStreamRequest, Fault, SnapshotDataRequest, SnapshotQuery, SnapshotTablesQuery, StreamQuery,
    TableSchemaQuery, pointer,
};
use crate::name::{ColumnName, SlotName, TableName};
use published::Message;

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

/// A message that clients send.
pub trait Request: Message + DeserializeOwned {
    /// The schema, compiled once.
    fn validator() -> &'static Validator;
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

requests!(
    AcknowledgeRequest,
    Acknowledgement,
    CreateStreamRequest,
    SnapshotDataRequest,
    SnapshotQuery,
    SnapshotTablesQuery,
    StreamQuery,
    TableSchemaQuery
);

/// A parameter of a call that takes none of that name.
pub fn unknown(parameter: &str) -> Fault {
    Fault { pointer: pointer(parameter), message: String::from("there is no such parameter here") }
}

/// Reads a message from JSON text. Of a member that is there twice, the last counts.
pub fn read<T: Request>(text: &[u8]) -> Result<T, Invalid> {
    read_value(parse(text)?)
}

/// Reads a message with values of tables in it, which must keep all their digits. A member that is there twice is refused.
pub fn read_with_digits<T: Request>(text: &[u8]) -> Result<T, Invalid> {
    check::<T>(&parse(text)?)?;
    serde_json::from_slice(text).map_err(|error| Invalid::at("", error))
}

fn parse(text: &[u8]) -> Result<Value, Invalid> {
    serde_json::from_slice(text).map_err(|error| Invalid::at("", format!("not JSON: {error}")))
}

/// Reads a message from a JSON value.
fn read_value<T: Request>(value: Value) -> Result<T, Invalid> {
    check::<T>(&value)?;
    serde_json::from_value(value).map_err(|error| Invalid::at("", error))
}

fn check<T: Request>(value: &Value) -> Result<(), Invalid> {
    let faults: Vec<Fault> = T::validator().iter_errors(value).flat_map(|error| faults::<T>(&error)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Invalid { faults }) }
}

/// Each member that is missing or unknown is a fault of its own place.
fn faults<T: Message>(error: &ValidationError<'_>) -> Vec<Fault> {
    let place = error.instance_path().to_string();
    let member = |name: &str, message: &str| Fault { pointer: format!("{place}{}", pointer(name)), message: message.to_owned() };
    match error.kind() {
        ValidationErrorKind::Required { property } => vec![member(property.as_str().unwrap_or_default(), "is missing")],
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| member(name, "is unknown: there is no such member or parameter here")).collect()
        }
        ValidationErrorKind::Not { .. } => {
            let message = said_beside::<T>(error).unwrap_or_else(|| error.to_string());
            vec![Fault { pointer: place, message }]
        }
        ValidationErrorKind::Pattern { .. } => {
            let message = in_plain_words(&place, error.instance()).unwrap_or_else(|| error.to_string());
            vec![Fault { message: truncated(&message), pointer: place }]
        }
        _ => vec![Fault { pointer: place, message: truncated(&error.to_string()) }],
    }
}

/// The patterns of names are exact, and tell people nothing.
fn in_plain_words(place: &str, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    match place {
        "/slotName" => text.parse::<SlotName>().err().map(|error| error.to_string()),
        "/table" => text.parse::<TableName>().err().map(|error| error.to_string()),
        "/order_by/column" => text.parse::<ColumnName>().err().map(|error| error.to_string()),
        "/name" => Some(String::from(
            "not a name for a stream: expected 1 to 63 lower-case letters, digits and underscores, and no digit in front",
        )),
        "/tables" | "/excludeTables" => TablePattern::list(text).err().map(|error| error.to_string()),
        _ if place.starts_with("/columns/") => text.parse::<ColumnName>().err().map(|error| error.to_string()),
        _ if place.starts_with("/tables/") || place.starts_with("/excludeTables/") => {
            text.parse::<TablePattern>().err().map(|error| error.to_string())
        }
        _ => None,
    }
}

/// What the description beside a `not` says.
fn said_beside<T: Message>(error: &ValidationError<'_>) -> Option<String> {
    let schema: Value = serde_json::from_str(T::SCHEMA).ok()?;
    let location = error.schema_path().to_string();
    let description = schema.pointer(location.strip_suffix("/not")?)?.get("description")?;
    description.as_str().map(str::to_owned)
}

/// Reads a message from the parameters of a query string, each given once.
pub fn read_query<T: Request>(parameters: Vec<(String, String)>) -> Result<T, Invalid> {
    let mut object = serde_json::Map::new();
    let mut repeated = vec![];
    for (name, text) in parameters {
        let value = value(type_of::<T>(&name).as_deref(), text);
        if object.insert(name.clone(), value).is_some() {
            repeated.extend(Invalid::at(&pointer(&name), "given more than once").faults);
        }
    }
    let read = read_value(Value::Object(object));
    if repeated.is_empty() {
        return read;
    }
    repeated.extend(read.err().into_iter().flat_map(|invalid| invalid.faults));
    Err(Invalid { faults: repeated })
}

/// What a parameter says, read as its type; whatever does not fit is left for the schema to refuse.
fn value(kind: Option<&str>, text: String) -> Value {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    match kind {
        Some("boolean") if text == "true" || text == "false" => Value::Bool(text == "true"),
        Some("integer") if is_number => text.parse::<u64>().map_or(Value::String(text), Value::from),
        _ => Value::String(text),
    }
}

fn type_of<T: Message>(property: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(T::SCHEMA).unwrap_or_default();
    schema.pointer(&format!("/properties/{property}/type"))?.as_str().map(str::to_owned)
}

/// Error texts repeat the whole offending value, however long it is.
fn truncated(message: &str) -> String {
    const LIMIT: usize = 300;
    match message.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
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

    #[test]
    fn values_keep_their_digits() {
        let text = r#"{"table":"t","after":{"n":12345678901234567890.10}}"#;
        let request: SnapshotDataRequest = read_with_digits(text.as_bytes()).unwrap();
        assert_eq!(request.after.unwrap().0["n"], "12345678901234567890.10");
        assert!(read_with_digits::<SnapshotDataRequest>(br#"{"table":"t","table":"u"}"#).is_err());
    }

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
        assert_eq!(pointers, ["/limit", "/more", "/offset", "/order_by/order", "/table"], "{faults:?}");
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
    fn what_the_schema_takes_for_an_integer_is_one() {
        let limit = |limit: &str| read::<SnapshotDataRequest>(format!(r#"{{"table":"t","limit":{limit}}}"#).as_bytes()).ok()?.limit;
        for (text, number) in [("10.0", 10), ("1e3", 1_000), ("0", 0), ("-0.0", 0), ("9223372036854775807", i64::MAX.cast_unsigned())] {
            assert_eq!(limit(text), Some(number), "{text}");
        }
        for text in ["10.5", "-1", "-1.0", "1e19", "9223372036854775808", "1e400", "\"1\"", "null"] {
            assert_eq!(limit(text), None, "{text}");
        }
        assert!(limit("9223372036854775808.0").is_none_or(|limit| i64::try_from(limit).is_ok()), "the bigint of Postgres ends before that");
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
