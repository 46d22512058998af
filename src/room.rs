//! The queue between Postgres and a client: bounded in messages and in bytes.
//!
//! Room is reserved before anything is read, so that what was read always has a place. One message may pass the limit in bytes, however
//! long it is; the next one waits until the client has taken enough. A message counts on while it is written, and not just until it is taken out:
//! it is in memory until the system has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::config::{MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES};
use crate::lsn::Lsn;

/// What goes to a client in one piece, however that is done.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// JSON, on one line.
    pub text: String,
    /// The position that it can be acknowledged by, where it has one.
    pub position: Option<Lsn>,
    /// Whether it is beside the stream, and no part of it.
    pub is_notice: bool,
}

impl From<String> for Message {
    /// A part of the stream that cannot be acknowledged by itself.
    fn from(text: String) -> Self {
        Self { text, position: None, is_notice: false }
    }
}

/// The end that messages go into.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::Sender<Message>,
    level: Arc<Level>,
}

/// The end that messages come out of.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::Receiver<Message>,
    level: Arc<Level>,
    /// The lengths of the last two messages that were taken out: those are on their way. Of those before, what is not out yet is too little to be
    /// worth a look at each.
    taken: [usize; 2],
}

#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    /// Wakes the sender when the bytes have fallen below the limit.
    fallen: Notify,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Permit<'a> {
    place: mpsc::Permit<'a, Message>,
    level: &'a Level,
}

/// The receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// An empty queue.
pub fn room() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED_MESSAGES);
    let level = Arc::new(Level::default());
    (Sender { queue: sender, level: level.clone() }, Receiver { queue: receiver, level, taken: [0; 2] })
}

impl Sender {
    /// Whether there is no room now.
    pub fn is_full(&self) -> bool {
        self.queue.capacity() == 0 || self.level.bytes.load(Ordering::Acquire) >= MAX_QUEUED_BYTES
    }

    /// Waits until there is room. The future may be dropped at any time.
    pub async fn reserve(&self) -> Result<Permit<'_>, Closed> {
        let place = self.queue.reserve().await.map_err(|_| Closed)?;
        while self.level.bytes.load(Ordering::Acquire) >= MAX_QUEUED_BYTES {
            tokio::select! {
                () = self.level.fallen.notified() => {}
                () = self.queue.closed() => return Err(Closed),
            }
        }
        Ok(Permit { place, level: &self.level })
    }
}

impl Permit<'_> {
    /// Puts a message in its place.
    pub fn send(self, message: impl Into<Message>) {
        let message = message.into();
        self.level.bytes.fetch_add(message.text.len(), Ordering::AcqRel);
        self.place.send(message);
    }
}

impl Receiver {
    /// The next message; none when the sender is gone and all is out. The future may be dropped at any time.
    pub async fn recv(&mut self) -> Option<Message> {
        let message = self.queue.recv().await?;
        Some(self.taken(message))
    }

    /// The next message, if there is one now.
    pub fn try_recv(&mut self) -> Option<Message> {
        let message = self.queue.try_recv().ok()?;
        Some(self.taken(message))
    }

    /// All that was taken out is written.
    pub fn written(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.release(taken.into_iter().sum());
    }

    fn taken(&mut self, message: Message) -> Message {
        let [before, last] = self.taken;
        self.taken = [last, message.text.len()];
        self.release(before);
        message
    }

    fn release(&self, bytes: usize) {
        let before = self.level.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= MAX_QUEUED_BYTES && before - bytes < MAX_QUEUED_BYTES {
            self.level.fallen.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    /// What is ready now; tokio would pretend that nothing is, once a task has had its share of the time.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::task::unconstrained(future).now_or_never()
    }

    #[tokio::test]
    async fn bytes_are_bounded_to_one_message_above_the_limit() {
        let (sender, mut receiver) = room();
        sender.reserve().await.unwrap().send("x".repeat(MAX_QUEUED_BYTES - 1));
        sender.reserve().await.unwrap().send("y".repeat(10));
        assert!(now(sender.reserve()).is_none() && sender.is_full(), "there is no room");
        let waiting = async { sender.reserve().await.map(|permit| permit.send(String::from("z"))) };
        let first = receiver.recv().await;
        assert!(sender.is_full(), "taken, but not written");
        let writing = async { receiver.written() };
        let (sent, ()) = tokio::join!(waiting, writing);
        assert_eq!((sent, first.unwrap().text.len()), (Ok(()), MAX_QUEUED_BYTES - 1));
    }

    #[tokio::test]
    async fn what_was_taken_before_the_last_two_is_written() {
        let (sender, mut receiver) = room();
        for _ in 0..3 {
            now(sender.reserve()).unwrap().unwrap().send("x".repeat(MAX_QUEUED_BYTES / 3 + 1));
        }
        assert!(receiver.try_recv().is_some() && receiver.try_recv().is_some() && sender.is_full());
        assert!(receiver.try_recv().is_some() && !sender.is_full());
    }

    #[tokio::test]
    async fn messages_are_bounded() {
        let (sender, mut receiver) = room();
        for _ in 0..MAX_QUEUED_MESSAGES {
            now(sender.reserve()).unwrap().unwrap().send(String::new());
        }
        assert!(now(sender.reserve()).is_none() && sender.is_full(), "there is no room");
        assert!(receiver.try_recv().is_some() && !sender.is_full());
        assert!(now(sender.reserve()).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_hears_that_the_client_is_gone() {
        let (sender, receiver) = room();
        sender.reserve().await.unwrap().send("x".repeat(MAX_QUEUED_BYTES));
        let waiting = async { sender.reserve().await.map(drop) };
        let leaving = async { drop(receiver) };
        assert_eq!(tokio::join!(waiting, leaving).0, Err(Closed));
    }
}
