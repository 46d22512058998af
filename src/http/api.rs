//! What there is to call, as one table: the routes, `Allow` and the OpenAPI document are made of it.

pub mod asyncapi;
pub mod openapi;

use warp::http::Method;

use crate::message::ProblemCode;

pub(super) const HEALTHZ: &str = "/healthz";
pub(super) const READYZ: &str = "/readyz";
pub(super) const INIT: &str = "/v1/init";
pub(super) const STREAMS: &str = "/v1/streams";
pub(super) const STREAM_OF_SLOT: &str = "/v1/streams/{slotName}";
pub(super) const SNAPSHOT: &str = "/v1/snapshot";
pub(super) const SNAPSHOT_TABLES: &str = "/v1/snapshot/tables";
pub(super) const SNAPSHOT_DATA: &str = "/v1/snapshot/data";
pub(super) const STREAM: &str = "/v1/lr/stream";
pub(super) const ACKNOWLEDGE: &str = "/v1/lr/ack";
pub(super) const SCHEMAS: &str = "/v1/schemas";
pub(super) const SCHEMA: &str = "/v1/schemas/{name}";
pub(super) const TABLE_SCHEMA: &str = "/v1/schemas/tables/{table}";
pub(super) const OPENAPI: &str = "/openapi.json";
pub(super) const ASYNCAPI: &str = "/asyncapi.json";
pub(super) const DOCS: &str = "/docs";

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const SCHEMA_JSON: &str = "application/schema+json";
pub(super) const OPENAPI_JSON: &str = "application/vnd.oai.openapi+json";
pub(super) const ASYNCAPI_JSON: &str = "application/vnd.aai.asyncapi+json";
pub(super) const HTML: &str = "text/html";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// What a client of server-sent events had last.
pub(super) const LAST_EVENT_ID: &str = "Last-Event-ID";

/// One call.
pub(super) struct Operation {
    /// What a generated client calls it.
    pub(super) id: &'static str,
    pub(super) method: Method,
    /// With parameters in braces.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// What it takes.
    pub(super) takes: Takes,
    /// What it answers when nothing is wrong.
    pub(super) answer: Answer,
    /// What may be wrong, beside what may be wrong anywhere.
    pub(super) codes: &'static [ProblemCode],
}

/// What a call takes beside its path. The name is that of a message's type.
pub(super) enum Takes {
    Nothing,
    Query(&'static str),
    Body(&'static str),
}

/// What a call answers.
pub(super) enum Answer {
    /// A message of the type of this name.
    Message(&'static str),
    /// The same, of something that was made: 201, and where it is.
    Created(&'static str),
    /// Nothing more to say: 204.
    Nothing,
    /// The rows of a table.
    Rows,
    /// A websocket, or server-sent events.
    Stream,
    /// A document of one of these content types, of which the first is preferred. It has an `ETag`.
    Document(&'static [&'static str], Document),
}

/// What a document is.
pub(super) enum Document {
    /// A message of the type of this name.
    Message(&'static str),
    /// A JSON object that is described elsewhere.
    Object,
    /// A page for people.
    Page,
}

/// What may be wrong with any call.
pub(super) const ANYWHERE: [ProblemCode; 1] = [ProblemCode::OriginNotAllowed];

/// What may be wrong with Postgres.
macro_rules! postgres_and {
    ($($code:ident),* $(,)?) => {
        &[$(ProblemCode::$code,)* ProblemCode::InternalError, ProblemCode::PostgresUnavailable, ProblemCode::ShuttingDown]
    };
}

const INIT_CODES: &[ProblemCode] = postgres_and![CreationInProgress, SlotInUse, NameTaken, BlockedByTransaction, TooManyStreams];
const DOCUMENT_CODES: &[ProblemCode] = &[ProblemCode::InvalidRequest, ProblemCode::NotAcceptable];

/// All calls.
pub(super) const OPERATIONS: [Operation; 19] = [
    Operation {
        id: "init",
        method: Method::POST,
        path: INIT,
        summary: "Start over",
        description: "Makes a new replication slot with a snapshot, then ends and drops the stream that the call before made: its websocket closes \
                      with 4410, its snapshot answers 410.",
        takes: Takes::Nothing,
        answer: Answer::Message("InitResponse"),
        codes: INIT_CODES,
    },
    Operation {
        id: "initByGet",
        method: Method::GET,
        path: INIT,
        summary: "Start over, as the original has it",
        description: "The same as POST. It changes things, so there is no HEAD.",
        takes: Takes::Nothing,
        answer: Answer::Message("InitResponse"),
        codes: INIT_CODES,
    },
    Operation {
        id: "createStream",
        method: Method::POST,
        path: STREAMS,
        summary: "Make one more stream",
        description: "With its own slot, snapshot, tables, actions and position, independent of all others and of `/v1/init`. What it is about \
                      stays as it is; a connection may narrow it further. All are kept in the database, so they outlive the service.",
        takes: Takes::Body("CreateStreamRequest"),
        answer: Answer::Created("StreamInfo"),
        codes: postgres_and![
            InvalidRequest,
            MalformedRequest,
            NoSuchTable,
            BodyTooSlow,
            CreationInProgress,
            SlotInUse,
            NameTaken,
            BlockedByTransaction,
            BodyTooLarge,
            UnsupportedMediaType,
            TooManyStreams,
            RegistryMissing,
        ],
    },
    Operation {
        id: "listStreams",
        method: Method::GET,
        path: STREAMS,
        summary: "List the streams",
        description: "All of this database, whichever instance made them.",
        takes: Takes::Nothing,
        answer: Answer::Message("StreamList"),
        codes: postgres_and![InvalidRequest, RegistryMissing],
    },
    Operation {
        id: "getStream",
        method: Method::GET,
        path: STREAM_OF_SLOT,
        summary: "Show a stream",
        description: "Its slot, what it is about, where its client is, how much WAL it keeps, and how its snapshot is doing.",
        takes: Takes::Nothing,
        answer: Answer::Message("StreamInfo"),
        codes: postgres_and![InvalidRequest, MalformedRequest, NoSuchStream, StreamGone, RegistryMissing],
    },
    Operation {
        id: "deleteStream",
        method: Method::DELETE,
        path: STREAM_OF_SLOT,
        summary: "Delete a stream",
        description: "Ends its connection with 4410, drops its slot, and lets its snapshot go. A slot that somebody else made is dropped too, if \
                      it was streamed here before.",
        takes: Takes::Nothing,
        answer: Answer::Nothing,
        codes: postgres_and![InvalidRequest, MalformedRequest, NoSuchStream, SlotInUse, StreamGone, RegistryMissing],
    },
    Operation {
        id: "releaseSnapshot",
        method: Method::DELETE,
        path: SNAPSHOT,
        summary: "Let a snapshot go",
        description: "To be called once all is read: a snapshot holds back vacuum in all the database. Who is reading may go on to the end. \
                      What is not there any more is let go already.",
        takes: Takes::Query("SnapshotQuery"),
        answer: Answer::Nothing,
        codes: postgres_and![InvalidRequest, NoSuchStream, SlotInUse, StreamGone],
    },
    Operation {
        id: "listSnapshotTables",
        method: Method::GET,
        path: SNAPSHOT_TABLES,
        summary: "List the tables of a snapshot",
        description: "Those that the stream is about, with their columns and keys, how large they are, where several readers can split them, and \
                      whether their changes are streamed. All as it was when the slot was made.",
        takes: Takes::Query("SnapshotTablesQuery"),
        answer: Answer::Message("SnapshotTables"),
        codes: postgres_and![InvalidRequest, NoSuchStream, NoSuchTable, SlotInUse, SnapshotGone, StreamGone],
    },
    Operation {
        id: "readSnapshot",
        method: Method::POST,
        path: SNAPSHOT_DATA,
        summary: "Read rows as they were when the slot was made",
        description: "A page of a table, or all of it. Pages are in the order of `order_by` and then of the key, so that they tile. To go on \
                      `after` a row costs the same however many lie before it. All of a table as NDJSON is in the order of its file, which is \
                      the fastest, unless an order, a page or a part is asked for. Numbers have every digit. A body that ends in good order is \
                      complete; after a fault the connection breaks off. The request has 64 KiB at most; what it says its content type is does \
                      not matter.",
        takes: Takes::Body("SnapshotDataRequest"),
        answer: Answer::Rows,
        codes: postgres_and![
            InvalidRequest,
            MalformedRequest,
            SlotInUse,
            NoOrder,
            NoKey,
            PermissionDenied,
            NoSuchStream,
            NoSuchTable,
            NoSuchColumn,
            BodyTooSlow,
            SnapshotGone,
            StreamGone,
            TableRewritten,
            BodyTooLarge,
            UnsupportedMediaType,
        ],
    },
    Operation {
        id: "stream",
        method: Method::GET,
        path: STREAM,
        summary: "Stream every change since then",
        description: "A websocket, or server-sent events for whoever sends no upgrade and `Accept: text/event-stream`; what goes over them is \
                      described in `/asyncapi.json`. Everything is checked first, so what is wrong comes as an HTTP answer. The newest \
                      connection has the stream; the one before it is closed with 4409.",
        takes: Takes::Query("StreamQuery"),
        answer: Answer::Stream,
        codes: postgres_and![
            InvalidRequest,
            UnsupportedOption,
            LsnAhead,
            NoSuchStream,
            NoSuchTable,
            SlotInUse,
            StreamGone,
            SlotLost,
            PositionAhead,
            UpgradeRequired,
            TooManyStreams,
        ],
    },
    Operation {
        id: "acknowledge",
        method: Method::POST,
        path: ACKNOWLEDGE,
        summary: "Acknowledge what is durable",
        description: "For clients of server-sent events, which have nothing to say it over, and for those that are not connected. With a \
                      connection through this instance it counts as if it came over that. Without one the answer comes once Postgres knows, \
                      and what is acknowledged is not sent again. A position inside a transaction counts for those before it.",
        takes: Takes::Body("AcknowledgeRequest"),
        answer: Answer::Nothing,
        codes: postgres_and![
            InvalidRequest,
            MalformedRequest,
            LsnAhead,
            NoSuchStream,
            BodyTooSlow,
            SlotInUse,
            StreamGone,
            SlotLost,
            PositionAhead,
            BodyTooLarge,
            UnsupportedMediaType,
            TooManyStreams,
        ],
    },
    Operation {
        id: "listSchemas",
        method: Method::GET,
        path: SCHEMAS,
        summary: "List the JSON Schemas",
        description: "Of every request, answer and message. Those of tables are not among them.",
        takes: Takes::Nothing,
        answer: Answer::Document(&[JSON], Document::Message("SchemaList")),
        codes: DOCUMENT_CODES,
    },
    Operation {
        id: "getSchema",
        method: Method::GET,
        path: SCHEMA,
        summary: "Get a JSON Schema",
        description: "The very file that the service checks requests against, in JSON Schema 2020-12.",
        takes: Takes::Nothing,
        answer: Answer::Document(&[SCHEMA_JSON, JSON], Document::Object),
        codes: &[ProblemCode::InvalidRequest, ProblemCode::MalformedRequest, ProblemCode::NotAcceptable, ProblemCode::NoSuchSchema],
    },
    Operation {
        id: "getTableSchema",
        method: Method::GET,
        path: TABLE_SCHEMA,
        summary: "Get the JSON Schema of a table",
        description: "As the table is now: `$defs.row` is a row of the snapshot and `new` of an event, `$defs.event` an event. The root is the row.",
        takes: Takes::Query("TableSchemaQuery"),
        answer: Answer::Document(&[SCHEMA_JSON, JSON], Document::Object),
        codes: postgres_and![InvalidRequest, MalformedRequest, NotAcceptable, NoSuchTable],
    },
    Operation {
        id: "getHealth",
        method: Method::GET,
        path: HEALTHZ,
        summary: "Ask whether the process is alive",
        description: "It says nothing about Postgres.",
        takes: Takes::Nothing,
        answer: Answer::Message("Health"),
        codes: &[],
    },
    Operation {
        id: "getReadiness",
        method: Method::GET,
        path: READYZ,
        summary: "Ask whether the service can stream",
        description: "Not while Postgres cannot be reached, is a read-only standby, or sends nothing to a stream that somebody follows; the                       refusal says which. It is ready again by itself.",
        takes: Takes::Nothing,
        answer: Answer::Message("Health"),
        codes: postgres_and![StreamStalled],
    },
    Operation {
        id: "getOpenApi",
        method: Method::GET,
        path: OPENAPI,
        summary: "Get this document",
        description: "OpenAPI 3.1.",
        takes: Takes::Nothing,
        answer: Answer::Document(&[JSON, OPENAPI_JSON], Document::Object),
        codes: DOCUMENT_CODES,
    },
    Operation {
        id: "getAsyncApi",
        method: Method::GET,
        path: ASYNCAPI,
        summary: "Get the description of the stream",
        description: "AsyncAPI 3.",
        takes: Takes::Nothing,
        answer: Answer::Document(&[JSON, ASYNCAPI_JSON], Document::Object),
        codes: DOCUMENT_CODES,
    },
    Operation {
        id: "getDocs",
        method: Method::GET,
        path: DOCS,
        summary: "Read all this as a page",
        description: "It needs no other host and no script.",
        takes: Takes::Nothing,
        answer: Answer::Document(&[HTML], Document::Page),
        codes: DOCUMENT_CODES,
    },
];

impl Operation {
    /// Whether HEAD is possible too: where GET changes nothing and answers at once.
    pub(super) fn has_head(&self) -> bool {
        self.method == Method::GET && self.path != INIT && matches!(self.answer, Answer::Message(_) | Answer::Document(..))
    }
}

/// The content types that the document at a path can be had in.
pub(super) fn content_types(path: &str) -> &'static [&'static str] {
    let answers = OPERATIONS.into_iter().filter(|operation| operation.path == path).map(|operation| operation.answer);
    answers
        .filter_map(|answer| if let Answer::Document(content_types, _) = answer { Some(content_types) } else { None })
        .next()
        .unwrap_or_default()
}

/// The methods of a path, `OPTIONS` among them; none if there is no such path.
pub(super) fn methods(path: &[String]) -> Option<Vec<Method>> {
    let mut methods = vec![];
    for operation in OPERATIONS.iter().filter(|operation| matches(operation.path, path).is_some()) {
        methods.push(operation.method.clone());
        if operation.has_head() {
            methods.push(Method::HEAD);
        }
    }
    if methods.is_empty() {
        return None;
    }
    methods.push(Method::OPTIONS);
    methods.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    Some(methods)
}

/// The parameters of a path that a template describes; none if it does not.
pub(super) fn matches(template: &str, path: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').skip(1).collect();
    if parts.len() != path.len() {
        return None;
    }
    let mut parameters = vec![];
    for (part, segment) in parts.into_iter().zip(path) {
        if part.starts_with('{') {
            parameters.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(segments: &[&str]) -> Vec<String> {
        segments.iter().map(|segment| (*segment).to_owned()).collect()
    }

    #[test]
    fn a_parameter_is_one_segment_whatever_is_in_it() {
        assert_eq!(matches(SCHEMA, &path(&["v1", "schemas", "a/b"])), Some(path(&["a/b"])));
        assert_eq!(matches(SCHEMA, &path(&["v1", "schemas"])), None);
        assert_eq!(matches(SCHEMA, &path(&["v1", "schemas", "tables", "t"])), None);
        assert_eq!(matches(TABLE_SCHEMA, &path(&["v1", "schemas", "tables", "t"])), Some(path(&["t"])));
    }

    #[test]
    fn head_is_there_where_nothing_changes() {
        let methods = |segments| methods(&path(segments)).unwrap().iter().map(Method::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(methods(&["healthz"]), "GET, HEAD, OPTIONS");
        assert_eq!(methods(&["v1", "init"]), "GET, OPTIONS, POST");
        assert_eq!(methods(&["v1", "snapshot", "data"]), "OPTIONS, POST");
        assert_eq!(methods(&["v1", "lr", "stream"]), "GET, OPTIONS");
        assert_eq!(methods(&["v1", "schemas"]), "GET, HEAD, OPTIONS");
    }
}
