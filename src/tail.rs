//! `pgdeltastream tail`: prints a stream's messages, one a line, and acknowledges what is printed if it is asked to. It is also the smallest complete client.

use std::io::{self, Write};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::{Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use crate::config::{CLOSE_TIMEOUT, Config, Tail};
use crate::listen::authority;
use crate::message::Acknowledgement;

/// The longest message that is taken: nothing that Postgres writes in one piece is longer.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024 * 1024;

/// How long the service may take to answer: before it does, it may have to wait until Postgres lets go of the slot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What does not stand for itself in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why the messages ended, if not because they were to.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// Nobody answered at the service's address.
    #[error("no answer from {url}: does the service run there (--serverHost, --serverPort)?")]
    Unreachable {
        /// Where the service was looked for.
        url: String,
        /// What went wrong; none if it took too long.
        source: Option<tungstenite::Error>,
    },
    /// The service refused the stream.
    #[error("the service answers {status}{}{error}", separator(error))]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What the answer says.
        error: String,
    },
    /// The service ended the stream.
    #[error("the service closed the stream with {code}{}{reason}", separator(reason))]
    Closed {
        /// The close frame's code.
        code: u16,
        /// The close frame's reason.
        reason: String,
    },
    /// The connection ended without a word.
    #[error("the connection was lost")]
    Lost {
        /// What went wrong, if that is known.
        source: Option<tungstenite::Error>,
    },
    /// The messages could not be printed.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

impl TailError {
    fn lost(source: tungstenite::Error) -> Self {
        Self::Lost { source: Some(source) }
    }
}

/// The part of a message that can be acknowledged.
#[derive(Deserialize)]
struct Acknowledgeable {
    nextlsn: Option<String>,
    /// In format 2, what a record is. The begin of a transaction has the same position as its commit, and to send it back then would be to say
    /// that all of it is there.
    action: Option<String>,
}

/// Prints messages until the limit, the end of the stream, the end of whoever reads them, or a shutdown.
pub async fn run(config: &Config, tail: &Tail, shutdown: CancellationToken) -> Result<(), TailError> {
    let Some(socket) = shutdown.run_until_cancelled(connect(config, tail)).await else { return Ok(()) };
    let mut socket = socket?;
    let outcome = relay(&mut socket, tail, &shutdown).await;
    leave(socket).await;
    outcome
}

async fn connect(config: &Config, tail: &Tail) -> Result<Socket, TailError> {
    let authority = authority(&config.server_host, config.server_port);
    let parameter = |(name, value): (&str, &str)| format!("{name}={}", utf8_percent_encode(value, RESERVED));
    let query: Vec<String> = tail.query().into_iter().map(parameter).collect();
    let url = format!("ws://{authority}/v1/lr/stream?{}", query.join("&"));
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
    match timeout(ANSWER_TIMEOUT, connect_async_with_config(&url, Some(limits), true)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(&response)),
        Ok(Err(source)) => Err(TailError::Unreachable { url, source: Some(source) }),
        Err(_) => Err(TailError::Unreachable { url, source: None }),
    }
}

/// Reads the `error` of an answer, which every refusal of the service has; something else may listen there, and is shown as it is.
fn refusal(response: &Response<Option<Vec<u8>>>) -> TailError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let body = response.body().as_deref().unwrap_or_default();
    let error = match serde_json::from_slice(body) {
        Ok(Refusal { error }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    TailError::Refused { status: response.status(), error }
}

async fn relay(socket: &mut Socket, tail: &Tail, shutdown: &CancellationToken) -> Result<(), TailError> {
    let mut printed = 0;
    while tail.limit.is_none_or(|limit| printed < limit) {
        let Some(frame) = shutdown.run_until_cancelled(socket.next()).await else { break };
        match frame.transpose().map_err(TailError::lost)? {
            Some(Message::Text(text)) => {
                if !print(&text).map_err(TailError::Print)? {
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

/// Prints one line and sees it off; false if nobody reads any more, as after `| head -3`.
fn print(text: &str) -> io::Result<bool> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
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

/// What stands before a text that may be missing.
fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { ": " }
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
