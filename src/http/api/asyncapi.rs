//! The AsyncAPI document: what goes over a stream, made of the messages' types.

#![expect(clippy::indexing_slicing, reason = "reading a JSON value where nothing is gives null, and those that are written to are objects")]

use serde_json::{Map, Value, json};

use super::STREAM;
use super::openapi::{reference, used};
use crate::contract::published;
use crate::http::close::CLOSES;

/// The document's text, as it was when this program was built.
pub const DOCUMENT: &str = include_str!("../../../schemas/asyncapi.json");

const DESCRIPTION: &str = "\
Every change of a Postgres database since a snapshot, at least once, in the order of commits. `/openapi.json` says how to make the stream.

The client acknowledges what is durable on its side with the `nextlsn` that came with it. After a reconnect the stream goes on behind the last \
transaction that was acknowledged. So what was not acknowledged comes again.";

const EVENTS: &str = "\
The same messages in the same order as over a websocket. What is a message's text there is an event's `data` here, on one line. Events are named \
`message`, `notice`, and at the end `close`, with the codes of a websocket. An event's `id` is the `nextlsn` of its message; one without `nextlsn` \
has no `id`. The very first `id` comes without an event: it is where the stream begins. Comments come every 15 s.

`Last-Event-ID` acknowledges everything up to that `id`, as `POST /v1/lr/ack` does at any time. A browser's `EventSource` sends it when it connects \
again, which it does by itself: so what it has received counts as acknowledged at the reconnect. A close with 4409 or 4410 is final; its `id` is the \
code, and whoever comes again with it gets 204, which ends an `EventSource`. Whoever comes again while Postgres is away gets a `close` event with \
1013, after which an `EventSource` tries again.";

/// The messages that every client gets: the type's name, what it is called here, and when it comes.
const RECEIVED: [(&str, &str, &str); 4] = [
    ("Wal2jsonV1Message", "wal2jsonV1Message", "With `format=wal2json-v1`, which is the default."),
    ("Wal2jsonV2Record", "wal2jsonV2Record", "With `format=wal2json-v2`."),
    ("EventsMessage", "eventsMessage", "With `format=events`."),
    ("NoticeMessage", "noticeMessage", "With `format=events`. Never before the first message."),
];

/// What comes over a websocket only.
const ERROR: (&str, &str, &str) = ("StreamError", "streamError", "After a frame of the client that cannot be accepted.");

/// What comes as a server-sent event only.
const CLOSE: (&str, &str, &str) = ("StreamClose", "streamClose", "At the end, as an event named `close`.");

/// The document's text, as the types have it now; `schemas/asyncapi.json` must hold the same.
pub fn generated() -> String {
    let components = published::components();
    let message = |(payload, name, when): (&str, &str, &str)| {
        let schema = &components[payload];
        let message = json!({
            "name": name,
            "title": payload,
            "summary": when,
            "description": schema["description"],
            "contentType": "application/json",
            "payload": reference(payload),
            "examples": schema["examples"].as_array().map(|examples| {
                examples.iter().map(|example| json!({"name": name, "payload": example})).collect::<Vec<_>>()
            }),
        });
        (name.to_owned(), message)
    };
    let when = "At any time, as text or binary, in 64 KiB at most. Further members are ignored, if they are nested no deeper than 127 levels \
                and have no number that is too large for a float of 64 bits.";
    let acknowledgement = ("Acknowledgement", "acknowledgement", when);
    let messages: Map<String, Value> = RECEIVED.into_iter().chain([ERROR, CLOSE, acknowledgement]).map(message).collect();
    let named = |messages: &[(&str, &str, &str)]| {
        let named = messages.iter().map(|(_, name, _)| ((*name).to_owned(), json!({"$ref": format!("#/components/messages/{name}")})));
        named.collect::<Map<_, _>>()
    };
    let in_channel = |channel: &str, messages: &[(&str, &str, &str)]| {
        let named = messages.iter().map(|(_, name, _)| json!({"$ref": format!("#/channels/{channel}/messages/{name}")}));
        named.collect::<Vec<_>>()
    };
    let over_websocket = [&RECEIVED[..], &[ERROR]].concat();
    let as_events = [&RECEIVED[..], &[CLOSE]].concat();
    let mut query = components["StreamQuery"].clone();
    if let Some(query) = query.as_object_mut() {
        query.remove("examples");
    }
    let mut document = json!({
        "asyncapi": "3.0.0",
        "id": "urn:pgdeltastream:v1:asyncapi",
        "info": {
            "title": "pgdeltastream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "this": {"host": "localhost:12312", "protocol": "ws", "description": "Where the service listens if nothing else is said."},
            "http": {"host": "localhost:12312", "protocol": "http", "description": "The same, for server-sent events."},
        },
        "channels": {
            "stream": {
                "address": STREAM,
                "title": "The stream of a slot",
                "description": closes(),
                "servers": [{"$ref": "#/servers/this"}],
                "messages": named(&[&over_websocket[..], &[acknowledgement]].concat()),
                "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
            },
            "events": {
                "address": STREAM,
                "title": "The stream of a slot, as server-sent events",
                "summary": "For `GET` with `Accept: text/event-stream`, and with the same query.",
                "description": EVENTS,
                "servers": [{"$ref": "#/servers/http"}],
                "messages": named(&as_events),
            },
        },
        "operations": {
            "sendChanges": {
                "action": "send",
                "channel": {"$ref": "#/channels/stream"},
                "title": "Changes",
                "summary": "What the service sends.",
                "messages": in_channel("stream", &over_websocket),
            },
            "sendEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "title": "Changes as server-sent events",
                "summary": "What the service sends to those who connect without an upgrade.",
                "messages": in_channel("events", &as_events),
                "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}},
            },
            "receiveAcknowledgement": {
                "action": "receive",
                "channel": {"$ref": "#/channels/stream"},
                "title": "Acknowledgements",
                "summary": "What the client sends.",
                "messages": in_channel("stream", &[acknowledgement]),
            },
        },
    });
    document["components"] = json!({ "messages": messages });
    let schemas = used(&document, components);
    document["components"]["schemas"] = Value::Object(schemas);
    published::text(&document)
}

/// How a stream ends, as a list.
fn closes() -> String {
    let line = |(code, meaning): (u16, &str)| format!("- {code}: {meaning}");
    let lines: Vec<String> = CLOSES.into_iter().map(line).collect();
    format!("One websocket is one connection to the stream. It ends with one of these codes:\n\n{}", lines.join("\n"))
}
