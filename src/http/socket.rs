//! A session on a websocket: what the client sends becomes frames, what the session has ready is written, and every ending has its code.

use std::future::pending;
use std::sync::Arc;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite;
use warp::reply::{Reply, Response};
use warp::ws::{Message, WebSocket, Ws};

use super::close::{Close, close_of};
use crate::config::{CLOSE_TIMEOUT, FAREWELL_TIMEOUT, MAX_CLIENT_FRAME_BYTES, PING_INTERVAL};
use crate::room::{Receiver, room};
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Ending, Session};

type Sink = SplitSink<WebSocket, Message>;

/// Answers the handshake and runs the session.
pub(super) fn upgrade(websocket: Ws, session: Session, sidecar: Arc<Sidecar>) -> Response {
    let websocket = websocket.max_message_size(MAX_CLIENT_FRAME_BYTES).max_frame_size(MAX_CLIENT_FRAME_BYTES);
    let tasks = sidecar.tasks().clone();
    websocket.on_upgrade(move |socket| tasks.track_future(serve(socket, session, sidecar))).into_response()
}

async fn serve(socket: WebSocket, session: Session, sidecar: Arc<Sidecar>) {
    let (sink, frames) = socket.split();
    let mut client = Box::pin(frames.filter_map(async |frame| client_frame(frame)));
    let (out, queue) = room();
    let (close, closing) = oneshot::channel();
    // A task of its own, so that one transaction is written while the next one is read.
    let writer = sidecar.tasks().spawn(write(sink, queue, closing));
    let slot = session.slot().clone();
    tracing::info!(%slot, "stream opened");
    let ending = session.run(&mut client, out).await;
    if matches!(ending, Ending::SlotGone) {
        sidecar.slot_gone(&slot).await;
    }
    let (code, reason) = close_of(&ending);
    tracing::info!(%slot, code, reason, "stream closed");
    let _ = close.send((code, reason));
    let _ = writer.await;
    // The client's own farewell is waited for: to hang up on what is unread would take our last words with it.
    let farewell = async {
        match ending {
            // Nothing can be read any more after that.
            Ending::FrameTooLarge => pending().await,
            _ => until_left(&mut client).await,
        }
    };
    let _ = timeout(FAREWELL_TIMEOUT, farewell).await;
}

async fn until_left(client: &mut (impl Stream<Item = ClientFrame> + Unpin)) {
    while let Some(ClientFrame::Data(_)) = client.next().await {}
}

fn client_frame(frame: Result<Message, warp::Error>) -> Option<ClientFrame> {
    match frame {
        Ok(frame) if frame.is_close() => Some(ClientFrame::Left),
        Ok(frame) if frame.is_text() || frame.is_binary() => Some(ClientFrame::Data(frame.into_bytes())),
        Ok(_) => None,
        Err(error) if is_too_large(&error) => Some(ClientFrame::TooLarge),
        Err(_) => Some(ClientFrame::Left),
    }
}

fn is_too_large(error: &warp::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<tungstenite::Error>());
    matches!(cause, Some(tungstenite::Error::Capacity(_)))
}

/// Writes until the session is over and all is out, or the client takes nothing more; then closes.
async fn write(mut sink: Sink, queue: Receiver, mut closing: oneshot::Receiver<Close>) {
    let (written, close) = {
        let mut pumping = std::pin::pin!(pump(&mut sink, queue));
        tokio::select! {
            written = &mut pumping => (written, closing.await.ok()),
            close = &mut closing => (timeout(CLOSE_TIMEOUT, pumping).await.unwrap_or(Err(Stuck)), close.ok()),
        }
    };
    if let (Ok(()), Some((code, reason))) = (written, close) {
        let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::close_with(code, reason))).await;
    }
}

/// The client's connection takes nothing more.
struct Stuck;

/// Takes the queue with it when it ends, so that whoever waits for room hears of it.
async fn pump(sink: &mut Sink, mut queue: Receiver) -> Result<(), Stuck> {
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            text = queue.recv() => {
                let Some(text) = text else { return Ok(()) };
                sink.feed(Message::text(text)).await.map_err(|_| Stuck)?;
                // Flushed when there is nothing more to write: one system call for many small messages.
                while let Some(text) = queue.try_recv() {
                    sink.feed(Message::text(text)).await.map_err(|_| Stuck)?;
                }
                sink.flush().await.map_err(|_| Stuck)?;
                queue.written();
            }
            _ = ping.tick() => sink.send(Message::ping("")).await.map_err(|_| Stuck)?,
        }
    }
}
