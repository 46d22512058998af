//! What went wrong: a request that was not fulfilled, and a frame that was not accepted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request that was not fulfilled, as RFC 9457 has it, with the `error` that clients of the original look for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Problem::example())]
pub struct Problem {
    /// What it is, as a URI: `urn:pgdeltastream:problem:` and the code.
    #[serde(rename = "type")]
    #[schemars(regex(pattern = "^urn:pgdeltastream:problem:[a-z_]+$"))]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What was expected, what came, and what to do.
    #[schemars(length(min = 1))]
    pub detail: String,
    /// What it is, for programs.
    pub code: ProblemCode,
    /// The same as `detail`.
    #[schemars(length(min = 1))]
    pub error: String,
    /// Every fault of an invalid request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub errors: Vec<Fault>,
    /// The process whose open transaction holds up the creation of a slot, or which holds a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Blocker")]
    pub blocker: Option<Blocker>,
}

impl Problem {
    /// The problem of this code.
    pub fn new(code: ProblemCode, status: u16, detail: String) -> Self {
        let name = code.name();
        Self {
            kind: format!("urn:pgdeltastream:problem:{name}"),
            title: title(&name),
            status,
            error: detail.clone(),
            detail,
            code,
            errors: vec![],
            blocker: None,
        }
    }

    fn example() -> Self {
        let fault = Fault { pointer: String::from("/limit"), message: String::from("-1 is less than the minimum of 0") };
        let detail = format!("invalid request: {}: {}", fault.pointer, fault.message);
        Self { errors: vec![fault], ..Self::new(ProblemCode::InvalidRequest, 400, detail) }
    }
}

/// `slot_in_use` as `Slot in use`.
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Why a request was not fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The request breaks its schema, or a rule beyond it. `errors` has every fault.
    InvalidRequest,
    /// The request is not HTTP as it should be: its query is no text, or its body broke off.
    MalformedRequest,
    /// An option that the wal2json of this server does not know.
    UnsupportedOption,
    /// The position is one that the server has not reached.
    LsnAhead,
    /// Rows cannot be ordered by a column of this type.
    NoOrder,
    /// The table has no key, so there is no place in its order to go on after.
    NoKey,
    /// Our role may not read the table.
    PermissionDenied,
    /// A page of another site asks, which is not among those allowed (`CORS_ORIGINS`).
    OriginNotAllowed,
    /// There is nothing at this path.
    NotFound,
    /// There is no such stream, and no wal2json slot of that name in this database.
    NoSuchStream,
    /// There is no such table, or it is one of the system or of ours.
    NoSuchTable,
    /// The table has no such column.
    NoSuchColumn,
    /// There is no such schema.
    NoSuchSchema,
    /// Not with this method; `Allow` lists the others.
    MethodNotAllowed,
    /// There is nothing here of a kind that `Accept` names.
    NotAcceptable,
    /// The body did not come in time.
    BodyTooSlow,
    /// Too many other calls that make streams are waiting. Try again.
    CreationInProgress,
    /// Somebody else has the slot: a process of the server that cannot be ended, named in `blocker`, one who is not to be replaced, or a newer connection; or it is being made or removed.
    SlotInUse,
    /// A stream or a slot of that name exists.
    NameTaken,
    /// An open transaction holds up the creation of the slot. `blocker` names it if it is one. Try again.
    BlockedByTransaction,
    /// The snapshot is gone. Start over with `/v1/init`.
    SnapshotGone,
    /// The stream was replaced, or its slot was dropped. Start over with `/v1/init`.
    StreamGone,
    /// Postgres has removed WAL that the slot needs. Start over with `/v1/init`.
    SlotLost,
    /// The client has acknowledged more than the server has: it was restored to an earlier state. Start over with `/v1/init`.
    PositionAhead,
    /// The table was rewritten or truncated, or its columns changed, after the snapshot was taken. Start over with `/v1/init`.
    TableRewritten,
    /// The body is too long.
    BodyTooLarge,
    /// The body is encoded, as with gzip.
    UnsupportedMediaType,
    /// A stream is a websocket or server-sent events, and the request asks for neither.
    UpgradeRequired,
    /// Postgres has no slot, or no connection for one, to spare.
    TooManyStreams,
    /// A fault of the service; the log says more.
    InternalError,
    /// Nothing comes from Postgres for a stream that somebody follows.
    StreamStalled,
    /// Postgres does not answer, or refuses us. Try again.
    PostgresUnavailable,
    /// The service may have no tables of its own, which streams of their own need.
    RegistryMissing,
    /// The service shuts down. Try again.
    ShuttingDown,
}

impl ProblemCode {
    /// As it stands in JSON.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// The JSON pointer to a member of the root.
pub fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Where, as a JSON pointer into the body; for a query string, `/` and the parameter's name.
    #[schemars(regex(pattern = "^(/([^/~]|~[01])*)*$"))]
    pub pointer: String,
    /// What is wrong with it.
    #[schemars(length(min = 1))]
    pub message: String,
}

/// A process of the server that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Its process id; none for a prepared transaction.
    pub pid: Option<i32>,
    /// Its `application_name`, or the name of the prepared transaction.
    pub application: String,
    /// For how many seconds its transaction has been open; none where our role may not see it.
    pub age_seconds: Option<u64>,
}

/// What the client hears over the websocket about a frame of its own that cannot be accepted. The stream goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = StreamError::example())]
pub struct StreamError {
    /// What was expected and what came.
    #[schemars(length(min = 1))]
    pub error: String,
    /// What it is, for programs.
    pub code: StreamErrorCode,
}

impl StreamError {
    /// The frame's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn example() -> Self {
        let error = String::from("0/FFFFFFFF is above 0/170FCB0, where the server is: acknowledge only what has come");
        Self { error, code: StreamErrorCode::LsnAhead }
    }
}

/// Why a stream ended: what a websocket says in its close frame, and server-sent events say as the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = StreamClose { code: 1001, reason: String::from("the service shuts down") })]
pub struct StreamClose {
    /// As a websocket has it.
    #[schemars(range(min = 1000, max = 4999))]
    pub code: u16,
    /// In words.
    pub reason: String,
}

/// Why a frame was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamErrorCode {
    /// It is no acknowledgement.
    InvalidFrame,
    /// The position is one that the server has not reached.
    LsnAhead,
    /// Whether the server has reached the position cannot be told now. Send it again.
    PostgresUnavailable,
}
