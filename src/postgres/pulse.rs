//! Asks a server that is in doubt how it is, on a connection of its own: those that there are may hang, or be at work for others.

use tokio::time::timeout;

use super::server_error::Condition;
use super::service::{QueryError, connect};
use crate::config::{PROBE_TIMEOUT, PostgresConfig};

/// How a server is, and its process for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nobody answers, or the server says that it stops, or starts.
    Gone,
    /// The process does something, and does not wait for us.
    AtWork,
    /// The process is not there, or waits.
    Idle,
    /// The server has no time or no room for the question.
    Unknown,
}

/// Looks at a process.
pub async fn pulse(config: &PostgresConfig, pid: i32) -> Pulse {
    let mut connection = match timeout(PROBE_TIMEOUT, connect(config, "pgdeltastream")).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(QueryError::Server(error))) if error.condition() != Condition::Terminated => return Pulse::Unknown,
        Ok(Err(_)) | Err(_) => return Pulse::Gone,
    };
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type IS DISTINCT FROM 'Client'
                        AND wait_event_type IS DISTINCT FROM 'Activity')",
    );
    match timeout(PROBE_TIMEOUT, query.bind(pid).fetch_one(&mut connection)).await {
        Ok(Ok(true)) => Pulse::AtWork,
        Ok(Ok(false)) => Pulse::Idle,
        Ok(Err(_)) | Err(_) => Pulse::Unknown,
    }
}
