//! The OpenAPI document, made of the table of calls and of the messages' types.

#![expect(clippy::indexing_slicing, reason = "reading a JSON value where nothing is gives null, and those that are written to are objects")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use warp::http::StatusCode;

use super::{ANYWHERE, Answer, Document, EVENT_STREAM, JSON, LAST_EVENT_ID, NDJSON, OPERATIONS, Operation, Takes};
use crate::contract::published;
use crate::http::close::FINAL;
use crate::http::problem::{PROBLEM_JSON, is_passing, status};
use crate::message::ProblemCode;

/// The document's text, as it was when this program was built.
pub const DOCUMENT: &str = include_str!("../../../schemas/openapi.json");

const DESCRIPTION: &str = "\
A consistent snapshot of a Postgres database over HTTP, then every later change over a websocket, at least once.

1. `POST /v1/init` makes a replication slot with a snapshot.
2. `POST /v1/snapshot/data` reads rows as they were at that moment.
3. `GET /v1/lr/stream` streams all that has changed since then, over a websocket or as server-sent events; `/asyncapi.json` says what goes over them.

Every refusal is a problem as in RFC 9457, with a `code` for programs; an invalid request has all its faults in `errors`. `HEAD` is possible \
where `GET` changes nothing, `OPTIONS` everywhere. A slash at the end of a path means nothing. Unknown parameters and members are refused, but parameters of `/v1/init`, \
`/v1/snapshot/data` and `/healthz`, which take none, are passed over. Where there is no call, 404 `not_found` and 405 `method_not_allowed` are \
problems too.";

/// The document's text, as the types have it now; `schemas/openapi.json` must hold the same.
pub fn generated() -> String {
    let components = published::components();
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "pgdeltastream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The service that this document comes from."}],
        "security": [],
        "paths": paths(&components),
    });
    document["components"] = json!({ "schemas": used(&document, components) });
    published::text(&document)
}

/// Those components that a document refers to, and what they refer to.
pub(super) fn used(document: &Value, components: Map<String, Value>) -> Map<String, Value> {
    let mut names = BTreeSet::new();
    let mut found = references(document);
    while let Some(name) = found.pop() {
        if names.insert(name.clone()) {
            found.extend(components.get(&name).map(references).unwrap_or_default());
        }
    }
    components.into_iter().filter(|(name, _)| names.contains(name)).collect()
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/components/schemas/"));
            own.map(str::to_owned).into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => vec![],
    }
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn paths(components: &Map<String, Value>) -> Value {
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(operation, components);
    }
    Value::Object(paths)
}

fn describe(operation: &Operation, components: &Map<String, Value>) -> Value {
    let mut described = json!({"operationId": operation.id, "summary": operation.summary, "description": operation.description});
    let mut parameters: Vec<Value> = path_parameter(operation, components).into_iter().collect();
    parameters.extend(query_parameters(operation, components));
    if let Answer::Document(..) = operation.answer {
        let description = "The `ETag` of a copy that is there already: if it is as good as new, it is not sent again.";
        // What HTTP lets be in the value of a header.
        let schema = json!({"type": "string", "pattern": r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$"});
        parameters.push(json!({"name": "If-None-Match", "in": "header", "description": description, "schema": schema}));
    }
    if let Answer::Stream = operation.answer {
        let description = "For server-sent events: the `id` of the last one, which acknowledges everything up to there. Browsers send it by \
                           themselves when they connect again.";
        let position = components["Acknowledgement"]["properties"]["lsn"]["pattern"].as_str().unwrap_or_default();
        let closes: String = FINAL.iter().map(|code| format!("|^{code}$")).collect();
        let schema = json!({"type": "string", "pattern": format!("{position}{closes}")});
        parameters.push(json!({"name": LAST_EVENT_ID, "in": "header", "description": description, "schema": schema}));
    }
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if let Takes::Body(message) = operation.takes {
        described["requestBody"] = json!({"required": true, "content": {JSON: {"schema": reference(message)}}});
    }
    let mut responses = answers(operation);
    responses.extend(refusals(operation));
    described["responses"] = Value::Object(responses);
    described
}

fn path_parameter(operation: &Operation, components: &Map<String, Value>) -> Option<Value> {
    let (_, name) = operation.path.split_once('{')?;
    let name = name.trim_end_matches('}');
    let (description, schema, example) = match name {
        "slotName" => (json!("The stream: its slot."), components["InitResponse"]["properties"]["slotName"].clone(), json!("search_index")),
        "table" => {
            let table = &components["SnapshotDataRequest"]["properties"]["table"];
            (table["description"].clone(), table.clone(), json!("public.orders"))
        }
        _ => {
            let names: Vec<&&str> = published::PUBLISHED.keys().collect();
            (json!("The schema's name."), json!({"type": "string", "enum": names}), json!("acknowledgement"))
        }
    };
    let mut schema = schema;
    schema.as_object_mut()?.remove("description");
    Some(json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema, "example": example}))
}

fn query_parameters(operation: &Operation, components: &Map<String, Value>) -> Vec<Value> {
    let Takes::Query(message) = operation.takes else { return vec![] };
    let message = &components[message];
    let required = |name: &str| message["required"].as_array().is_some_and(|required| required.iter().any(|one| one == name));
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({"name": name, "in": "query", "description": description, "schema": schema});
        if required(name) {
            parameter["required"] = json!(true);
        }
        if let Some(example) = message["examples"][0].get(name) {
            parameter["example"] = example.clone();
        }
        parameter
    };
    message["properties"].as_object().into_iter().flatten().map(parameter).collect()
}

fn answers(operation: &Operation) -> Map<String, Value> {
    let answers = match &operation.answer {
        Answer::Message(message) => {
            let mut answer = json!({"description": "Done.", "content": {JSON: {"schema": reference(message)}}});
            if *message == "InitResponse" {
                answer["links"] = json!({
                    "stream": {
                        "operationId": "stream", "description": "The stream of the slot.",
                        "parameters": {"slotName": "$response.body#/slotName"},
                    },
                });
            }
            json!({"200": answer})
        }
        Answer::Created(message) => json!({"201": {
            "description": "Made.",
            "headers": {"Location": {"description": "Where it is.", "required": true, "schema": {"type": "string", "format": "uri-reference"}}},
            "content": {JSON: {"schema": reference(message)}},
        }}),
        Answer::Nothing => json!({"204": {"description": "Done."}}),
        Answer::Rows => json!({"200": {
            "description": "The rows, as `/v1/schemas/tables/{table}` describes them.",
            "content": {
                JSON: {"schema": {"type": "array", "items": {"type": "object"}}},
                NDJSON: {"schema": {"type": "string", "description": "One row a line."}},
            },
        }}),
        Answer::Stream => json!({
            "101": {"description": "The stream begins, as a websocket."},
            "200": {
                "description": "The stream begins, as server-sent events.",
                "content": {EVENT_STREAM: {"schema": {"type": "string", "description": "As `/asyncapi.json` describes it."}}},
            },
            "204": {"description": "With `Last-Event-ID`: the stream has ended for good. Do not come again."},
        }),
        Answer::Document(content_types, document) => {
            let schema = match document {
                Document::Message(message) => reference(message),
                Document::Object => json!({"type": "object"}),
                Document::Page => json!({"type": "string"}),
            };
            let content: Map<String, Value> =
                content_types.iter().map(|content_type| ((*content_type).to_owned(), json!({"schema": schema}))).collect();
            let headers = json!({
                "ETag": {"description": "Changes with every byte.", "required": true, "schema": {"type": "string"}},
                "Cache-Control": {"description": "How long a copy may be used without asking.", "required": true, "schema": {"type": "string"}},
            });
            json!({
                "200": {"description": "Here it is.", "headers": headers, "content": content},
                "304": {"description": "`If-None-Match` names this very document.", "headers": headers},
            })
        }
    };
    match answers {
        Value::Object(answers) => answers,
        _ => Map::new(),
    }
}

/// One answer for each status, with the codes that it may have.
fn refusals(operation: &Operation) -> Map<String, Value> {
    let mut by_status: BTreeMap<StatusCode, BTreeSet<ProblemCode>> = BTreeMap::new();
    for code in operation.codes.iter().chain(&ANYWHERE) {
        by_status.entry(status(*code)).or_default().insert(*code);
    }
    let refusal = |(status, codes): (StatusCode, BTreeSet<ProblemCode>)| {
        let names: Vec<String> = codes.iter().map(|code| code.name()).collect();
        let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let schema = json!({
            "allOf": [reference("Problem"), {"type": "object", "properties": {"status": {"const": status.as_u16()}, "code": {"enum": names}}}],
        });
        let mut answer = json!({
            "description": format!("{}: {}.", status.canonical_reason().unwrap_or_default(), listed.join(", ")),
            "content": {PROBLEM_JSON: {"schema": schema}},
        });
        if codes.contains(&ProblemCode::UpgradeRequired) {
            answer["headers"] = json!({
                "Upgrade": {"description": "What there is.", "required": true, "schema": {"const": "websocket"}},
                "Sec-WebSocket-Version": {"description": "Which version of it.", "required": true, "schema": {"const": "13"}},
            });
        }
        if codes.iter().any(|code| is_passing(*code)) {
            answer["headers"] =
                json!({"Retry-After": {"description": "Seconds until it may be worth another try.", "schema": {"type": "integer"}}});
        }
        (status.as_str().to_owned(), answer)
    };
    by_status.into_iter().map(refusal).collect()
}
