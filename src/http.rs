//! The routes, as one list, and their handlers.

pub mod api;
mod close;
mod docs;
mod document;
mod handshake;
mod origin;
mod problem;
mod request;
mod session;
mod socket;
mod sse;

use std::sync::Arc;

use bytes::Buf;
use futures_util::{Stream, StreamExt, TryStreamExt};
use warp::Filter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::{Reply, Response};

use crate::config::Origins;
use crate::contract::creation::Creation;
use crate::contract::subscription::{Rejected, Subscription};
use crate::contract::{self, Invalid, published};
use crate::filter::TablePattern;
use crate::message::{
    AcknowledgeRequest, CreateStreamRequest, Health, InitResponse, SnapshotDataRequest, SnapshotQuery, SnapshotTables, SnapshotTablesQuery,
    Status, StreamList, TableSchemaQuery,
};
use crate::name::{SlotName, TableName};
use crate::row::Numbers;
use crate::sidecar::{Rows, Sidecar};
use crate::snapshot::Framing;
use document::{Freshness, document};
use handshake::{Handshake, handshake};
use origin::Sender;
use problem::Refusal;
use request::{at, parameters_of_query, query, with_parameter};

const GET: &[Method] = &[Method::GET, Method::HEAD];
const DELETE: &[Method] = &[Method::DELETE];

/// All that the service answers.
pub fn routes(sidecar: Arc<Sidecar>, origins: Origins) -> impl Filter<Extract = (Response,), Error = std::convert::Infallible> + Clone {
    let sidecar = warp::any().map(move || sidecar.clone());
    let headers = warp::header::headers_cloned();

    let healthz = at(api::HEALTHZ, GET).map(healthz);
    let readyz = at(api::READYZ, GET).and(sidecar.clone()).then(readyz);
    let init = at(api::INIT, &[Method::GET, Method::POST]).and(warp::header::headers_cloned()).and(sidecar.clone()).then(init);
    let streams = at(api::STREAMS, GET).and(nothing_asked()).and(sidecar.clone()).then(list_streams);
    let create_stream = at(api::STREAMS, &[Method::POST]).and(sidecar.clone()).and(headers).and(warp::body::stream()).then(create_stream);
    let one_stream = with_parameter(api::STREAM_OF_SLOT, GET).and(nothing_asked()).and(sidecar.clone()).then(show_stream);
    let delete_stream = with_parameter(api::STREAM_OF_SLOT, DELETE).and(nothing_asked()).and(sidecar.clone()).then(delete_stream);
    let snapshot = at(api::SNAPSHOT, DELETE).and(query()).and(sidecar.clone()).then(release_snapshot);
    let snapshot_tables = at(api::SNAPSHOT_TABLES, GET).and(query()).and(sidecar.clone()).then(snapshot_tables);
    let snapshot_data =
        at(api::SNAPSHOT_DATA, &[Method::POST]).and(sidecar.clone()).and(headers).and(warp::body::stream()).then(snapshot_data);
    let stream = at(api::STREAM, &[Method::GET]).and(sidecar.clone()).and(parameters_of_query()).and(headers).and(handshake()).then(stream);
    let acknowledge = at(api::ACKNOWLEDGE, &[Method::POST]).and(sidecar.clone()).and(headers).and(warp::body::stream()).then(acknowledge);
    let schemas = fixed(api::SCHEMAS, published::list);
    let schema = with_parameter(api::SCHEMA, GET).and(nothing_asked()).and(headers).map(schema);
    let table_schema = with_parameter(api::TABLE_SCHEMA, GET).and(sidecar).and(query()).and(headers).then(table_schema);
    let openapi = fixed(api::OPENAPI, || api::openapi::DOCUMENT);
    let asyncapi = fixed(api::ASYNCAPI, || api::asyncapi::DOCUMENT);
    let docs = fixed(api::DOCS, docs::page).map(docs::protect);
    // Some have no path, as CONNECT, and to ask warp for that one panics. Here it is empty, as that of `/`.
    let root = warp::path::end().map(|| Refusal::NoRoute(String::from("/")).into_response());
    let anything_else = warp::method()
        .and(warp::path::full())
        .and(headers)
        .map(|method, path: warp::path::FullPath, headers| answer(nothing(method, path.as_str(), &headers)));

    let from_elsewhere = refuse_other_sites(origins.clone());
    let resources = streams.or(create_stream).unify().or(one_stream).unify().or(delete_stream).unify();
    let snapshots = snapshot.or(snapshot_tables).unify().or(snapshot_data).unify();
    let streaming = stream.or(acknowledge).unify();
    let calls = healthz.or(readyz).unify().or(init).unify().or(resources).unify().or(snapshots).unify().or(streaming).unify();
    let documents = schemas.or(schema).unify().or(table_schema).unify().or(openapi).unify().or(asyncapi).unify().or(docs).unify();
    let everything = from_elsewhere.or(root).unify().or(calls).unify().or(documents).unify().or(anything_else).unify();
    headers.and(everything).map(move |headers: HeaderMap, mut response: Response| {
        if let Ok(sender) = Sender::of(&headers, &origins) {
            sender.let_read(&origins, response.headers_mut());
        }
        // What is no document is of its moment, a GET that changes things most of all.
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    })
}

/// Answers those who may not ask, and nobody else.
fn refuse_other_sites(origins: Origins) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    warp::header::headers_cloned().and_then(move |headers: HeaderMap| {
        let refused = Sender::of(&headers, &origins).err().map(Refusal::into_response);
        std::future::ready(refused.ok_or_else(warp::reject::not_found))
    })
}

/// A document that changes with the program only.
fn fixed(path: &'static str, text: fn() -> &'static str) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    at(path, GET).and(nothing_asked()).and(warp::header::headers_cloned()).map(move |asked: Result<(), Refusal>, headers: HeaderMap| {
        answer(asked.and_then(|()| document(&headers, api::content_types(path), Freshness::Minutes, text())))
    })
}

/// A query string without parameters.
fn nothing_asked() -> impl Filter<Extract = (Result<(), Refusal>,), Error = std::convert::Infallible> + Clone {
    parameters_of_query().map(|parameters: Result<Vec<(String, String)>, Refusal>| {
        let faults: Vec<_> = parameters?.iter().map(|(name, _)| contract::unknown(name)).collect();
        if faults.is_empty() { Ok(()) } else { Err(Invalid { faults }.into()) }
    })
}

fn healthz() -> Response {
    warp::reply::json(&Health { status: Status::Ok }).into_response()
}

async fn readyz(sidecar: Arc<Sidecar>) -> Response {
    answer(sidecar.readiness().await.map(|()| healthz()))
}

async fn init(headers: HeaderMap, sidecar: Arc<Sidecar>) -> Response {
    let init = async {
        origin::refuse_links(&headers)?;
        let response = InitResponse { slot_name: sidecar.init().await?.to_string() };
        Ok::<_, Refusal>(warp::reply::json(&response).into_response())
    };
    answer(init.await)
}

async fn list_streams(asked: Result<(), Refusal>, sidecar: Arc<Sidecar>) -> Response {
    let list = async {
        asked?;
        let list = StreamList { streams: sidecar.show_streams().await? };
        Ok::<_, Refusal>(warp::reply::json(&list).into_response())
    };
    answer(list.await)
}

async fn create_stream(sidecar: Arc<Sidecar>, headers: HeaderMap, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    let create = async {
        let request: CreateStreamRequest = request::body(&headers, body).await?;
        let made = sidecar.create_stream(Creation::try_from(request)?).await?;
        let response = warp::reply::with_status(warp::reply::json(&made), StatusCode::CREATED);
        Ok::<_, Refusal>(
            warp::reply::with_header(response, header::LOCATION, format!("{}/{}", api::STREAMS, made.slot_name)).into_response(),
        )
    };
    answer(create.await)
}

async fn show_stream(slot: String, asked: Result<(), Refusal>, sidecar: Arc<Sidecar>) -> Response {
    let show = async {
        asked?;
        let stream = sidecar.show_stream(&parse("/slotName", &slot)?).await?;
        Ok::<_, Refusal>(warp::reply::json(&stream).into_response())
    };
    answer(show.await)
}

async fn delete_stream(slot: String, asked: Result<(), Refusal>, sidecar: Arc<Sidecar>) -> Response {
    let delete = async {
        asked?;
        sidecar.delete_stream(parse("/slotName", &slot)?).await?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT.into_response())
    };
    answer(delete.await)
}

async fn release_snapshot(query: Result<SnapshotQuery, Refusal>, sidecar: Arc<Sidecar>) -> Response {
    let release = async {
        let slot = query?.slot_name.map(|name| parse("/slotName", &name)).transpose()?;
        sidecar.release_snapshot(slot).await?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT.into_response())
    };
    answer(release.await)
}

async fn snapshot_tables(query: Result<SnapshotTablesQuery, Refusal>, sidecar: Arc<Sidecar>) -> Response {
    let list = async {
        let query = query?;
        let slot = query.slot_name.map(|name| parse("/slotName", &name)).transpose()?;
        let named = query.tables.map_or(Ok(vec![]), |tables| TablePattern::list(&tables));
        let named = named.map_err(|error| Rejected::about("/tables", error))?;
        let list = SnapshotTables { tables: sidecar.snapshot_tables(slot, &named).await? };
        Ok::<_, Refusal>(warp::reply::json(&list).into_response())
    };
    answer(list.await)
}

async fn snapshot_data(sidecar: Arc<Sidecar>, headers: HeaderMap, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    // Clients of the original accept whatever comes.
    let content_type = request::negotiate(&headers, &[api::JSON, api::NDJSON]).unwrap_or(api::JSON);
    answer(read_snapshot(&sidecar, &headers, body, content_type).await.map(|found| rows(found, content_type)))
}

async fn read_snapshot(
    sidecar: &Sidecar,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    content_type: &str,
) -> Result<Rows, Refusal> {
    let request: SnapshotDataRequest = request::body(headers, body).await?;
    let slot = request.slot_name.as_deref().map(|name| parse::<SlotName>("/slotName", name)).transpose()?;
    let table = parse::<TableName>("/table", &request.table)?;
    let framing = if content_type == api::NDJSON { Framing::Lines } else { Framing::Array };
    Ok(sidecar.snapshot_rows(slot, table, request, framing).await?)
}

fn rows(rows: Rows, content_type: &'static str) -> Response {
    let first = futures_util::stream::iter([Ok(rows.first)]);
    let rest = futures_util::stream::unfold(rows.rest, async |mut rest| rest.next().await.map(|piece| (piece, rest)));
    // An error in here breaks the connection off, so that nobody takes what came for the whole.
    let pieces = first.chain(rest).inspect_err(|error| tracing::error!(%error, "snapshot broken off"));
    let mut response = warp::reply::stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn stream(
    sidecar: Arc<Sidecar>,
    query: Result<Vec<(String, String)>, Refusal>,
    headers: HeaderMap,
    handshake: Option<Handshake>,
) -> Response {
    answer(open_stream(sidecar, query, &headers, handshake).await)
}

async fn open_stream(
    sidecar: Arc<Sidecar>,
    query: Result<Vec<(String, String)>, Refusal>,
    headers: &HeaderMap,
    handshake: Option<Handshake>,
) -> Result<Response, Refusal> {
    let subscription = Subscription::read(query?)?;
    if let Some(handshake) = handshake {
        let session = sidecar.open_stream(subscription).await?;
        return Ok(socket::upgrade(handshake, session, sidecar));
    }
    if !request::names(headers, api::EVENT_STREAM) {
        return Err(Refusal::NotStreamed);
    }
    sse::open(subscription, headers, sidecar).await
}

async fn acknowledge(sidecar: Arc<Sidecar>, headers: HeaderMap, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    let acknowledge = async {
        let request: AcknowledgeRequest = request::body(&headers, body).await?;
        sidecar.acknowledge(parse("/slotName", &request.slot_name)?, parse("/lsn", &request.lsn)?).await?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT.into_response())
    };
    answer(acknowledge.await)
}

fn schema(name: String, asked: Result<(), Refusal>, headers: HeaderMap) -> Response {
    let text = asked.and_then(|()| published::PUBLISHED.get(name.as_str()).copied().ok_or(Refusal::NoSuchSchema(name)));
    answer(text.and_then(|text| document(&headers, api::content_types(api::SCHEMA), Freshness::Minutes, text)))
}

async fn table_schema(table: String, sidecar: Arc<Sidecar>, query: Result<TableSchemaQuery, Refusal>, headers: HeaderMap) -> Response {
    answer(read_table_schema(&table, &sidecar, query, &headers).await)
}

async fn read_table_schema(
    table: &str,
    sidecar: &Sidecar,
    query: Result<TableSchemaQuery, Refusal>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let numbers = if query?.numbers.is_some() { Numbers::Strings } else { Numbers::Bare };
    let schema = sidecar.table_schema(parse("/table", table)?).await?;
    document(headers, api::content_types(api::TABLE_SCHEMA), Freshness::Never, schema.render(numbers))
}

/// What matched no route, or was malformed before a handler saw it.
fn nothing(method: Method, path: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let segments = match path {
        "*" => vec![],
        path => request::segments(path).ok_or(Refusal::Malformed)?,
    };
    let methods = api::methods(&segments);
    let methods = match methods {
        None if path == "*" => vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS],
        None => return Err(Refusal::NoRoute(path.to_owned())),
        Some(methods) => methods,
    };
    let allowed = allow(&methods);
    if method != Method::OPTIONS {
        return Err(Refusal::Method(method, allowed));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::ALLOW, allowed);
    origin::preflight(headers, &methods, &mut response);
    Ok(response)
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

fn answer<E: Into<Refusal>>(result: Result<Response, E>) -> Response {
    result.unwrap_or_else(|error| error.into().into_response())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(pointer: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error| Invalid::at(pointer, error))
}
