//! Follows a stream over its websocket.

use futures_util::{SinkExt, StreamExt};
use headers::{Connection, HeaderMapExt, SecWebsocketAccept, SecWebsocketKey, SecWebsocketVersion, Upgrade};
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Upgraded};
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_websockets::{ClientBuilder, CloseCode, Limits, Message, WebSocketStream};

use super::{ANSWER_TIMEOUT, Reader, TailError, client, pretty, print, query, refusal};
use crate::config::{CLOSE_TIMEOUT, Tail};
use crate::message::Acknowledgement;

/// The longest message that is taken: nothing that Postgres writes in one piece is longer.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024 * 1024;

type Socket = WebSocketStream<Upgraded>;

/// The part of a message that can be acknowledged.
#[derive(Deserialize)]
struct Acknowledgeable {
    nextlsn: Option<String>,
    /// In format 2, what a record is. The begin of a transaction has the same position as its commit, and to send it back then would be to say
    /// that all of it is there.
    action: Option<String>,
}

/// Prints messages until the limit, the end of the stream, the end of whoever reads them, or a shutdown.
pub(super) async fn follow(service: &str, tail: &Tail, shutdown: &CancellationToken) -> Result<(), TailError> {
    let Some(socket) = shutdown.run_until_cancelled(connect(service, tail)).await else { return Ok(()) };
    let mut socket = socket?;
    let outcome = relay(&mut socket, tail, shutdown).await;
    leave(socket).await;
    outcome
}

async fn connect(service: &str, tail: &Tail) -> Result<Socket, TailError> {
    let url = format!("http://{service}/v1/lr/stream?{}", query(&tail.query()));
    let unreachable = |source| TailError::Unreachable { url: url.clone(), source };
    let answer = timeout(ANSWER_TIMEOUT, shake_hands(&url)).await.map_err(|_| unreachable(None))?;
    answer.map_err(|error| unreachable(Some(error.into())))?
}

/// The connection, or what the service says instead. It is asked for here, since who asks for a websocket alone is not told why there is none.
async fn shake_hands(url: &str) -> Result<Result<Socket, TailError>, reqwest::Error> {
    let key = SecWebsocketKey::from(fastrand::u128(..).to_be_bytes());
    let mut headers = HeaderMap::new();
    headers.typed_insert(Connection::upgrade());
    headers.typed_insert(Upgrade::websocket());
    headers.typed_insert(SecWebsocketVersion::V13);
    headers.typed_insert(key.clone());
    let response = client()?.get(url).headers(headers).send().await?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS || response.headers().typed_get() != Some(SecWebsocketAccept::from(key)) {
        return Ok(Err(refusal(status, &response.bytes().await?)));
    }
    let limits = Limits::default().max_payload_len(Some(MAX_MESSAGE_BYTES));
    Ok(Ok(ClientBuilder::new().limits(limits).take_over(response.upgrade().await?)))
}

async fn relay(socket: &mut Socket, tail: &Tail, shutdown: &CancellationToken) -> Result<(), TailError> {
    let mut printed = 0;
    while tail.limit.is_none_or(|limit| printed < limit) {
        let Some(frame) = shutdown.run_until_cancelled(socket.next()).await else { break };
        let Some(message) = frame.transpose().map_err(TailError::lost)? else { return Err(TailError::Lost { source: None }) };
        if message.is_close() {
            return ending(message.as_close());
        }
        // Pings are answered below us, and the service sends nothing else.
        let Some(text) = message.as_text() else { continue };
        let lines = if tail.pretty { pretty::message(text) } else { format!("{text}\n") };
        if print(lines.as_bytes())? == Reader::Gone {
            break;
        }
        if tail.ack
            && let Some(acknowledgement) = acknowledgement(text)
        {
            socket.send(Message::text(acknowledgement)).await.map_err(TailError::lost)?;
        }
        printed += 1;
    }
    Ok(())
}

/// The acknowledgement of a message, if it is one that can be acknowledged.
fn acknowledgement(text: &str) -> Option<String> {
    let message: Acknowledgeable = serde_json::from_str(text).ok()?;
    let lsn = message.nextlsn.filter(|_| message.action.is_none_or(|action| action == "C"))?;
    serde_json::to_string(&Acknowledgement { lsn }).ok()
}

fn ending(close: Option<(CloseCode, &str)>) -> Result<(), TailError> {
    match close.unwrap_or((CloseCode::NO_STATUS_RECEIVED, "")) {
        (CloseCode::NORMAL_CLOSURE, _) => Ok(()),
        (code, reason) => Err(TailError::Closed { code: code.into(), reason: reason.to_owned() }),
    }
}

/// Closes the socket, or answers that the service has, and waits until that has arrived: everything acknowledged before has then too. Whatever else
/// happens, we are leaving.
async fn leave(mut socket: Socket) {
    let close = async {
        // Refused, rightly, where the service has closed already.
        socket.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await.ok();
        socket.close().await
    };
    timeout(CLOSE_TIMEOUT, close).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_transaction_is_acknowledged() {
        let message = acknowledgement(r#"{"change":[{"nextlsn":"0/1"}],"nextlsn":"0/170FCB0"}"#).unwrap();
        assert_eq!(message, r#"{"lsn":"0/170FCB0"}"#);
        assert!(acknowledgement(r#"{"action":"C","nextlsn":"0/170FCB0"}"#).is_some());
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            r#"{"change":[]}"#,
            r#"{"nextlsn":null}"#,
            r#"{"error":"…","code":"lsn_ahead"}"#,
            r#"{"action":"B","nextlsn":"0/1"}"#,
            "not JSON",
        ] {
            assert!(acknowledgement(text).is_none(), "{text}");
        }
    }
}
