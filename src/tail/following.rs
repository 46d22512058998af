//! Follows a stream over its websocket.

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use super::{ANSWER_TIMEOUT, Reader, TailError, pretty, print, query, refusal};
use crate::config::{CLOSE_TIMEOUT, Tail};
use crate::message::Acknowledgement;

/// The longest message that is taken: nothing that Postgres writes in one piece is longer.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

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
    let url = format!("ws://{service}/v1/lr/stream?{}", query(&tail.query()));
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
    match timeout(ANSWER_TIMEOUT, connect_async_with_config(&url, Some(limits), true)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(response.status(), response.body().as_deref().unwrap_or_default())),
        Ok(Err(source)) => Err(TailError::Unreachable { url, source: Some(source.into()) }),
        Err(_) => Err(TailError::Unreachable { url, source: None }),
    }
}

async fn relay(socket: &mut Socket, tail: &Tail, shutdown: &CancellationToken) -> Result<(), TailError> {
    let mut printed = 0;
    while tail.limit.is_none_or(|limit| printed < limit) {
        let Some(frame) = shutdown.run_until_cancelled(socket.next()).await else { break };
        match frame.transpose().map_err(TailError::lost)? {
            Some(Message::Text(text)) => {
                let lines = if tail.pretty { pretty::message(&text) } else { format!("{text}\n") };
                if print(lines.as_bytes())? == Reader::Gone {
                    break;
                }
                if tail.ack
                    && let Some(message) = acknowledgement(&text)
                {
                    socket.send(message).await.map_err(TailError::lost)?;
                }
                printed += 1;
            }
            Some(Message::Close(frame)) => {
                // The answer to it is ready below us, and a service that has gone needs none.
                socket.flush().await.ok();
                return ending(frame);
            }
            // Pings are answered below us, and the service sends nothing else.
            Some(_) => {}
            None => return Err(TailError::Lost { source: None }),
        }
    }
    Ok(())
}

/// The acknowledgement of a message, if it is one that can be acknowledged.
fn acknowledgement(text: &str) -> Option<Message> {
    let message: Acknowledgeable = serde_json::from_str(text).ok()?;
    let lsn = message.nextlsn.filter(|_| message.action.is_none_or(|action| action == "C"))?;
    serde_json::to_string(&Acknowledgement { lsn }).ok().map(Message::text)
}

fn ending(frame: Option<CloseFrame>) -> Result<(), TailError> {
    match frame {
        Some(CloseFrame { code: CloseCode::Normal, .. }) => Ok(()),
        Some(CloseFrame { code, reason }) => Err(TailError::Closed { code: code.into(), reason: reason.as_str().to_owned() }),
        None => Err(TailError::Closed { code: CloseCode::Status.into(), reason: String::new() }),
    }
}

/// Closes the socket and waits until the service has done so too: everything acknowledged before has then arrived. Whatever else happens, we are leaving.
async fn leave(mut socket: Socket) {
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let close = async {
        // Refused, rightly, where the service has closed already.
        socket.close(Some(goodbye)).await?;
        while let Some(frame) = socket.next().await {
            if frame?.is_close() {
                break;
            }
        }
        Ok::<(), tungstenite::Error>(())
    };
    timeout(CLOSE_TIMEOUT, close).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_transaction_is_acknowledged() {
        let message = acknowledgement(r#"{"change":[{"nextlsn":"0/1"}],"nextlsn":"0/170FCB0"}"#).unwrap();
        assert_eq!(message.to_text().unwrap(), r#"{"lsn":"0/170FCB0"}"#);
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
