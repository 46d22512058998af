//! Every refusal, its status and its code: the one place that knows both.

use warp::http::{HeaderValue, Method, StatusCode, header};
use warp::reply::{Reply, Response};

use crate::config::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::contract::Invalid;
use crate::contract::subscription::Rejected;
use crate::filter::FilterError;
use crate::message::{Blocker, Fault, Problem, ProblemCode};
use crate::postgres::server_error::Condition;
use crate::postgres::service::QueryError;
use crate::postgres::wire::WireError;
use crate::query::NoSuchRows;
use crate::seat::Reason;
use crate::sidecar;
use crate::slot::{CreateError, ReleaseError};
use crate::snapshot::SnapshotError;

/// The content type of every refusal.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A request that is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("invalid request: {0}")]
    Invalid(#[from] Invalid),
    #[error("{0}")]
    NoSuchTable(Invalid),
    #[error("there is no schema {0:?}: /v1/schemas lists them")]
    NoSuchSchema(String),
    #[error("there is nothing at {0}: /docs says what there is")]
    NoRoute(String),
    #[error("{0} is not possible here, only {allowed}", allowed = .1.to_str().unwrap_or_default())]
    Method(Method, HeaderValue),
    #[error("the request is malformed: its path is no text, or its body cannot be read to the end")]
    Malformed,
    #[error("there is nothing here that Accept names, only {0}")]
    NotAcceptable(&'static str),
    #[error("a body may not be encoded: expected no Content-Encoding, got {0}")]
    Encoding(String),
    #[error("pages of {0} may not ask this service: CORS_ORIGINS (--corsOrigins) lists those that may")]
    Origin(String),
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    #[error("the body took longer than {} s", BODY_TIMEOUT.as_secs())]
    BodyTooSlow,
    #[error("a stream is a websocket, or server-sent events: connect with ws://, or send Accept: text/event-stream")]
    NotStreamed,
    #[error(transparent)]
    Sidecar(sidecar::Error),
}

impl From<sidecar::Error> for Refusal {
    fn from(error: sidecar::Error) -> Self {
        match error {
            sidecar::Error::Snapshot(SnapshotError::NoSuchRows(NoSuchRows::Place(faults))) => Self::Invalid(Invalid { faults }),
            sidecar::Error::Snapshot(error @ SnapshotError::NoSuchPlace) => Self::Invalid(Invalid::at("/after", error)),
            sidecar::Error::Filter(error) => Self::Invalid(Invalid::at(parameter_of(&error), error)),
            error => Self::Sidecar(error),
        }
    }
}

/// The parameter that does not go with what the stream is about.
fn parameter_of(error: &FilterError) -> &'static str {
    match error {
        FilterError::OnlyTruncate | FilterError::Action(_) => "/actions",
        FilterError::WithoutSchemas => "/includeSchemas",
        _ => "/tables",
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid(invalid) => Self::Invalid(invalid),
            Rejected::NoSuchTable(invalid) => Self::NoSuchTable(invalid),
        }
    }
}

impl Refusal {
    /// What it is, for programs.
    pub(super) fn code(&self) -> ProblemCode {
        match self {
            Self::Invalid(_) => ProblemCode::InvalidRequest,
            Self::NoSuchTable(_) => ProblemCode::NoSuchTable,
            Self::NoSuchSchema(_) => ProblemCode::NoSuchSchema,
            Self::NoRoute(_) => ProblemCode::NotFound,
            Self::Method(..) => ProblemCode::MethodNotAllowed,
            Self::Malformed => ProblemCode::MalformedRequest,
            Self::NotAcceptable(_) => ProblemCode::NotAcceptable,
            Self::Encoding(_) => ProblemCode::UnsupportedMediaType,
            Self::Origin(_) => ProblemCode::OriginNotAllowed,
            Self::BodyTooLarge => ProblemCode::BodyTooLarge,
            Self::BodyTooSlow => ProblemCode::BodyTooSlow,
            Self::NotStreamed => ProblemCode::UpgradeRequired,
            Self::Sidecar(error) => failure(error),
        }
    }

    fn problem(&self) -> Problem {
        let code = self.code();
        Problem {
            blocker: self.blocker().cloned(),
            errors: self.faults().to_vec(),
            ..Problem::new(code, status(code).as_u16(), self.to_string())
        }
    }

    fn faults(&self) -> &[Fault] {
        match self {
            Self::Invalid(invalid) | Self::NoSuchTable(invalid) => &invalid.faults,
            _ => &[],
        }
    }

    fn blocker(&self) -> Option<&Blocker> {
        match self {
            Self::Sidecar(
                sidecar::Error::Create(CreateError::Blocked(blocker))
                | sidecar::Error::Release(ReleaseError::InUse(blocker))
                | sidecar::Error::Former(ReleaseError::InUse(blocker)),
            ) => Some(blocker),
            _ => None,
        }
    }
}

fn failure(error: &sidecar::Error) -> ProblemCode {
    use sidecar::Error;
    match error {
        Error::UnknownStream(_) | Error::NoInit => ProblemCode::NoSuchStream,
        Error::StreamGone(_) | Error::SlotMissing(_) | Error::Superseded(Reason::SlotGone | Reason::DroppedForItsWal) => {
            ProblemCode::StreamGone
        }
        Error::SlotLost(_) => ProblemCode::SlotLost,
        Error::BeingMade(_) | Error::Occupied(_) | Error::Superseded(Reason::Replaced) => ProblemCode::SlotInUse,
        Error::NameTaken(_) => ProblemCode::NameTaken,
        Error::Busy => ProblemCode::CreationInProgress,
        Error::RegistryMissing => ProblemCode::RegistryMissing,
        Error::Create(error) => create(error),
        Error::Release(error) | Error::Former(error) => release(error),
        Error::Snapshot(error) => snapshot(error),
        Error::NoSuchTable(_) => ProblemCode::NoSuchTable,
        Error::Filter(_) => ProblemCode::InvalidRequest,
        Error::Ahead { .. } => ProblemCode::PositionAhead,
        Error::Unsettled { .. } | Error::Standby | Error::Superseded(Reason::TooMuchWal) => ProblemCode::PostgresUnavailable,
        Error::Stalled { .. } => ProblemCode::StreamStalled,
        Error::Unreached(_) => ProblemCode::LsnAhead,
        Error::Fault(_) => ProblemCode::InternalError,
        Error::Unsupported(_) => ProblemCode::UnsupportedOption,
        Error::Wire(error) => wire(error),
        Error::Query(error) => query(error),
        Error::ShuttingDown(_) | Error::Superseded(Reason::Stopping) => ProblemCode::ShuttingDown,
        Error::BrokenOff => ProblemCode::InternalError,
    }
}

fn create(error: &CreateError) -> ProblemCode {
    match error {
        CreateError::Blocked(_) | CreateError::Busy(_) => ProblemCode::BlockedByTransaction,
        CreateError::ShuttingDown => ProblemCode::ShuttingDown,
        CreateError::Exists => ProblemCode::NameTaken,
        CreateError::NoneLeft(_) => ProblemCode::TooManyStreams,
        CreateError::Wire(error) => wire(error),
        CreateError::Query(error) => query(error),
    }
}

fn release(error: &ReleaseError) -> ProblemCode {
    match error {
        ReleaseError::InUse(_) => ProblemCode::SlotInUse,
        ReleaseError::Query(error) => query(error),
    }
}

fn snapshot(error: &SnapshotError) -> ProblemCode {
    match error {
        SnapshotError::Gone(..) => ProblemCode::SnapshotGone,
        SnapshotError::NoSuchTable(_) => ProblemCode::NoSuchTable,
        SnapshotError::NoSuchRows(NoSuchRows::Column { .. }) => ProblemCode::NoSuchColumn,
        SnapshotError::NoSuchRows(NoSuchRows::NoKey(_)) => ProblemCode::NoKey,
        SnapshotError::NoSuchRows(NoSuchRows::Place(_)) | SnapshotError::NoSuchPlace => ProblemCode::InvalidRequest,
        SnapshotError::NotText(_) => ProblemCode::InternalError,
        SnapshotError::NoOrder { .. } => ProblemCode::NoOrder,
        SnapshotError::Rewritten(_) => ProblemCode::TableRewritten,
        SnapshotError::Forbidden(_) => ProblemCode::PermissionDenied,
        SnapshotError::Stalled | SnapshotError::BrokenOff => ProblemCode::ShuttingDown,
        SnapshotError::Query(error) => query(error),
    }
}

fn query(error: &QueryError) -> ProblemCode {
    match error.condition() {
        // A server that has yet to recover is in no state to tell how far it is, nor to be written to.
        None
        | Some(
            Condition::Terminated
            | Condition::LimitReached
            | Condition::LoginRefused
            | Condition::Passing
            | Condition::NotInState
            | Condition::ReadOnly,
        ) => ProblemCode::PostgresUnavailable,
        Some(_) => ProblemCode::InternalError,
    }
}

fn wire(error: &WireError) -> ProblemCode {
    match error {
        WireError::Server(error) => match error.condition() {
            Condition::LimitReached => ProblemCode::TooManyStreams,
            Condition::InUse => ProblemCode::SlotInUse,
            Condition::Terminated | Condition::LoginRefused | Condition::Passing => ProblemCode::PostgresUnavailable,
            _ => ProblemCode::InternalError,
        },
        WireError::UnknownMethod(_)
        | WireError::NoPassword
        | WireError::TooLong { .. }
        | WireError::Broken(_)
        | WireError::Dial(_)
        | WireError::Tls(_)
        | WireError::Timeout(_)
        | WireError::Silent(_)
        | WireError::Ended => ProblemCode::PostgresUnavailable,
    }
}

/// The status that goes with a code.
pub(super) fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::InvalidRequest
        | ProblemCode::MalformedRequest
        | ProblemCode::UnsupportedOption
        | ProblemCode::LsnAhead
        | ProblemCode::NoOrder
        | ProblemCode::NoKey => StatusCode::BAD_REQUEST,
        ProblemCode::PermissionDenied | ProblemCode::OriginNotAllowed => StatusCode::FORBIDDEN,
        ProblemCode::NotFound
        | ProblemCode::NoSuchStream
        | ProblemCode::NoSuchTable
        | ProblemCode::NoSuchColumn
        | ProblemCode::NoSuchSchema => StatusCode::NOT_FOUND,
        ProblemCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ProblemCode::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        ProblemCode::CreationInProgress | ProblemCode::SlotInUse | ProblemCode::NameTaken | ProblemCode::BlockedByTransaction => {
            StatusCode::CONFLICT
        }
        ProblemCode::SnapshotGone
        | ProblemCode::StreamGone
        | ProblemCode::SlotLost
        | ProblemCode::PositionAhead
        | ProblemCode::TableRewritten => StatusCode::GONE,
        ProblemCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ProblemCode::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        ProblemCode::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
        ProblemCode::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        ProblemCode::PostgresUnavailable | ProblemCode::StreamStalled | ProblemCode::RegistryMissing | ProblemCode::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Whether the same request may succeed a little later, without anything else being done.
pub(super) fn is_passing(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::CreationInProgress | ProblemCode::BlockedByTransaction | ProblemCode::PostgresUnavailable | ProblemCode::ShuttingDown
    )
}

/// Whether there is no such stream any more, whatever is done.
pub(super) fn is_final(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::NoSuchStream | ProblemCode::StreamGone | ProblemCode::SlotLost | ProblemCode::PositionAhead)
}

impl Reply for Refusal {
    fn into_response(self) -> Response {
        let code = self.code();
        let status = status(code);
        match code {
            ProblemCode::InternalError => tracing::error!(code = code.name(), error = %self, "request failed"),
            // Said once already, by whoever stops it.
            ProblemCode::ShuttingDown => {}
            _ if status.is_server_error() => tracing::warn!(code = code.name(), error = %self, "request failed"),
            _ => {}
        }
        let mut response = warp::reply::with_status(warp::reply::json(&self.problem()), status).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match &self {
            Self::Method(_, allowed) => {
                headers.insert(header::ALLOW, allowed.clone());
            }
            Self::NotStreamed => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ if is_passing(code) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::api::{ANYWHERE, OPERATIONS};
    use super::*;
    use crate::contract::published;
    use crate::lsn::Lsn;
    use crate::name::{SlotName, TableName};
    use crate::postgres::server_error::ServerError;
    use crate::progress::Ahead;
    use crate::seat::ShuttingDown;
    use crate::sidecar::Error;
    use crate::snapshot::End;

    fn server(sqlstate: &str) -> ServerError {
        ServerError { sqlstate: sqlstate.to_owned(), message: String::from("message"), by_plugin: false }
    }

    fn fails(sqlstate: &str) -> QueryError {
        QueryError::Server(server(sqlstate))
    }

    fn snapshot(error: SnapshotError) -> Refusal {
        Error::Snapshot(error).into()
    }

    /// One refusal for each code, in the order of the codes.
    fn refusals() -> Vec<(Refusal, u16, &'static str)> {
        let invalid = || Invalid::at("/table", "no");
        let slot = || "delta_face56".parse::<SlotName>().unwrap();
        let table = || "t".parse::<TableName>().unwrap();
        let column = NoSuchRows::Column { table: table(), column: String::from("c") };
        let blocker = Blocker { pid: Some(1), application: String::from("psql"), age_seconds: Some(7) };
        let ahead = Error::Ahead { slot: slot(), acknowledged: Lsn::from(2), common: Lsn::from(1) };
        vec![
            (Refusal::Invalid(invalid()), 400, "invalid_request"),
            (Refusal::Malformed, 400, "malformed_request"),
            (Error::Unsupported(server("22023")).into(), 400, "unsupported_option"),
            (Error::Unreached(Ahead { position: Lsn::from(2), flushed: Lsn::from(1) }).into(), 400, "lsn_ahead"),
            (snapshot(SnapshotError::NoOrder { column: String::from("c") }), 400, "no_order"),
            (snapshot(NoSuchRows::NoKey(table()).into()), 400, "no_key"),
            (snapshot(SnapshotError::Forbidden(table())), 403, "permission_denied"),
            (Refusal::Origin(String::from("https://elsewhere.example")), 403, "origin_not_allowed"),
            (Refusal::NoRoute(String::from("/nothing")), 404, "not_found"),
            (Error::UnknownStream(slot()).into(), 404, "no_such_stream"),
            (Refusal::NoSuchTable(invalid()), 404, "no_such_table"),
            (snapshot(column.into()), 404, "no_such_column"),
            (Refusal::NoSuchSchema(String::from("nothing")), 404, "no_such_schema"),
            (Refusal::Method(Method::PUT, HeaderValue::from_static("GET")), 405, "method_not_allowed"),
            (Refusal::NotAcceptable("text/html"), 406, "not_acceptable"),
            (Refusal::BodyTooSlow, 408, "body_too_slow"),
            (Error::Busy.into(), 409, "creation_in_progress"),
            (Error::Release(ReleaseError::InUse(blocker.clone())).into(), 409, "slot_in_use"),
            (Error::Create(CreateError::Exists).into(), 409, "name_taken"),
            (Error::Create(CreateError::Blocked(blocker)).into(), 409, "blocked_by_transaction"),
            (snapshot(SnapshotError::Gone(slot(), End::Released)), 410, "snapshot_gone"),
            (Error::StreamGone(slot()).into(), 410, "stream_gone"),
            (Error::SlotLost(slot()).into(), 410, "slot_lost"),
            (ahead.into(), 410, "position_ahead"),
            (snapshot(SnapshotError::Rewritten(table())), 410, "table_rewritten"),
            (Refusal::BodyTooLarge, 413, "body_too_large"),
            (Refusal::Encoding(String::from("gzip")), 415, "unsupported_media_type"),
            (Refusal::NotStreamed, 426, "upgrade_required"),
            (Error::Create(CreateError::NoneLeft(server("53400"))).into(), 429, "too_many_streams"),
            (Error::Query(fails("42P01")).into(), 500, "internal_error"),
            (Error::Stalled { slot: slot(), reason: String::from("away") }.into(), 503, "stream_stalled"),
            (Error::Query(QueryError::Timeout(Duration::from_secs(30))).into(), 503, "postgres_unavailable"),
            (Error::RegistryMissing.into(), 503, "registry_missing"),
            (Error::ShuttingDown(ShuttingDown).into(), 503, "shutting_down"),
        ]
    }

    #[test]
    fn every_code_has_its_status_and_its_problem() {
        for (refusal, expected, code) in refusals() {
            let (text, problem) = (refusal.to_string(), refusal.problem());
            assert_eq!((problem.status, problem.code.name().as_str(), &problem.detail, &problem.error), (expected, code, &text, &text));
            assert_eq!(problem.kind, format!("urn:pgdeltastream:problem:{code}"));
            let response = refusal.into_response();
            assert_eq!(
                (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
                (expected, PROBLEM_JSON),
                "{code}"
            );
        }
    }

    #[test]
    fn every_code_is_documented_and_tried_once() {
        let components = published::components();
        let described: Vec<&str> =
            components["ProblemCode"]["oneOf"].as_array().unwrap().iter().map(|code| code["const"].as_str().unwrap()).collect();
        assert_eq!(described, refusals().iter().map(|(_, _, code)| *code).collect::<Vec<_>>());
        let mut documented: BTreeSet<ProblemCode> = OPERATIONS.iter().flat_map(|operation| operation.codes).copied().collect();
        documented.extend(ANYWHERE);
        // These are where no call is.
        documented.extend([ProblemCode::NotFound, ProblemCode::MethodNotAllowed]);
        assert_eq!(documented.iter().map(|code| code.name()).collect::<Vec<_>>(), described);
    }

    #[test]
    fn who_is_to_try_again_is_told_when() {
        for (refusal, _, code) in refusals() {
            let passing = ["creation_in_progress", "blocked_by_transaction", "postgres_unavailable", "shutting_down"].contains(&code);
            assert_eq!(refusal.into_response().headers().contains_key("retry-after"), passing, "{code}");
        }
    }

    #[test]
    fn what_postgres_says_decides_who_is_at_fault() {
        for (sqlstate, code) in [
            ("57P01", ProblemCode::PostgresUnavailable),
            ("53300", ProblemCode::PostgresUnavailable),
            ("53100", ProblemCode::PostgresUnavailable),
            ("42601", ProblemCode::InternalError),
        ] {
            assert_eq!(query(&fails(sqlstate)), code, "{sqlstate}");
        }
    }
}
