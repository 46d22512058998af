//! Whether the server is still there, where the wire does not tell: asked beside everything else, so that whoever waits for feedback gets it.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;

use super::Session;
use crate::config::IMPATIENT_TIMEOUT;
use crate::postgres::pulse::{Pulse, pulse};
use crate::postgres::wire::WireError;

/// Why there is doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// While nothing is read, a server that stops cannot say so.
    Unread,
    /// Nothing has come for so long, though the server was asked to answer.
    Silence(Duration),
}

/// A question that is being asked.
pub(super) struct Probe {
    doubt: Doubt,
    asking: Pin<Box<dyn Future<Output = Pulse> + Send>>,
}

/// The next answer; none while nothing is asked. The future may be dropped at any time.
pub(super) async fn verdict(probe: &mut Option<Probe>) -> (Doubt, Pulse) {
    match probe {
        Some(probe) => (probe.doubt, probe.asking.as_mut().await),
        None => pending().await,
    }
}

impl Session {
    /// Asks, unless that is being done.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        if self.probe.is_some() {
            return;
        }
        let (route, pid) = (self.route.clone(), self.source.pid());
        let asking = async move {
            let answering = timeout(IMPATIENT_TIMEOUT, route.database.flushed());
            if doubt == Doubt::Unread && matches!(answering.await, Ok(Ok(_))) {
                return Pulse::Unknown;
            }
            pulse(&route.config, pid).await
        };
        self.probe = Some(Probe { doubt, asking: Box::pin(asking) });
    }

    /// A server may write on a long text and have no time to answer. One that is not at work is gone, or cut off.
    pub(super) fn judge(&mut self, (doubt, pulse): (Doubt, Pulse)) {
        self.probe = None;
        match (doubt, pulse) {
            (Doubt::Unread, Pulse::Gone) => self.source.break_off(WireError::Ended.into()),
            (Doubt::Silence(lasted), Pulse::Gone | Pulse::Idle) => self.source.break_off(WireError::Silent(lasted).into()),
            (Doubt::Silence(lasted), Pulse::AtWork) => {
                let reason = format!("Postgres has been at work for {} s and has not sent anything", lasted.as_secs());
                self.occupant.has_stalled(Some(reason));
            }
            (_, Pulse::Unknown) | (Doubt::Unread, Pulse::AtWork | Pulse::Idle) => {}
        }
    }
}
