//! A session on a websocket: what the client sends becomes frames, what the session has ready is written, and every ending has its code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_websockets::{CloseCode, Config, Error, Limits, Message, ServerBuilder, WebSocketStream};
use warp::reply::Response;

use super::handshake::Handshake;
use super::session;
use crate::config::{CLOSE_TIMEOUT, FAREWELL_TIMEOUT, MAX_CLIENT_FRAME_BYTES, PING_INTERVAL};
use crate::message::StreamClose;
use crate::room::{self, Receiver, room};
use crate::sidecar::Sidecar;
use crate::stream::{ClientFrame, Session};

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;

/// Messages that are written in a row before a ping gets its turn, however many more there are.
const BATCH: usize = 256;

/// Bytes that wait for others to be written with them.
const FLUSH_THRESHOLD: usize = 64 * 1024;

/// Answers the handshake and runs the session.
pub(super) fn upgrade(handshake: Handshake, session: Session, sidecar: Arc<Sidecar>) -> Response {
    let (response, connection) = handshake.accept();
    sidecar.tasks().clone().spawn(async move {
        // It may not take even that. The session, if it is let go of, leaves the slot to others.
        match timeout(CLOSE_TIMEOUT, connection).await {
            Ok(Ok(connection)) => serve(socket(connection), session, sidecar).await,
            Ok(Err(_)) | Err(_) => tracing::debug!("the client left before its handshake was answered"),
        }
    });
    response
}

fn socket(connection: Upgraded) -> Socket {
    // A message is one frame, however long: it has its length, and there is nothing to interleave it with.
    let config = Config::default().frame_size(usize::MAX).flush_threshold(FLUSH_THRESHOLD);
    let limits = Limits::default().max_payload_len(Some(MAX_CLIENT_FRAME_BYTES));
    ServerBuilder::new().config(config).limits(limits).serve(TokioIo::new(connection))
}

async fn serve(socket: Socket, session: Session, sidecar: Arc<Sidecar>) {
    let (sink, mut frames) = socket.split();
    let patience = sidecar.patience().ping_timeout();
    let writing = Arc::new(Writing { patience, turns: AtomicU64::new(0) });
    let (out, queue) = room();
    let (closing, close) = oneshot::channel();
    // A task of its own, so that one transaction is written while the next one is read.
    let pump = Pump { queue, ping: interval(PING_INTERVAL.min(patience / 3)), writing: writing.clone() };
    let writer = sidecar.tasks().spawn(write(sink, pump, close));
    let close = {
        let mut client = Box::pin(client_frames(&mut frames, writing));
        session::run(session, &mut client, out, &sidecar).await
    };
    let _ = closing.send(close);
    if let Ok(sink) = writer.await {
        let _ = timeout(FAREWELL_TIMEOUT, take_leave(sink, frames)).await;
    }
}

/// Waits for the client's own farewell: to hang up on what is unread would take our last words with it.
async fn take_leave(sink: Sink, mut frames: SplitStream<Socket>) {
    while let Some(Ok(_)) = frames.next().await {}
    // Behind a frame that was refused, nothing more is understood, but a client that still sends it hears nothing before it is through.
    if let Ok(socket) = sink.reunite(frames) {
        let mut connection = socket.into_inner();
        let _ = connection.shutdown().await;
        let _ = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await;
    }
}

/// What the client sends, up to the last that it has to say. Its farewell is answered by whoever looks at the connection next: to look at it again
/// here would be before all that it acknowledged is passed on.
///
/// It ends too once for so long nothing came, not even the answer to a ping, and nothing was taken: whoever was there is gone without a word. Pings
/// wait behind what is written, so who is slow to take that is not gone; if they do not take it at all, the system cuts the connection.
fn client_frames(frames: &mut SplitStream<Socket>, writing: Arc<Writing>) -> impl Stream<Item = ClientFrame> {
    stream::unfold(Some((frames, writing, 0)), async |listening| {
        let (frames, writing, mut seen) = listening?;
        loop {
            match timeout(writing.patience, frames.next()).await {
                Ok(frame) => match client_frame(frame?) {
                    Some(data @ ClientFrame::Data(_)) => return Some((data, Some((frames, writing, seen)))),
                    Some(last) => return Some((last, None)),
                    None => {}
                },
                Err(_) if writing.has_moved(&mut seen) => {}
                Err(_) => return None,
            }
        }
    })
    .fuse()
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

fn client_frame(frame: Result<Message, Error>) -> Option<ClientFrame> {
    match frame {
        Ok(frame) if frame.is_close() => Some(ClientFrame::Left),
        Ok(frame) if frame.is_text() || frame.is_binary() => Some(ClientFrame::Data(frame.into_payload().into())),
        Ok(_) => None,
        Err(Error::PayloadTooLong { .. }) => Some(ClientFrame::TooLarge),
        // What is no websocket is answered with 1002 or 1007 when the connection is looked at next.
        Err(_) => Some(ClientFrame::Left),
    }
}

/// Writes until the session is over and all is out, or the client takes nothing more; then closes.
async fn write(mut sink: Sink, pump: Pump, mut close: oneshot::Receiver<StreamClose>) -> Sink {
    let (written, close) = {
        let mut pumping = std::pin::pin!(pump.run(&mut sink));
        tokio::select! {
            written = &mut pumping => (written, close.await.ok()),
            close = &mut close => (timeout(CLOSE_TIMEOUT, pumping).await.unwrap_or(Err(Stuck)), close.ok()),
        }
    };
    if let (Ok(()), Some(close)) = (written, close) {
        // Refused where the client has closed already, or the frame that it sent was answered with a close.
        let close = Message::close(CloseCode::try_from(close.code).ok(), &close.reason);
        let _ = timeout(CLOSE_TIMEOUT, sink.send(close)).await;
    }
    sink
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
    async fn write(&mut self, sink: &mut Sink, first: room::Message) -> Result<(), Error> {
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
