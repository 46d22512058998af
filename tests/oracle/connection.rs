//! How a client talks to a service that may not be there: nothing that fails is a surprise.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// For as long a client waits for an answer, or for any sign of life.
const PATIENCE: Duration = Duration::from_secs(20);

/// One way to follow a stream.
pub enum Connection {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Events { response: Response, unread: Vec<u8> },
}

/// What came.
#[derive(Debug)]
pub enum Incoming {
    Text(String),
    Closed(u16),
    /// The connection broke, or there was no sign of life.
    Broken,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// With this status.
    Status(u16),
    Unreachable,
}

impl Connection {
    pub async fn socket(url: &str) -> Result<Self, Refused> {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        match timeout(PATIENCE, connect_async_with_config(url, Some(config), true)).await {
            Ok(Ok((socket, _))) => Ok(Self::Socket(Box::new(socket))),
            Ok(Err(Error::Http(response))) => Err(Refused::Status(response.status().as_u16())),
            Ok(Err(_)) | Err(_) => Err(Refused::Unreachable),
        }
    }

    pub async fn events(url: &str, last_id: Option<&str>) -> Result<Self, Refused> {
        let mut request = reqwest::Client::new().get(url).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        match timeout(PATIENCE, request.send()).await {
            Ok(Ok(response)) if response.status() == 200 => Ok(Self::Events { response, unread: vec![] }),
            Ok(Ok(response)) => Err(Refused::Status(response.status().as_u16())),
            Ok(Err(_)) | Err(_) => Err(Refused::Unreachable),
        }
    }

    /// What comes next. The future may be dropped at any time.
    pub async fn next(&mut self) -> Incoming {
        match self {
            Self::Socket(socket) => loop {
                match timeout(PATIENCE * 2, socket.next()).await {
                    Ok(Some(Ok(Message::Text(text)))) => return Incoming::Text(text.as_str().to_owned()),
                    Ok(Some(Ok(Message::Close(frame)))) => {
                        return frame.map_or(Incoming::Broken, |frame| Incoming::Closed(frame.code.into()));
                    }
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(_)) | None) | Err(_) => return Incoming::Broken,
                }
            },
            Self::Events { response, unread } => loop {
                if let Some(event) = split_event(unread) {
                    if let Some(incoming) = event_of(&event) {
                        return incoming;
                    }
                    continue;
                }
                match timeout(PATIENCE * 2, response.chunk()).await {
                    Ok(Ok(Some(bytes))) => unread.extend_from_slice(&bytes),
                    Ok(Ok(None) | Err(_)) | Err(_) => return Incoming::Broken,
                }
            },
        }
    }

    /// Acknowledges, where that goes over the connection.
    pub async fn acknowledge(&mut self, position: &str) -> Result<(), ()> {
        let Self::Socket(socket) = self else { return Ok(()) };
        let text = serde_json::json!({ "lsn": position }).to_string();
        timeout(PATIENCE, socket.send(Message::text(text))).await.map_err(drop)?.map_err(drop)
    }
}

fn split_event(unread: &mut Vec<u8>) -> Option<String> {
    let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
    let event = String::from_utf8(unread[..end].to_vec()).unwrap();
    unread.drain(..end + 2);
    Some(event)
}

fn event_of(event: &str) -> Option<Incoming> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?;
    match field("event")? {
        "message" => Some(Incoming::Text(data.to_owned())),
        "close" => {
            let close: Value = serde_json::from_str(data).unwrap();
            Some(Incoming::Closed(u16::try_from(close["code"].as_u64().unwrap()).unwrap()))
        }
        _ => None,
    }
}

/// Asks something else: status and body, or nothing if that fails half-way.
pub async fn ask(method: Method, url: &str, body: &Value, accept: &str) -> Option<(u16, String)> {
    let mut request = reqwest::Client::new().request(method, url).header("accept", accept);
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    let asking = async {
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    };
    timeout(PATIENCE * 2, asking).await.ok()?
}
