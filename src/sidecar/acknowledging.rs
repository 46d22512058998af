//! Acknowledgements that come without a connection of their own: through the session that there is, or through one that is made for it.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout_at};

use super::{Error, RETRY_INTERVAL, Sidecar};
use crate::config::{IMPATIENT_TIMEOUT, SETTLE_LIMIT, SETTLE_TIMEOUT};
use crate::contract::subscription::Subscription;
use crate::lsn::Lsn;
use crate::name::SlotName;
use crate::progress::Ahead;
use crate::seat::{Arrival, ShuttingDown};
use crate::stream::{Away, Ending};

impl Sidecar {
    /// Takes the client's word that all up to a position is durable. Returns once it counts, and without a session once Postgres knows.
    pub async fn acknowledge(self: &Arc<Self>, slot: SlotName, position: Lsn) -> Result<(), Error> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        // What was sent counts whether or not Postgres is there to be asked.
        if self.seats.acknowledge(&slot, position, None, deadline).await == Some(true) {
            return Ok(());
        }
        let sidecar = Arc::clone(self);
        self.to_its_end(async move {
            // A process of the server may outlive the session that it was for.
            let patience = Instant::now() + IMPATIENT_TIMEOUT;
            sidecar.usable_slot(&slot).await?;
            let flushed = sidecar.reached(position).await?;
            loop {
                let is_accepted = match sidecar.seats.acknowledge(&slot, position, Some(flushed), deadline).await {
                    Some(is_accepted) => Ok(is_accepted),
                    None => sidecar.settle(&slot, position, deadline).await,
                };
                match is_accepted {
                    Ok(true) => return Ok(()),
                    // Somebody came or went in between.
                    Ok(false) if Instant::now() < deadline => {}
                    Err(Error::Occupied(_)) if Instant::now() < patience => {}
                    Ok(false) => return Err(Error::Unsettled { slot, position }),
                    Err(error) => return Err(error),
                }
                sleep(RETRY_INTERVAL).await;
            }
        })
        .await
    }

    /// How far the server is; it must be at a client's position at least.
    pub(super) async fn reached(&self, position: Lsn) -> Result<Lsn, Error> {
        let flushed = self.database.flushed().await?;
        if position > flushed { Err(Ahead { position, flushed }.into()) } else { Ok(flushed) }
    }

    /// Streams as long as it takes to pass a position. False if a client has come, which has the stream then.
    async fn settle(&self, slot: &SlotName, position: Lsn, deadline: Instant) -> Result<bool, Error> {
        if self.usable_slot(slot).await?.confirmed_flush.is_some_and(|confirmed| confirmed >= position) {
            return Ok(true);
        }
        let session = self.open(Subscription::settling(slot.clone(), position), Arrival::Errand).await?;
        // Postgres may have to decode for longer than anybody waits for, and if broken off would begin at the same place the next time.
        let settling = self.tasks.spawn(session.settle(Instant::now() + SETTLE_LIMIT));
        let unsettled = || Error::Unsettled { slot: slot.clone(), position };
        match timeout_at(deadline, settling).await.map_err(|_| unsettled())?.map_err(|_| Error::BrokenOff)? {
            Ending::Settled => Ok(true),
            Ending::Replaced => Ok(false),
            Ending::ClientLeft | Ending::FrameTooLarge | Ending::TooMuchWal => Err(unsettled()),
            Ending::SlotGone(_) => {
                self.slot_gone(slot).await;
                Err(Error::StreamGone(slot.clone()))
            }
            Ending::Stopping => Err(ShuttingDown.into()),
            Ending::PostgresAway(Away::Wire(error)) => Err(error.into()),
            Ending::PostgresAway(Away::Query(error)) => Err(error.into()),
            Ending::PostgresAway(Away::Standby) => Err(Error::Standby),
            Ending::PostgresAway(Away::Elsewhere(_)) => Err(unsettled()),
            Ending::Fault(fault) => Err(fault.into()),
        }
    }
}
