//! A consumer of a stream.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{Answer, contract, in_time};

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    format: String,
}

/// How the service closed.
#[derive(Debug)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl Closed {
    pub fn assert_code(&self, code: u16) {
        assert_eq!(self.code, code, "{}", self.reason);
    }
}

impl Client {
    pub async fn connect(url: &str) -> Result<Self, Answer> {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        match in_time("the websocket", connect_async_with_config(url, Some(config), true)).await {
            Ok((socket, _)) => Ok(Self { socket, format: format_of(url) }),
            Err(Error::Http(response)) => {
                let text = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
                Err(Answer::checked(&Method::GET, "/v1/lr/stream", response.status(), response.headers().clone(), text))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message's text.
    pub async fn text(&mut self) -> String {
        match in_time("a message", self.message()).await {
            Ok(text) => text,
            Err(closed) => panic!("{closed:?}"),
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        let text = self.text().await;
        contract::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The changes and the position of the next transaction.
    pub async fn transaction(&mut self) -> (Vec<Value>, String) {
        let message = self.next().await;
        let position = message["nextlsn"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned();
        (message["change"].as_array().unwrap().clone(), position)
    }

    /// The names in the single inserted row of the next transaction; see [`named`].
    pub async fn inserted(&mut self) -> (String, String) {
        let (changes, position) = self.transaction().await;
        assert_eq!(changes.len(), 1, "{changes:?}");
        (named(&changes[0]), position)
    }

    /// The same, or how the service closed.
    pub async fn try_inserted(&mut self) -> Result<String, Closed> {
        let text = in_time("a message or the end", self.message()).await?;
        let message: Value = serde_json::from_str(&text).unwrap();
        Ok(named(&message["change"][0]))
    }

    /// Nothing comes for a while. Silence cannot be awaited; a message that comes later fails the next step instead.
    pub async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.message()).await.is_err()
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn acknowledge(&mut self, position: &str) {
        self.send(&json!({ "lsn": position }).to_string()).await;
    }

    /// Reads on until the service closes.
    pub async fn closed(mut self) -> Closed {
        in_time("the service to close", async {
            loop {
                if let Err(closed) = self.message().await {
                    return closed;
                }
            }
        })
        .await
    }

    /// Leaves in good order.
    pub async fn leave(mut self) {
        self.socket.close(None).await.unwrap();
        in_time("the farewell", async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }

    async fn message(&mut self) -> Result<String, Closed> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    contract::check_frame(&self.format, &text);
                    return Ok(text.to_string());
                }
                Some(Ok(Message::Close(Some(frame)))) => return Err(Closed { code: frame.code.into(), reason: frame.reason.to_string() }),
                Some(Ok(Message::Close(None))) | None => return Err(Closed { code: 1005, reason: String::new() }),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Closed { code: 1006, reason: error.to_string() }),
            }
        }
    }
}

pub(super) fn format_of(url: &str) -> String {
    let url = reqwest::Url::parse(url).unwrap();
    let format = url.query_pairs().find(|(name, _)| name == "format").map(|(_, format)| format.into_owned());
    format.unwrap_or_else(|| String::from("wal2json-v1"))
}

/// The value of the column `name` in a change of format 1.
pub fn named(change: &Value) -> String {
    let columns = change["columnnames"].as_array().unwrap_or_else(|| panic!("{change}"));
    let index = columns.iter().position(|column| column == "name").unwrap();
    change["columnvalues"][index].as_str().unwrap().to_owned()
}
