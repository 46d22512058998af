//! Checks Postgres, serves, and drains with a deadline.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{CLOSE_TIMEOUT, Config, SHUTDOWN_TIMEOUT};
use crate::http;
use crate::name::quoted;
use crate::postgres::preflight::{self, NotReady};
use crate::postgres::service::{Database, RegistryMissing};
use crate::registry::Registry;
use crate::sidecar::Sidecar;

/// What is not logged unless asked for: that a client hangs up is no error of ours, and where it matters we say so ourselves.
pub const QUIET: &str = "warp::server::run=off";

/// The service could not start, or not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres cannot do what we need.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Our own tables could not be made.
    #[error("the tables of schema pgdeltastream cannot be made or updated")]
    Registry(#[source] RegistryMissing),
    /// Something did not end in time.
    #[error("not everything ended within {} s", SHUTDOWN_TIMEOUT.as_secs())]
    Drain,
}

/// Serves until `shutdown`, then ends every session in good order.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
    let Some(sidecar) = shutdown.run_until_cancelled(start(&config)).await else { return Ok(()) };
    let sidecar = sidecar?;
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "listening"),
        Err(error) => tracing::warn!(%error, "listening at an unknown address"),
    }
    // Whoever has been sent something must be able to call, to acknowledge it: what is new is refused, and the doors close last.
    let doors = CancellationToken::new();
    let closing = doors.clone();
    let serving =
        warp::serve(http::routes(sidecar.clone(), config.origins.clone())).incoming(listener).graceful(closing.cancelled_owned()).run();
    let draining = async {
        shutdown.cancelled().await;
        tracing::info!("shutting down");
        sidecar.end_tasks().await;
        doors.cancel();
    };
    let ended = async {
        match select(pin!(serving), pin!(draining)).await {
            Either::Left(((), draining)) => draining.await,
            // What is left are answers that nobody takes.
            Either::Right(((), serving)) => drop(timeout(CLOSE_TIMEOUT, serving).await),
        }
        sidecar.close().await;
    };
    let deadline = async {
        shutdown.cancelled().await;
        sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = ended => Ok(()),
        () = deadline => Err(Error::Drain),
    }
}

async fn start(config: &Config) -> Result<Arc<Sidecar>, Error> {
    let (system, warning) = preflight::check(&config.postgres).await?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    tracing::info!(postgres = ?config.postgres, system = system.identifier, timeline = system.timeline, "connected");
    let database = Database::new(&config.postgres);
    let registry = registry(config, &database).await?;
    let sidecar = Sidecar::new(config, database, registry);
    if let Err(error) = sidecar.clear_leftovers().await {
        tracing::warn!(%error, "what a former instance left unfinished is not removed yet");
    }
    Ok(sidecar)
}

/// Makes or updates our own tables, for a service whose role may not.
pub async fn migrate(config: &Config) -> Result<(), Error> {
    let database = Database::new(&config.postgres);
    let migrated = database.migrate().await;
    database.close().await;
    migrated.map_err(Error::Registry)
}

/// Our own tables; without the right to have some, none, and one warning that says what to run.
async fn registry(config: &Config, database: &Database) -> Result<Registry, Error> {
    match database.migrate().await {
        Ok(()) => Ok(Registry::new(Some(database.clone()))),
        Err(RegistryMissing::Forbidden(error)) => {
            tracing::warn!(
                %error,
                "acknowledged positions will not outlive a restart of Postgres, /v1/init forgets its stream over a restart of this service, and \
                 there are no other streams. Run: GRANT CREATE ON DATABASE {} TO {}; or see pgdeltastream migrate",
                quoted(&config.postgres.database),
                quoted(&config.postgres.user),
            );
            Ok(Registry::new(None))
        }
        Err(error) => Err(Error::Registry(error)),
    }
}
