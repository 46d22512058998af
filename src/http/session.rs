//! What a session is to whoever carries it: it runs, and its ending has a code.

use futures_util::Stream;

use super::close::close_of;
use crate::message::StreamClose;
use crate::room::Sender;
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Ending, Session};

/// Runs a session to its end.
pub(super) async fn run(
    session: Session,
    client: &mut (impl Stream<Item = ClientFrame> + Unpin),
    out: Sender,
    sidecar: &Sidecar,
) -> StreamClose {
    let slot = session.slot().clone();
    tracing::info!(%slot, "stream opened");
    let ending = session.run(client, out).await;
    if matches!(ending, Ending::SlotGone(_)) {
        sidecar.slot_gone(&slot).await;
    }
    let close = close_of(&ending);
    tracing::info!(%slot, code = close.code, reason = close.reason, "stream closed");
    close
}
