//! Every refusal, its status and its code: the one place that knows both.

use warp::http::{HeaderValue, Method, StatusCode, header};
use warp::reply::{Reply, Response};

use crate::config::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::contract::Invalid;
use crate::contract::subscription::Rejected;
use crate::message::{Blocker, Fault, Problem};
use crate::postgres::server_error::Condition;
use crate::postgres::service::QueryError;
use crate::postgres::wire::WireError;
use crate::seat::Reason;
use crate::sidecar::{InitError, NoStream, OpenError, ReadError};
use crate::slot::{CreateError, ReleaseError};
use crate::snapshot::SnapshotError;

/// A request that is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("invalid request: {0}")]
    Invalid(#[from] Invalid),
    #[error("{0}")]
    NoSuchTable(Invalid),
    #[error("there is nothing at {0}: see the README for what there is")]
    NoRoute(String),
    #[error("{0} is not possible here, only {allowed}", allowed = .1.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))]
    Method(Method, &'static [Method]),
    #[error("the request is malformed: its query or its body cannot be read")]
    Malformed,
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    #[error("the body took longer than {} s", BODY_TIMEOUT.as_secs())]
    BodyTooSlow,
    #[error("a stream is a websocket: connect with ws://")]
    NoWebsocket,
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid(invalid) => Self::Invalid(invalid),
            Rejected::NoSuchTable(invalid) => Self::NoSuchTable(invalid),
        }
    }
}

type Verdict = (StatusCode, &'static str);

const GONE: Verdict = (StatusCode::GONE, "snapshot_gone");
const AWAY: Verdict = (StatusCode::SERVICE_UNAVAILABLE, "postgres_unavailable");
const FAULT: Verdict = (StatusCode::INTERNAL_SERVER_ERROR, "internal_error");

impl Refusal {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NoSuchTable(_) => (StatusCode::NOT_FOUND, "no_such_table"),
            Self::NoRoute(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method(..) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed_request"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::NoWebsocket => (StatusCode::UPGRADE_REQUIRED, "upgrade_required"),
            Self::Init(InitError::Busy) => (StatusCode::CONFLICT, "init_in_progress"),
            Self::Init(InitError::Create(error)) => create(error),
            Self::Init(InitError::Release(error)) | Self::Open(OpenError::Release(error)) => release(error),
            Self::Init(InitError::ShuttingDown(_)) | Self::Open(OpenError::ShuttingDown(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "shutting_down")
            }
            Self::Init(InitError::Query(error)) | Self::Read(ReadError::Query(error)) | Self::Open(OpenError::Query(error)) => query(error),
            Self::Read(ReadError::NoStream(error)) | Self::Open(OpenError::NoStream(error)) => no_stream(error),
            Self::Read(ReadError::Snapshot(error)) => snapshot(error),
            Self::Init(InitError::BrokenOff) | Self::Open(OpenError::BrokenOff) => FAULT,
            Self::Open(OpenError::Superseded(Reason::Stopping)) => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            Self::Open(OpenError::Superseded(Reason::SlotGone)) => (StatusCode::GONE, "stream_gone"),
            Self::Open(OpenError::BeingMade(_) | OpenError::Superseded(Reason::Replaced)) => (StatusCode::CONFLICT, "slot_in_use"),
            Self::Open(OpenError::Unsupported(_)) => (StatusCode::BAD_REQUEST, "unsupported_option"),
            Self::Open(OpenError::Lost(_)) => (StatusCode::GONE, "slot_lost"),
            Self::Open(OpenError::Ahead { .. }) => (StatusCode::GONE, "position_ahead"),
            Self::Open(OpenError::Wire(error)) => wire(error),
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
            Self::Init(InitError::Create(CreateError::Blocked(blocker)) | InitError::Release(ReleaseError::InUse(blocker)))
            | Self::Open(OpenError::Release(ReleaseError::InUse(blocker))) => Some(blocker),
            _ => None,
        }
    }
}

fn create(error: &CreateError) -> Verdict {
    match error {
        CreateError::Blocked(_) | CreateError::Busy(_) => (StatusCode::CONFLICT, "blocked_by_transaction"),
        CreateError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        CreateError::Exists => (StatusCode::CONFLICT, "name_taken"),
        CreateError::NoneLeft(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_streams"),
        CreateError::Wire(error) => wire(error),
        CreateError::Query(error) => query(error),
    }
}

fn release(error: &ReleaseError) -> Verdict {
    match error {
        ReleaseError::InUse(_) => (StatusCode::CONFLICT, "slot_in_use"),
        ReleaseError::Query(error) => query(error),
    }
}

fn no_stream(error: &NoStream) -> Verdict {
    match error {
        NoStream::Unknown(_) | NoStream::NoInit => (StatusCode::NOT_FOUND, "no_such_stream"),
        NoStream::Gone(_) => (StatusCode::GONE, "stream_gone"),
    }
}

fn snapshot(error: &SnapshotError) -> Verdict {
    match error {
        SnapshotError::Gone(_) => GONE,
        SnapshotError::NoSuchTable(_) => (StatusCode::NOT_FOUND, "no_such_table"),
        SnapshotError::NoSuchColumn(_) => (StatusCode::NOT_FOUND, "no_such_column"),
        SnapshotError::NoOrder { .. } => (StatusCode::BAD_REQUEST, "no_order"),
        SnapshotError::Rewritten(_) => (StatusCode::GONE, "table_rewritten"),
        SnapshotError::Forbidden(_) => (StatusCode::FORBIDDEN, "permission_denied"),
        SnapshotError::Stalled | SnapshotError::BrokenOff => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        SnapshotError::Query(error) => query(error),
    }
}

fn query(error: &QueryError) -> Verdict {
    match error.condition() {
        None | Some(Condition::Terminated | Condition::LimitReached | Condition::LoginRefused | Condition::Passing) => AWAY,
        Some(_) => FAULT,
    }
}

fn wire(error: &WireError) -> Verdict {
    match error {
        WireError::Server(error) => match error.condition() {
            Condition::LimitReached => (StatusCode::TOO_MANY_REQUESTS, "too_many_streams"),
            Condition::InUse => (StatusCode::CONFLICT, "slot_in_use"),
            Condition::Terminated | Condition::LoginRefused | Condition::Passing => AWAY,
            _ => FAULT,
        },
        WireError::UnknownMethod(_) | WireError::NoPassword => AWAY,
        WireError::TooLong { .. }
        | WireError::Broken(_)
        | WireError::Dial(_)
        | WireError::Tls(_)
        | WireError::Timeout(_)
        | WireError::Ended => AWAY,
    }
}

impl Reply for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.verdict();
        if status.is_server_error() {
            tracing::error!(code, error = %self, "request failed");
        }
        let text = self.to_string();
        let problem = Problem {
            kind: String::from("about:blank"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: text.clone(),
            code: code.to_owned(),
            error: text,
            blocker: self.blocker().cloned(),
            errors: self.faults().to_vec(),
        };
        let mut response = warp::reply::with_status(warp::reply::json(&problem), status).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match &self {
            Self::Method(_, methods) => {
                let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                headers.extend(HeaderValue::from_str(&allowed).ok().map(|allowed| (header::ALLOW, allowed)));
            }
            Self::NoWebsocket => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
            _ if code == "blocked_by_transaction" || status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
