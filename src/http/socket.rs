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

use super::close::TOO_LARGE;
use super::session;
use crate::config::{CLOSE_TIMEOUT, FAREWELL_TIMEOUT, MAX_CLIENT_FRAME_BYTES, PING_INTERVAL};
use crate::message::StreamClose;
use crate::room::{Receiver, room};
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Session};

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
    let (closing, close) = oneshot::channel();
    // A task of its own, so that one transaction is written while the next one is read.
    let writer = sidecar.tasks().spawn(write(sink, queue, close));
    let close = session::run(session, &mut client, out, &sidecar).await;
    let is_deaf = close.code == TOO_LARGE;
    let _ = closing.send(close);
    let _ = writer.await;
    // The client's own farewell is waited for: to hang up on what is unread would take our last words with it.
    let farewell = async {
        if is_deaf {
            // Nothing can be read any more after that.
            pending::<()>().await;
        } else {
            until_left(&mut client).await;
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
async fn write(mut sink: Sink, queue: Receiver, mut close: oneshot::Receiver<StreamClose>) {
    let (written, close) = {
        let mut pumping = std::pin::pin!(pump(&mut sink, queue));
        tokio::select! {
            written = &mut pumping => (written, close.await.ok()),
            close = &mut close => (timeout(CLOSE_TIMEOUT, pumping).await.unwrap_or(Err(Stuck)), close.ok()),
        }
    };
    if let (Ok(()), Some(close)) = (written, close) {
        let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::close_with(close.code, close.reason))).await;
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
            message = queue.recv() => {
                let Some(message) = message else { return Ok(()) };
                sink.feed(Message::text(message.text)).await.map_err(|_| Stuck)?;
                // Flushed when there is nothing more to write: one system call for many small messages.
                while let Some(message) = queue.try_recv() {
                    sink.feed(Message::text(message.text)).await.map_err(|_| Stuck)?;
                }
                sink.flush().await.map_err(|_| Stuck)?;
                queue.written();
            }
            _ = ping.tick() => sink.send(Message::ping("")).await.map_err(|_| Stuck)?,
        }
    }
}
