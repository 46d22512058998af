//! `pg_recvlogical`: the least that a client of a slot can do.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgdeltastream::cluster::Cluster;
use pgdeltastream::contract::subscription::Subscription;
use tokio::process;

/// The very options that the service gives to wal2json, or the least that is format 2.
pub(crate) fn options(format: &str) -> Vec<String> {
    if format == "plain v2" {
        return vec![String::from("format-version=2")];
    }
    let parameters = [("slotName", "any"), ("format", format)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = Subscription::read(parameters.to_vec()).unwrap().options.render();
    options.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// From start to end of the program, which stops at the position and writes to /dev/null.
pub(crate) fn drain(cluster: &Cluster, slots: &[String], format: &str, end: &str) -> Duration {
    let started = Instant::now();
    let mut children: Vec<_> = slots
        .iter()
        .map(|slot| {
            let mut command = Command::new(cluster.program("pg_recvlogical"));
            command.args(arguments(cluster, slot, format)).args(["--file", "/dev/null", "--endpos", end]);
            command.spawn().unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    started.elapsed()
}

/// Follows a slot and writes what comes to a pipe, as it comes. Ends when dropped.
pub(crate) fn follow(cluster: &Cluster, slot: &str, format: &str) -> process::Child {
    let mut command = process::Command::new(cluster.program("pg_recvlogical"));
    command.args(arguments(cluster, slot, format)).args(["--file", "-"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

fn arguments(cluster: &Cluster, slot: &str, format: &str) -> Vec<String> {
    let url = cluster.url("postgres");
    let fixed = ["--dbname", &url, "--slot", slot, "--start", "--no-loop", "--status-interval", "0", "--fsync-interval", "0"];
    let options = options(format).into_iter().flat_map(|option| [String::from("--option"), option]);
    fixed.into_iter().map(String::from).chain(options).collect()
}
