//! A session on a websocket: what the client sends becomes frames, what the session has ready is written, and every ending has its code.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, SplitSink, select_all};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite;
use warp::reply::{Reply, Response};
use warp::ws::{Message, WebSocket, Ws};

use super::close::TOO_LARGE;
use super::session;
use crate::config::{CLOSE_TIMEOUT, FAREWELL_TIMEOUT, MAX_CLIENT_FRAME_BYTES, PING_INTERVAL};
use crate::message::StreamClose;
use crate::room::{self, Receiver, room};
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Session};

type Sink = SplitSink<WebSocket, Message>;

/// Messages that are written in a row before a ping gets its turn, however many more there are.
const BATCH: usize = 256;

/// Answers the handshake and runs the session.
pub(super) fn upgrade(websocket: Ws, session: Session, sidecar: Arc<Sidecar>) -> Response {
    let websocket = websocket.max_message_size(MAX_CLIENT_FRAME_BYTES).max_frame_size(MAX_CLIENT_FRAME_BYTES);
    let tasks = sidecar.tasks().clone();
    websocket.on_upgrade(move |socket| tasks.track_future(serve(socket, session, sidecar))).into_response()
}

async fn serve(socket: WebSocket, session: Session, sidecar: Arc<Sidecar>) {
    let (sink, frames) = socket.split();
    let patience = sidecar.patience().ping_timeout();
    let writing = Arc::new(Writing { patience, turns: AtomicU64::new(0) });
    let frames = until_silent(frames, writing.clone()).filter_map(async |frame| client_frame(frame));
    // Looked at only when it has something: at each look, tungstenite clears a buffer of 128 KiB to read into.
    let mut client = select_all([Box::pin(frames)]);
    let (out, queue) = room();
    let (closing, close) = oneshot::channel();
    // A task of its own, so that one transaction is written while the next one is read.
    let pump = Pump { queue, ping: interval(PING_INTERVAL.min(patience / 3)), writing };
    let writer = sidecar.tasks().spawn(write(sink, pump, close));
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

/// Ends once for so long nothing came, not even the answer to a ping, and nothing was taken: whoever was there is gone without a word. Pings wait
/// behind what is written, so who is slow to take that is not gone; if they do not take it at all, the system cuts the connection.
fn until_silent<S: Stream + Unpin>(frames: S, writing: Arc<Writing>) -> impl Stream<Item = S::Item> {
    let next = async |(mut frames, writing, mut seen): (S, Arc<Writing>, u64)| loop {
        match timeout(writing.patience, frames.next()).await {
            Ok(frame) => return Some((frame?, (frames, writing, seen))),
            Err(_) if writing.has_moved(&mut seen) => {}
            Err(_) => return None,
        }
    };
    stream::unfold((frames, writing, 0), next).fuse()
}

/// What the writer is doing, for whoever waits for a sign of life.
struct Writing {
    /// For how long.
    patience: Duration,
    /// Rises when the writer begins to write and when it is done: it is odd while it waits for the connection to take something.
    turns: AtomicU64,
}

impl Writing {
    fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    fn has_moved(&self, seen: &mut u64) -> bool {
        let former = std::mem::replace(seen, self.turns.load(Ordering::Relaxed));
        former != *seen || *seen % 2 == 1
    }
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
async fn write(mut sink: Sink, pump: Pump, mut close: oneshot::Receiver<StreamClose>) {
    let (written, close) = {
        let mut pumping = std::pin::pin!(pump.run(&mut sink));
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
struct Pump {
    queue: Receiver,
    ping: Interval,
    writing: Arc<Writing>,
}

impl Pump {
    async fn run(mut self, sink: &mut Sink) -> Result<(), Stuck> {
        self.ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = self.ping.tick() => sink.send(Message::ping("")).await.map_err(|_| Stuck)?,
                message = self.queue.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    self.writing.turn();
                    self.write(sink, message).await.map_err(|_| Stuck)?;
                    self.writing.turn();
                }
            }
        }
    }

    /// Flushes when there is nothing more to write: one system call for many small messages.
    async fn write(&mut self, sink: &mut Sink, first: room::Message) -> Result<(), warp::Error> {
        sink.feed(Message::text(first.text)).await?;
        for _ in 1..BATCH {
            let Some(message) = self.queue.try_recv() else { break };
            sink.feed(Message::text(message.text)).await?;
        }
        sink.flush().await?;
        self.queue.written();
        Ok(())
    }
}
