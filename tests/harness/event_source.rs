//! A consumer of server-sent events, which remembers what a browser would.

use reqwest::{Method, Response};
use serde_json::Value;

use super::client::format_of;
use super::{Answer, Closed, contract, in_time};

pub struct EventSource {
    response: Response,
    unread: Vec<u8>,
    format: String,
    /// What a browser would say when it connects again.
    pub last_id: String,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

impl EventSource {
    pub async fn connect(url: &str, last_id: &str) -> Result<Self, Answer> {
        let mut request = reqwest::Client::new().get(url).header("accept", "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        let response = in_time("the events", request.send()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        if status != 200 {
            let text = in_time("the body", response.text()).await.unwrap();
            return Err(Answer::checked(&Method::GET, "/v1/lr/stream", status, headers, text));
        }
        contract::check_answer(&Method::GET, "/v1/lr/stream", 200, &headers, "");
        assert_eq!((&headers["cache-control"], &headers["x-accel-buffering"]), (&"no-store".parse().unwrap(), &"no".parse().unwrap()));
        Ok(Self { response, unread: vec![], format: format_of(url), last_id: last_id.to_owned() })
    }

    /// The next message.
    pub async fn text(&mut self) -> String {
        let event = in_time("an event", self.event()).await;
        match event {
            Some(event) if event.name == "message" => event.data,
            event => panic!("{event:?}"),
        }
    }

    /// The next message, in format 1: the name in its only row.
    pub async fn inserted(&mut self) -> String {
        let text = self.text().await;
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["change"].as_array().unwrap().len(), 1, "{text}");
        super::named(&message["change"][0])
    }

    /// Reads on until the service closes, which it says before it does.
    pub async fn closed(&mut self) -> Closed {
        in_time("the end of the events", async {
            loop {
                let event = self.event().await.expect("a close before the end");
                if event.name == "close" {
                    assert!(self.event().await.is_none(), "nothing comes after the close");
                    let close: Value = serde_json::from_str(&event.data).unwrap();
                    let code = close["code"].as_u64().unwrap().try_into().unwrap();
                    let is_final = [4409, 4410].contains(&code);
                    assert_eq!(event.id, is_final.then(|| code.to_string()), "only what is final has an id");
                    return Closed { code, reason: close["reason"].as_str().unwrap().to_owned() };
                }
            }
        })
        .await
    }

    /// The next event; none at the end. As in a browser, what has no data is no event, but its id is remembered.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let mut values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let value = values.next().map(str::to_owned);
                assert!(values.next().is_none(), "{name} comes once: {block}");
                value
            };
            assert!(block.lines().all(|line| line == ":" || ["event", "id", "data", "retry"].contains(&line.split(": ").next().unwrap())));
            assert!(!block.contains('\r'), "{block}");
            assert!(field("retry").is_none_or(|retry| retry == "2000"), "{block}");
            let id = field("id");
            if let Some(id) = &id {
                self.last_id.clone_from(id);
            }
            if let Some(data) = field("data") {
                let event = Event { name: field("event").unwrap(), id, data };
                contract::check_event(&self.format, &event.name, &event.data);
                return Some(event);
            }
        }
    }

    /// Where the stream begins: an id without an event.
    pub async fn beginning(&mut self) -> String {
        let block = in_time("the beginning", self.block()).await.unwrap();
        assert!(!block.contains("data"), "{block}");
        block.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
    }

    /// What ends with an empty line.
    async fn block(&mut self) -> Option<String> {
        // What was searched before is not searched again: an event may be long.
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].windows(2).position(|two| two == b"\n\n").map(|at| searched + at) {
                let mut block = self.unread.split_off(end + 2);
                std::mem::swap(&mut block, &mut self.unread);
                block.truncate(end);
                return Some(String::from_utf8(block).unwrap());
            }
            searched = self.unread.len().saturating_sub(1);
            let Some(more) = self.response.chunk().await.unwrap() else {
                assert!(self.unread.is_empty(), "the last event is whole");
                return None;
            };
            self.unread.extend_from_slice(&more);
        }
    }
}
