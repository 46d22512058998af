//! Starts what a test needs, talks to it as a user would, and leaves nothing behind.

mod browser;
mod client;
mod contract;
mod event_source;
mod postgres;
mod proxy;
mod service;

use std::time::Duration;

pub use browser::Page;
pub use client::{Client, Closed, named};
pub use contract::parse;
pub use event_source::EventSource;
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use service::{Answer, Service};

/// Longer than anything may take on a busy machine; what takes longer is stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future`, or fails and says for what.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Asks again until the answer is there, or fails and says for what.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// A Postgres, the service on it, and what stands between a test and its story.
pub async fn start() -> (Postgres, Service) {
    let postgres = Postgres::start().await;
    let service = Service::start(&postgres).await;
    (postgres, service)
}
