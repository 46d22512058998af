//! The schemas that are published: `schemas/` as it was when this program was built, and how it is made of the types.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::message::{
    AcknowledgeRequest, Acknowledgement, CreateStreamRequest, EventsMessage, Health, InitResponse, NoticeMessage, Problem, SchemaEntry,
    SchemaList, SnapshotDataRequest, SnapshotQuery, SnapshotTables, SnapshotTablesQuery, StreamClose, StreamError, StreamInfo, StreamList,
    StreamQuery, TableSchemaQuery, Wal2jsonV1Message, Wal2jsonV2Record,
};

/// A message with a schema of its own in `schemas/`.
pub trait Message: JsonSchema {
    /// The file's name, without `.json`.
    const NAME: &'static str;
    /// The file's text, as it was when this program was built.
    const SCHEMA: &'static str;
}

/// Says which messages there are: those that clients send, and all others.
macro_rules! messages {
    (requests { $($request:ty => $request_name:literal),+ $(,)? } others { $($other:ty => $other_name:literal),+ $(,)? }) => {
        messages!(@message $($request => $request_name,)+ $($other => $other_name,)+);

        /// The name and the text of every schema as the types have it now; `schemas/` must hold the same.
        pub fn generated() -> Vec<(&'static str, String)> {
            vec![$(($request_name, generate::<$request>(&read())),)+ $(($other_name, generate::<$other>(&written())),)+]
        }

        /// All these types under their names, as a document has them that keeps them at `/components/schemas`.
        pub fn components() -> Map<String, Value> {
            let [mut read, mut written] = [read(), written()].map(|mut settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.into_generator()
            });
            $(read.subschema_for::<$request>();)+
            $(written.subschema_for::<$other>();)+
            read.take_definitions(true).into_iter().chain(written.take_definitions(true)).collect()
        }
    };
    (@message $($message:ty => $name:literal,)+) => {
        $(impl Message for $message {
            const NAME: &'static str = $name;
            const SCHEMA: &'static str = include_str!(concat!("../../schemas/", $name, ".json"));
        })+

        /// The name and the text of every schema, in the order of their names.
        pub static PUBLISHED: LazyLock<BTreeMap<&'static str, &'static str>> =
            LazyLock::new(|| BTreeMap::from([$((<$message>::NAME, <$message>::SCHEMA)),+]));
    };
}

/// Where OpenAPI and AsyncAPI keep schemas.
const COMPONENTS: &str = "/components/schemas";

messages! {
    requests {
        AcknowledgeRequest => "acknowledge-request",
        Acknowledgement => "acknowledgement",
        CreateStreamRequest => "create-stream-request",
        SnapshotDataRequest => "snapshot-data-request",
        SnapshotQuery => "snapshot-query",
        SnapshotTablesQuery => "snapshot-tables-query",
        StreamQuery => "stream-query",
        TableSchemaQuery => "table-schema-query",
    }
    others {
        Config => "configuration",
        EventsMessage => "events-message",
        Health => "health",
        InitResponse => "init-response",
        Wal2jsonV1Message => "wal2json-v1-message",
        NoticeMessage => "notice",
        Problem => "problem",
        Wal2jsonV2Record => "wal2json-v2-record",
        SchemaList => "schema-list",
        SnapshotTables => "snapshot-tables",
        StreamInfo => "stream",
        StreamList => "stream-list",
        StreamError => "stream-error",
        StreamClose => "stream-close",
    }
}

/// The list of all schemas that are published, as JSON text.
pub fn list() -> &'static str {
    static LIST: LazyLock<String> = LazyLock::new(|| {
        let entry = |(name, text): (&&str, &&str)| {
            let schema: Value = serde_json::from_str(text).unwrap_or_default();
            SchemaEntry {
                name: (*name).to_owned(),
                id: id(name),
                href: format!("/v1/schemas/{name}"),
                description: schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            }
        };
        serde_json::to_string(&SchemaList { schemas: PUBLISHED.iter().map(entry).collect() }).unwrap_or_default()
    });
    &LIST
}

fn generate<T: Message>(settings: &SchemaSettings) -> String {
    let mut schema = settings.clone().into_generator().into_root_schema_for::<T>();
    // Beside `$schema`, where readers look for it.
    let members = std::mem::take(schema.ensure_object());
    let id = (String::from("$id"), Value::from(id(T::NAME)));
    let (dialect, rest) = members.into_iter().partition::<Vec<_>, _>(|(name, _)| name == "$schema");
    schema.ensure_object().extend(dialect.into_iter().chain([id]).chain(rest));
    text(&schema)
}

/// As it stands in a file.
pub fn text(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// What clients may send: what is read.
fn read() -> SchemaSettings {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_foreign_formats))
        .with_transform(RecursiveTransform(in_one_line))
        .with_transform(RecursiveTransform(without_choice_of_one))
}

/// All else: what is written.
fn written() -> SchemaSettings {
    read().for_serialize()
}

/// Lines of comments end where the source is wide enough.
fn in_one_line(schema: &mut Schema) {
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        let description = description.replace('\n', " ");
        schema.insert(String::from("description"), Value::from(description));
    }
}

/// Formats of integers are no part of JSON Schema, and strict validators refuse them. The range says the same.
fn without_foreign_formats(schema: &mut Schema) {
    if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|format| format.starts_with(['i', 'u'])) {
        if format == "uint32" {
            schema.insert(String::from("maximum"), Value::from(u32::MAX));
        }
        schema.remove("format");
    }
}

/// A type with one variant is that variant.
fn without_choice_of_one(schema: &mut Schema) {
    let Some([Value::Object(only)]) = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice) else { return };
    let only = only.clone();
    schema.remove("oneOf");
    for (name, value) in only {
        schema.ensure_object().entry(name).or_insert(value);
    }
}

/// What a schema is called in all the world: the same as long as whatever was valid stays valid.
pub fn id(name: &str) -> String {
    format!("urn:pgdeltastream:v1:{name}")
}
