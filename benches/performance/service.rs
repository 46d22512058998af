//! The service, as it is shipped, and what it costs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pgdeltastream::cluster::Cluster;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, WebSocketStream};

/// For any backlog.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Killed when dropped.
pub(crate) struct Service {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Service {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        Self::start_under(&[], cluster)
    }

    /// By another program, which is given the service as its last arguments.
    pub(crate) fn start_under(program: &[String], cluster: &Cluster) -> Self {
        let words: Vec<_> = program.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_pgdeltastream")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.args(["--pgHost", cluster.host(), "--pgPort", &cluster.port().to_string(), "--serverPort", "0"]);
        // What is set around it is not what is measured.
        command.env_clear();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.find_map(|line| line.unwrap().split_once("address=").map(|(_, address)| address.to_owned()));
        // What it says from now on is to be read, or it would wait for that.
        std::thread::spawn(move || lines.count());
        Self { child, address: listening.expect("the service listens") }
    }

    pub(crate) async fn connect(&self, slot: &str, format: &str) -> Socket {
        let url = format!("ws://{}/v1/lr/stream?slotName={slot}&format={format}", self.address);
        let client = ClientBuilder::new().uri(&url).unwrap().limits(Limits::unlimited());
        client.connect().await.unwrap().0
    }

    /// From the handshake to the farewell after the last of so many transactions.
    pub(crate) async fn drain(&self, slot: &str, format: &str, transactions: u32) {
        timeout(PATIENCE, self.drain_all(slot, format, transactions)).await.expect("the backlog comes to its end");
    }

    async fn drain_all(&self, slot: &str, format: &str, transactions: u32) {
        let mut socket = self.connect(slot, format).await;
        let mut left = transactions;
        while left > 0 {
            let message = socket.next().await.unwrap().unwrap();
            // With this, and only with this, the last message of a transaction begins.
            if message.as_payload().starts_with(if format == "wal2json-v2" { br#"{"action":"C""# } else { br#"{"nextlsn":""# }) {
                left -= 1;
            }
        }
        leave(socket).await;
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        // The shell has it, where there is no program of that name.
        assert!(Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// For how long it has kept a processor busy.
    pub(crate) fn processor_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// In MiB.
    pub(crate) fn peak_memory(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// In MiB.
    pub(crate) fn memory_now(&self) -> f64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

/// Says good-bye, and waits for the answer.
pub(crate) async fn leave(mut socket: Socket) {
    socket.close().await.unwrap();
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
