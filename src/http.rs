//! The routes, as one list, and their handlers.

mod problem;
mod socket;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::time::timeout;
use warp::Filter;
use warp::http::{HeaderValue, Method, header};
use warp::reply::{Reply, Response};
use warp::ws::Ws;

use crate::config::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::contract::subscription::Subscription;
use crate::contract::{self, Invalid};
use crate::message::{InitResponse, SnapshotDataRequest};
use crate::name::{SlotName, TableName};
use crate::sidecar::{Rows, Sidecar};
use problem::Refusal;

/// What there is, and how it may be asked for.
const ROUTES: [(&str, &[Method]); 4] = [
    ("/healthz", &[Method::GET]),
    ("/v1/init", &[Method::GET, Method::POST]),
    ("/v1/snapshot/data", &[Method::POST]),
    ("/v1/lr/stream", &[Method::GET]),
];

/// All that the service answers.
pub fn routes(sidecar: Arc<Sidecar>) -> impl Filter<Extract = (Response,), Error = std::convert::Infallible> + Clone {
    let sidecar = warp::any().map(move || sidecar.clone());
    let websocket = warp::ws().map(Some).or(warp::any().map(|| None)).unify();

    let healthz = warp::path!("healthz").and(warp::get()).map(healthz);
    let init = warp::path!("v1" / "init").and(warp::get().or(warp::post()).unify()).and(sidecar.clone()).then(init);
    let snapshot_data =
        warp::path!("v1" / "snapshot" / "data").and(warp::post()).and(sidecar.clone()).and(warp::body::stream()).then(snapshot_data);
    let stream = warp::path!("v1" / "lr" / "stream")
        .and(warp::get())
        .and(sidecar)
        .and(warp::query::<Vec<(String, String)>>())
        .and(websocket)
        .then(stream);
    let anything_else = warp::method().and(warp::path::full()).map(|method, path: warp::path::FullPath| nothing(&method, path.as_str()));

    healthz.or(init).unify().or(snapshot_data).unify().or(stream).unify().or(anything_else).unify()
}

fn healthz() -> Response {
    warp::reply::json(&serde_json::json!({"status": "ok"})).into_response()
}

async fn init(sidecar: Arc<Sidecar>) -> Response {
    answer(sidecar.init().await.map(|slot| {
        let response = InitResponse { slot_name: slot.to_string() };
        warp::reply::json(&response).into_response()
    }))
}

async fn snapshot_data(sidecar: Arc<Sidecar>, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    answer(read_snapshot(&sidecar, body).await.map(rows))
}

async fn read_snapshot(sidecar: &Sidecar, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Result<Rows, Refusal> {
    let request: SnapshotDataRequest = contract::read(&timeout(BODY_TIMEOUT, whole(body)).await.map_err(|_| Refusal::BodyTooSlow)??)?;
    let slot = request.slot_name.as_deref().map(|name| parse::<SlotName>("/slotName", name)).transpose()?;
    let table = parse::<TableName>("/table", &request.table)?;
    Ok(sidecar.snapshot_rows(slot, table, request).await?)
}

fn rows(rows: Rows) -> Response {
    let first = futures_util::stream::iter([Ok(rows.first)]);
    let rest = futures_util::stream::unfold(rows.rest, async |mut rest| rest.next().await.map(|piece| (piece, rest)));
    // An error in here breaks the connection off, so that nobody takes what came for the whole.
    let pieces = first.chain(rest).inspect_err(|error| tracing::error!(%error, "snapshot broken off"));
    let mut response = warp::reply::stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn stream(sidecar: Arc<Sidecar>, query: Vec<(String, String)>, websocket: Option<Ws>) -> Response {
    answer(open_stream(sidecar, query, websocket).await)
}

async fn open_stream(sidecar: Arc<Sidecar>, query: Vec<(String, String)>, websocket: Option<Ws>) -> Result<Response, Refusal> {
    let subscription = Subscription::read(query)?;
    let websocket = websocket.ok_or(Refusal::NoWebsocket)?;
    let session = sidecar.open_stream(subscription).await?;
    Ok(socket::upgrade(websocket, session, sidecar))
}

/// What matched no route, or was malformed before a handler saw it.
fn nothing(method: &Method, path: &str) -> Response {
    match ROUTES.iter().find(|(route, _)| *route == path) {
        None => Refusal::NoRoute(path.to_owned()).into_response(),
        Some((_, methods)) if !methods.contains(method) => Refusal::Method(method.clone(), methods).into_response(),
        Some(_) => Refusal::Malformed.into_response(),
    }
}

fn answer<E: Into<Refusal>>(result: Result<Response, E>) -> Response {
    result.unwrap_or_else(|error| error.into().into_response())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(pointer: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error| Invalid::at(pointer, error))
}

/// The body, whatever content type it says it has: `curl -d` says another.
async fn whole(body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Result<Vec<u8>, Refusal> {
    let mut body = std::pin::pin!(body);
    let mut whole = vec![];
    while let Some(mut piece) = body.try_next().await.map_err(|_| Refusal::Malformed)? {
        let piece: Bytes = piece.copy_to_bytes(piece.remaining());
        whole.extend_from_slice(&piece);
        if whole.len() > MAX_BODY_BYTES {
            return Err(Refusal::BodyTooLarge);
        }
    }
    Ok(whole)
}
