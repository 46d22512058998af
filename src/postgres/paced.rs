//! The socket of a replication connection, which is looked at now and then while there is a backlog.
//!
//! Postgres hands over each of its messages by itself. To be woken for each, fetch it and pass it on costs more than all else that is done with it, and
//! most of all it costs Postgres, which has to wake us. What was committed before the client came is in no such hurry: between two looks so much of it
//! comes that waking and system calls cost next to nothing. What is committed later is not kept waiting, but for transactions that began before.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

/// From one look to the next, at least: the shortest that the runtime's clock has, since Postgres waits once the socket's buffers are full.
const REST: Duration = Duration::from_millis(1);

/// More than this at one look, and there is nothing to be gained.
const ENOUGH_BYTES: usize = 64 * 1024;

/// A socket to Postgres.
pub(super) struct Paced<S: Watched> {
    state: State<S>,
    pace: Arc<Pace>,
    /// How many bytes came at this look.
    came: usize,
    /// Whether those were all that there were.
    is_drained: bool,
}

/// What a socket is told, and tells, while others have it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    has_backlog: AtomicBool,
    heard: AtomicU64,
}

enum State<S: Watched> {
    Watched(S),
    Resting(S::Unwatched, Pin<Box<Sleep>>),
    /// The runtime would not let it go, or watch it again.
    Lost,
}

/// A socket that the runtime watches, and is woken for.
pub(super) trait Watched: Sized {
    /// The same when it does not.
    type Unwatched;

    fn unwatch(self) -> io::Result<Self::Unwatched>;
    fn watch(socket: Self::Unwatched) -> io::Result<Self>;
}

impl Watched for TcpStream {
    type Unwatched = std::net::TcpStream;

    fn unwatch(self) -> io::Result<Self::Unwatched> {
        self.into_std()
    }

    fn watch(socket: Self::Unwatched) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl Watched for UnixStream {
    type Unwatched = std::os::unix::net::UnixStream;

    fn unwatch(self) -> io::Result<Self::Unwatched> {
        self.into_std()
    }

    fn watch(socket: Self::Unwatched) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl Pace {
    /// Whether what comes is in no hurry.
    pub(super) fn set_backlog(&self, has_backlog: bool) {
        self.has_backlog.store(has_backlog, Ordering::Relaxed);
    }

    /// How many bytes have come: while there are more and more, the server is there.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

impl<S: Watched> Paced<S> {
    pub(super) fn new(socket: S, pace: Arc<Pace>) -> Self {
        Self { state: State::Watched(socket), pace, came: 0, is_drained: false }
    }

    fn rest(&mut self) -> io::Result<()> {
        self.state = match mem::replace(&mut self.state, State::Lost) {
            State::Watched(socket) => State::Resting(socket.unwatch()?, Box::pin(sleep(REST))),
            state => state,
        };
        Ok(())
    }

    /// The socket, whether or not the rest is over.
    fn socket(&mut self) -> io::Result<&mut S> {
        if let State::Resting(..) = self.state {
            self.came = 0;
            self.state = match mem::replace(&mut self.state, State::Lost) {
                State::Resting(socket, _) => State::Watched(S::watch(socket)?),
                state => state,
            };
        }
        match &mut self.state {
            State::Watched(socket) => Ok(socket),
            State::Resting(..) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Watched + AsyncRead + Unpin> AsyncRead for Paced<S>
where
    S::Unwatched: Unpin,
{
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_drained && this.came < ENOUGH_BYTES && this.pace.has_backlog.load(Ordering::Relaxed) {
            this.rest()?;
        }
        if let State::Resting(_, rest) = &mut this.state {
            ready!(rest.as_mut().poll(context));
        }
        let before = buffer.filled().len();
        let read = Pin::new(this.socket()?).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        this.came = if read.is_pending() { 0 } else { this.came + bytes };
        // Who asks for little, as TLS does, may have left some.
        this.is_drained = bytes > 0 && buffer.remaining() > 0;
        this.pace.heard.fetch_add(bytes as u64, Ordering::Relaxed);
        read
    }
}

impl<S: Watched + AsyncWrite + Unpin> AsyncWrite for Paced<S>
where
    S::Unwatched: Unpin,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().socket()?).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Watched(socket) => Pin::new(socket).poll_flush(context),
            // What was written is not here any more.
            State::Resting(..) | State::Lost => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().socket()?).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    /// A socket, what it is told, and the server's end.
    async fn pair() -> (Paced<TcpStream>, Arc<Pace>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let pace = Arc::<Pace>::default();
        (Paced::new(ours, pace.clone()), pace, listener.accept().await.unwrap().0)
    }

    /// Reads what comes at one look, and says how long it rested before.
    async fn look(socket: &mut Paced<TcpStream>, bytes: usize) -> Duration {
        let start = Instant::now();
        // There would be room for more than what comes.
        let mut buffer = bytes::BytesMut::with_capacity(bytes + 1);
        while buffer.len() < bytes {
            socket.read_buf(&mut buffer).await.unwrap();
        }
        start.elapsed()
    }

    /// The same in a backlog, after one look.
    async fn about_to_rest() -> (Paced<TcpStream>, Arc<Pace>, TcpStream) {
        let (mut socket, pace, mut server) = pair().await;
        pace.set_backlog(true);
        server.write_all(b"a").await.unwrap();
        look(&mut socket, 1).await;
        (socket, pace, server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_is_looked_at_now_and_then() {
        let (mut socket, pace, mut server) = pair().await;
        pace.set_backlog(true);
        for rest in [Duration::ZERO, REST, REST] {
            server.write_all(b"abc").await.unwrap();
            assert!(look(&mut socket, 3).await >= rest);
        }
        assert_eq!(pace.heard(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_read_without_a_rest_however_little_is_asked_for_at_once() {
        let (mut socket, pace, mut server) = pair().await;
        pace.set_backlog(true);
        server.write_all(&[0; 2 * ENOUGH_BYTES]).await.unwrap();
        let start = Instant::now();
        for _ in 0..8 {
            socket.read_exact(&mut [0; 2 * ENOUGH_BYTES / 8]).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_is_not_kept_waiting() {
        let (mut socket, pace, mut server) = about_to_rest().await;
        pace.set_backlog(false);
        server.write_all(b"b").await.unwrap();
        assert_eq!(look(&mut socket, 1).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmation_is_not_kept_waiting_either() {
        let (mut socket, _, mut server) = about_to_rest().await;
        server.write_all(b"b").await.unwrap();
        let mut rest = std::pin::pin!(socket.read_u8());
        assert!(futures_util::poll!(rest.as_mut()).is_pending());
        let start = Instant::now();
        socket.write_all(b"c").await.unwrap();
        assert_eq!((server.read_u8().await.unwrap(), start.elapsed()), (b'c', Duration::ZERO));
        assert_eq!(socket.read_u8().await.unwrap(), b'b');
    }
}
