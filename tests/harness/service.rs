//! The binary, as a user starts it.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Client, EventSource, Postgres, contract, in_time};

/// A running service. Killed when dropped; [`Service::stop`] is the polite way.
pub struct Service {
    child: Child,
    address: String,
    log: Log,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// An answer that is as the service publishes it.
    pub(super) fn checked(method: &Method, path: &str, status: StatusCode, headers: HeaderMap, text: String) -> Self {
        contract::check_answer(method, path, status.as_u16(), &headers, &text);
        Self { status: status.as_u16(), headers, text }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A refusal's status and code; every refusal has a text.
    pub fn refusal(&self) -> (u16, String) {
        let problem = self.json();
        assert!(problem["error"].as_str().is_some_and(|error| !error.is_empty()), "{problem}");
        assert_eq!(problem["status"], json!(self.status));
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

impl Service {
    /// Starts the service on a database and waits until it listens.
    pub async fn start(postgres: &Postgres) -> Self {
        Self::start_with(postgres, &[]).await
    }

    /// The same with more arguments, which win.
    pub async fn start_with(postgres: &Postgres, arguments: &[&str]) -> Self {
        Self::run(command(&postgres.options, arguments)).await
    }

    /// The same with more variables, which win.
    pub async fn start_in(postgres: &Postgres, variables: &[(&str, &str)]) -> Self {
        let mut command = command(&postgres.options, &[]);
        command.envs(variables.iter().copied());
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let listening = in_time("the service to listen", log.line("listening address=")).await;
        let listening = listening.unwrap_or_else(|| panic!("the service did not start: {}", log.text()));
        let address = listening.rsplit_once("address=").unwrap().1.trim().to_owned();
        Self { child, address, log }
    }

    /// Runs the service where it cannot start: its exit code and what it said.
    pub async fn fail_to_start(options: &PgConnectOptions, arguments: &[&str]) -> (i32, String) {
        let output = in_time("the service to give up", command(options, arguments).output()).await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs a command that comes to its end by itself, and well.
    pub async fn run_to_its_end(options: &PgConnectOptions, arguments: &[&str]) {
        let output = in_time("the command to end", command(options, arguments).output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(reqwest::Client::new().get(self.url(path))).await
    }

    /// As `curl -d` does: with the content type of a form.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = reqwest::Client::new().post(self.url(path)).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body)).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = in_time("an answer", client.execute(request)).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = in_time("the body", response.text()).await.unwrap();
        Answer::checked(&method, &path, status, headers, text)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `pgdeltastream tail` of one of its streams.
    pub fn tail(&self, slot: &str, arguments: &[&str]) -> Command {
        let (host, port) = self.address.rsplit_once(':').unwrap();
        let mut tail = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
        tail.env_clear().args(["tail", slot, "--serverHost", host, "--serverPort", port]).args(arguments);
        tail.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        tail
    }

    /// `/v1/init`: the slot's name.
    pub async fn init(&self) -> String {
        let answer = self.get("/v1/init").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["slotName"].as_str().unwrap().to_owned()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(reqwest::Client::new().delete(self.url(path))).await
    }

    /// Makes one more stream: how it looks then.
    pub async fn create(&self, stream: Value) -> Value {
        let answer = self.post("/v1/streams", stream.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let made = answer.json();
        assert_eq!(answer.headers["location"], format!("/v1/streams/{}", made["slotName"].as_str().unwrap()));
        made
    }

    /// How a stream looks.
    pub async fn show(&self, slot: &str) -> Value {
        let answer = self.get(&format!("/v1/streams/{slot}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Rows of the snapshot.
    pub async fn rows(&self, body: Value) -> Vec<Value> {
        let answer = self.data(body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }

    /// The same, one a line.
    pub async fn lines(&self, body: Value) -> Answer {
        let request = reqwest::Client::new().post(self.url("/v1/snapshot/data")).header("accept", "application/x-ndjson");
        self.send(request.body(body.to_string())).await
    }

    pub async fn data(&self, body: Value) -> Answer {
        self.post("/v1/snapshot/data", body.to_string()).await
    }

    /// Follows a stream.
    pub async fn stream(&self, slot: &str) -> Client {
        self.try_stream(&format!("slotName={slot}")).await.unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// Follows a stream, or gets an answer that is none.
    pub async fn try_stream(&self, query: &str) -> Result<Client, Answer> {
        Client::connect(&format!("ws://{}/v1/lr/stream?{query}", self.address)).await
    }

    /// Follows a stream with more parameters, whatever is in them, or gets an answer that is none.
    pub async fn stream_with(&self, slot: &str, parameters: &[(&str, &str)]) -> Result<Client, Answer> {
        let url = format!("ws://{}/v1/lr/stream?slotName={slot}", self.address);
        Client::connect(reqwest::Url::parse_with_params(&url, parameters).unwrap().as_str()).await
    }

    /// Follows a stream as server-sent events, or gets an answer that is none.
    pub async fn events(&self, query: &str, last_id: &str) -> Result<EventSource, Answer> {
        EventSource::connect(&self.url(&format!("/v1/lr/stream?{query}")), last_id).await
    }

    /// Acknowledges without a connection.
    pub async fn acknowledge(&self, slot: &str, position: &str) -> Answer {
        self.post("/v1/lr/ack", json!({"slotName": slot, "lsn": position}).to_string()).await
    }

    /// Waits for a line of the log.
    pub async fn logged(&self, part: &str) -> String {
        in_time(part, self.log.line(part)).await.unwrap_or_else(|| panic!("the service ended without saying {part}: {}", self.log.text()))
    }

    /// The most memory that the service ever had, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// SIGKILL: no time for anything.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM: to the end, in good order.
    pub async fn stop(self) {
        self.terminate().await;
        self.ended().await;
    }

    /// Waits for the good end of a service that was told to stop.
    pub async fn ended(mut self) {
        let status = in_time("the service to end", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}: {}", self.log.text());
    }

    /// Waits for the end of a service that was told more than once: its exit code.
    pub async fn interrupted(mut self) -> i32 {
        in_time("the service to end", self.child.wait()).await.unwrap().code().unwrap()
    }

    /// SIGTERM, without waiting.
    pub async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
    }
}

impl Drop for Service {
    /// A task that panics ends nothing but itself: nobody else would notice.
    fn drop(&mut self) {
        let has_panicked = self.log.text().contains("panicked at");
        assert!(!has_panicked || std::thread::panicking(), "{}", self.log.text());
    }
}

fn command(options: &PgConnectOptions, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
    let port = options.get_port().to_string();
    let settings = [
        ("DBNAME", options.get_database().unwrap_or_default()),
        ("PGUSER", options.get_username()),
        ("PGHOST", options.get_host()),
        ("PGPORT", &port),
        ("SERVERPORT", "0"),
    ];
    command.env_clear().envs(settings).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What the service says, line by line.
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many lines there are; closed at the end of the log.
    count: watch::Receiver<usize>,
}

impl Log {
    fn follow(output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(vec![]));
        let (counter, count) = watch::channel(0);
        let followed = lines.clone();
        #[expect(clippy::disallowed_methods, reason = "the settings of the tests are not those of the service")]
        let is_shown = std::env::var_os("SERVICE_LOG").is_some();
        #[expect(clippy::disallowed_methods, reason = "it ends with the service")]
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                if is_shown {
                    println!("{line}");
                }
                followed.lock().unwrap().push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        Self { lines, count }
    }

    /// Waits for the first line with `part` in it; none if the log ends without one.
    async fn line(&self, part: &str) -> Option<String> {
        let mut count = self.count.clone();
        loop {
            let found = self.lines.lock().unwrap().iter().find(|line| line.contains(part)).cloned();
            if found.is_some() || count.changed().await.is_err() {
                return found;
            }
        }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}
