//! The service, as it is shipped, on a throwaway Postgres.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use pgdeltastream::cluster::Cluster;

/// Killed when dropped.
pub(crate) struct Service {
    pub(crate) child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Service {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
        command.args(["--pgHost", cluster.host(), "--pgPort", &cluster.port().to_string(), "--serverPort", "0"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.find_map(|line| line.unwrap().split_once("address=").map(|(_, address)| address.to_owned()));
        // What it says from now on is to be read, or it would wait for that.
        std::thread::spawn(move || lines.count());
        Self { child, address: listening.expect("the service listens") }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
