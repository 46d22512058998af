//! `pgdeltastream demo`: a throwaway Postgres with a table that keeps changing, the service beside it, and the commands to try.

mod guide;
mod orders;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::config::{Config, INIT_QUEUE_TIMEOUT, PostgresConfig, SslMode};
use crate::listen::{ListenError, listen, reachable};
use crate::message::InitResponse;
use crate::server;
use guide::Guide;
use orders::Orders;

/// The longest answer to `/v1/init` that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Why the demo is not shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The service's port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The listener does not know its own address.
    #[error("the address that the service listens on")]
    Address(#[source] io::Error),
    /// There is no Postgres to show.
    #[error("no throwaway Postgres")]
    Cluster(#[from] ClusterError),
    /// A thread of ours fell over.
    #[error("starting or stopping the throwaway Postgres broke off")]
    Thread(#[from] JoinError),
    /// The service ended.
    #[error("the service")]
    Server(#[from] server::Error),
    /// The table cannot be made or changed.
    #[error("the table of the demo")]
    Orders(#[from] orders::OrdersError),
    /// The service did not answer.
    #[error("no answer from the service at {address}")]
    NoAnswer {
        /// Where it was asked.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// The service answered, but with no slot.
    #[error("the service made no slot; it answered:\n{answer}")]
    NoSlot {
        /// The whole answer.
        answer: String,
    },
    /// The commands could not be printed.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// Shows everything until `shutdown`, then leaves nothing behind.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), DemoError> {
    let listener = listen(&config.server_host, config.server_port, config.patience.ping_timeout()).await?;
    let cluster = spawn_blocking(|| Cluster::start(&[])).await??;
    let config = beside(&cluster, config);
    let database = cluster.url(&config.postgres.database);

    // Whatever ends first, the service or what it is shown with, ends the other.
    let stop = shutdown.child_token();
    let address = reachable(listener.local_addr().map_err(DemoError::Address)?);
    let service = async {
        let _end = stop.clone().drop_guard();
        server::run(config.clone(), listener, stop.clone()).await
    };
    let show = async {
        let _end = stop.clone().drop_guard();
        stop.run_until_cancelled(show(&config, &database, address)).await.unwrap_or(Ok(()))
    };
    let (served, shown) = tokio::join!(service, show);
    spawn_blocking(|| drop(cluster)).await?;
    served?;
    shown
}

/// The service's settings, with the cluster as its Postgres.
fn beside(cluster: &Cluster, config: Config) -> Config {
    let postgres = PostgresConfig {
        database: "postgres".to_owned(),
        user: cluster.user().to_owned(),
        password: String::new(),
        host: cluster.host().to_owned(),
        port: cluster.port(),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
    };
    Config { postgres, ..config }
}

/// Makes the table, has a slot made, prints the commands, and changes the table for ever.
async fn show(config: &Config, database: &str, address: SocketAddr) -> Result<(), DemoError> {
    let mut orders = Orders::create(&config.postgres).await?;
    let slot_name = init(address).await?;
    Guide::new(config, address.port(), database, &slot_name).print().map_err(DemoError::Print)?;
    Ok(orders.keep_changing().await?)
}

/// Calls `/v1/init` as a client does, and returns the new slot's name.
async fn init(address: SocketAddr) -> Result<String, DemoError> {
    let answer = timeout(INIT_QUEUE_TIMEOUT, get(address, "/v1/init")).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|source| DemoError::NoAnswer { address, source })?;
    slot_name(&answer).ok_or(DemoError::NoSlot { answer })
}

/// The whole answer to a request, head included. HTTP/1.0 has no chunks, and its answer ends with the connection.
async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    connection.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn slot_name(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str::<InitResponse>(body).ok().map(|response| response.slot_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_slot_or_not() {
        assert_eq!(slot_name("HTTP/1.0 200 OK\r\nx: y\r\n\r\n{\"slotName\":\"delta_face56\"}").as_deref(), Some("delta_face56"));
        assert_eq!(slot_name("HTTP/1.0 503 Service Unavailable\r\n\r\n{\"error\":\"…\"}"), None);
        assert_eq!(slot_name(""), None);
    }
}
