//! A session as server-sent events: each message is an event whose id is its position, which a browser sends back when it connects anew.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use warp::reply::{Reply, Response};

use super::close::{FINAL, away};
use super::problem::{Refusal, is_final, is_passing};
use super::{api, session};
use crate::config::{SSE_PING_INTERVAL, SSE_RETRY};
use crate::contract::Invalid;
use crate::contract::subscription::Subscription;
use crate::lsn::{InvalidLsn, Lsn};
use crate::message::{ProblemCode, StreamClose};
use crate::room::{Message, Receiver, room};
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Session};

/// What the client had last, if it was connected before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastEventId {
    /// Everything up to here.
    Position(Lsn),
    /// A close that is final.
    Final,
}

impl LastEventId {
    /// What a client says that comes again; none from one that does not.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Invalid> {
        let text = headers.get(api::LAST_EVENT_ID).map(|id| String::from_utf8_lossy(id.as_bytes())).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| Invalid::at("/Last-Event-ID", error))
    }
}

impl FromStr for LastEventId {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_final = FINAL.iter().any(|code| code.to_string() == text);
        if is_final { Ok(Self::Final) } else { text.parse().map(Self::Position) }
    }
}

/// Opens a stream, or says why not. Whoever comes again by itself, as browsers do, is kept coming as long as that may help: any other answer
/// than a stream ends an `EventSource` for good.
pub(super) async fn open(mut subscription: Subscription, headers: &HeaderMap, sidecar: Arc<Sidecar>) -> Result<Response, Refusal> {
    let last = LastEventId::read(headers)?;
    match last {
        Some(LastEventId::Final) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(LastEventId::Position(position)) => subscription.claim = Some(position),
        None => {}
    }
    let opened = sidecar.open_stream(subscription).await.map_err(Refusal::from);
    match opened {
        Ok(session) => Ok(reply(events(session, sidecar))),
        Err(refusal) if last.is_some() && is_final(refusal.code()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(refusal) if last.is_some() && (is_passing(refusal.code()) || refusal.code() == ProblemCode::TooManyStreams) => {
            tracing::info!(code = refusal.code().name(), error = %refusal, "stream put off");
            Ok(reply(stream::iter([Ok(retry()), Ok(closed(&away(&refusal)))])))
        }
        Err(refusal) => Err(refusal),
    }
}

fn reply(events: impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync + 'static) -> Response {
    let mut response = warp::reply::stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(api::EVENT_STREAM));
    // Proxies of the kind of nginx would hold events back until they have some kilobytes.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Runs the session beside the answer's body, which ends it when it is dropped.
fn events(session: Session, sidecar: Arc<Sidecar>) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync {
    let (out, queue) = room();
    let (closing, close) = oneshot::channel();
    let left = CancellationToken::new();
    let body = Body { queue, close: Some(close), ping: ping(), _left: left.clone().drop_guard() };
    // From the beginning on a client that comes again is known by its id.
    let beginning = Bytes::from(format!("id: {}\n", session.position()));
    let tasks = sidecar.tasks().clone();
    tasks.spawn(async move {
        let mut client = pin!(stream::once(left.cancelled_owned()).map(|()| ClientFrame::Left));
        let _ = closing.send(session::run(session, &mut client, out, &sidecar).await);
    });
    let rest = stream::unfold(body, async |mut body| body.next().await.map(|event| (event, body)));
    stream::iter([beginning, retry()]).chain(rest).map(Ok)
}

fn ping() -> Interval {
    let mut ping = interval_at(Instant::now() + SSE_PING_INTERVAL, SSE_PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping
}

struct Body {
    queue: Receiver,
    /// None once it was told.
    close: Option<oneshot::Receiver<StreamClose>>,
    ping: Interval,
    _left: DropGuard,
}

impl Body {
    /// Asked for once the event before is on its way.
    async fn next(&mut self) -> Option<Bytes> {
        self.queue.written();
        self.close.as_ref()?;
        tokio::select! {
            message = self.queue.recv() => match message {
                Some(message) => Some(event(&message)),
                None => self.close.take()?.await.ok().map(|close| closed(&close)),
            },
            _ = self.ping.tick() => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

fn event(message: &Message) -> Bytes {
    named(if message.is_notice { "notice" } else { "message" }, message.position, &message.text)
}

/// The last event. After a final one the client is to come again with its code, so that it can be told to stay away.
fn closed(close: &StreamClose) -> Bytes {
    let id = FINAL.contains(&close.code).then_some(close.code);
    named("close", id, &serde_json::to_string(close).unwrap_or_default())
}

/// The data is JSON on one line, as it is on a websocket.
fn named(name: &str, id: Option<impl std::fmt::Display>, data: &str) -> Bytes {
    // Room for all the rest, so that a long message is copied once.
    let mut event = String::with_capacity(data.len() + 64);
    let _ = writeln!(event, "event: {name}");
    if let Some(id) = id {
        let _ = writeln!(event, "id: {id}");
    }
    event.push_str("data: ");
    event.push_str(data);
    event.push_str("\n\n");
    event.into()
}

fn retry() -> Bytes {
    Bytes::from(format!("retry: {}\n\n", SSE_RETRY.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_a_websocket_would_and_where() {
        let text = String::from(r#"{"nextlsn":"0/1"}"#);
        let last = Message { position: Some(Lsn::from(1)), ..text.clone().into() };
        assert_eq!(event(&last), "event: message\nid: 0/1\ndata: {\"nextlsn\":\"0/1\"}\n\n");
        let notice = Message { is_notice: true, ..text.into() };
        assert_eq!(event(&notice), "event: notice\ndata: {\"nextlsn\":\"0/1\"}\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_that_the_connection_is_there_and_at_last_why_it_ends() {
        let (out, queue) = room();
        let (closing, close) = oneshot::channel();
        let mut body = Body { queue, close: Some(close), ping: ping(), _left: CancellationToken::new().drop_guard() };
        let began = Instant::now();
        assert_eq!(body.next().await.unwrap(), ":\n\n");
        assert_eq!(began.elapsed(), SSE_PING_INTERVAL);
        out.reserve().await.unwrap().send(String::from("{}"));
        drop(out);
        closing.send(StreamClose { code: 1001, reason: String::new() }).unwrap();
        assert_eq!(body.next().await.unwrap(), "event: message\ndata: {}\n\n");
        assert_eq!(body.next().await.unwrap(), "event: close\ndata: {\"code\":1001,\"reason\":\"\"}\n\n");
        assert_eq!(body.next().await, None);
    }

    #[test]
    fn what_is_final_is_known_again() {
        for code in FINAL {
            let close = StreamClose { code, reason: String::from("gone") };
            assert_eq!(closed(&close), format!("event: close\nid: {code}\ndata: {{\"code\":{code},\"reason\":\"gone\"}}\n\n"));
            assert_eq!(code.to_string().parse(), Ok(LastEventId::Final));
        }
        let passing = closed(&away(&"Postgres is away"));
        assert_eq!(passing, "event: close\ndata: {\"code\":1013,\"reason\":\"Postgres is away\"}\n\n");
        assert_eq!("0/1013".parse(), Ok(LastEventId::Position(Lsn::from(0x1013))));
        for nonsense in ["1013", "04409", "4409 ", "+4409", "0/", "x"] {
            assert!(nonsense.parse::<LastEventId>().is_err(), "{nonsense}");
        }
    }
}
