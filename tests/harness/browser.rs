//! A page in a real browser, told what to do over the DevTools protocol.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::in_time;

/// What the browser may be called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u64,
    /// Killed when dropped, and then its profile goes.
    _browser: Child,
    _profile: TempDir,
}

impl Page {
    /// Starts a browser with nothing but this page.
    pub async fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut browser = start(&profile);
        let devtools = in_time("the browser", devtools(&mut browser)).await;
        // The page is a target of its own, with its own address.
        let pages = reqwest::get(format!("http://{devtools}/json/list")).await.unwrap().text().await.unwrap();
        let pages: Value = serde_json::from_str(&pages).unwrap();
        let page = pages.as_array().unwrap().iter().find(|target| target["type"] == "page").unwrap();
        let (socket, _) = connect_async(page["webSocketDebuggerUrl"].as_str().unwrap()).await.unwrap();
        let mut page = Self { socket, calls: 0, _browser: browser, _profile: profile };
        let navigated = page.call("Page.navigate", json!({ "url": url })).await;
        assert!(navigated["errorText"].is_null(), "{navigated}");
        let there = format!("location.href == {} && document.readyState == 'complete'", json!(url));
        super::eventually("the page", async || page.evaluate(&there).await.as_bool().filter(|is_there| *is_there)).await;
        page
    }

    /// What a piece of JavaScript comes to.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let evaluated = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true})).await;
        assert!(evaluated["exceptionDetails"].is_null(), "{expression}: {evaluated}");
        evaluated["result"]["value"].clone()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": parameters});
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        in_time(method, async {
            loop {
                let Message::Text(text) = self.socket.next().await.unwrap().unwrap() else { continue };
                let answer: Value = serde_json::from_str(&text).unwrap();
                if answer["id"] == self.calls {
                    assert!(answer["error"].is_null(), "{call}: {answer}");
                    return answer["result"].clone();
                }
            }
        })
        .await
    }
}

fn start(profile: &TempDir) -> Child {
    let spawned = NAMES.iter().find_map(|name| {
        let mut browser = Command::new(name);
        // Without the sandbox, since root may have none; what it is shown is ours.
        browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        browser.arg("--remote-debugging-port=0").arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().ok()
    });
    spawned.unwrap_or_else(|| panic!("there is no {NAMES:?}: `make tools` installs one"))
}

/// The address that the browser listens at, which it says at its start.
async fn devtools(browser: &mut Child) -> String {
    let mut lines = BufReader::new(browser.stderr.take().unwrap()).lines();
    let mut said = vec![];
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once("DevTools listening on ws://") {
            return address.split('/').next().unwrap().to_owned();
        }
        said.push(line);
    }
    panic!("the browser did not start: {said:#?}");
}
