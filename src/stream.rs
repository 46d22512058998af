//! One session: a slot's changes to one client, and the client's acknowledgements back.
//!
//! frame → text → room → out; acknowledgement → progress → confirmation. One task, one `select!`; nothing is read from Postgres before
//! there is room for it, and nothing is confirmed that [`Progress`] does not say may be.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::task::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::config::{CLOSE_TIMEOUT, IMPATIENT_TIMEOUT, MAX_MESSAGE_BYTES, QUIET_AFTER_ACK};
use crate::contract::{self, Invalid};
use crate::lsn::Lsn;
use crate::message::{Acknowledgement, StreamError};
use crate::name::SlotName;
use crate::postgres::replication::{Frame, Replication};
use crate::postgres::server_error::{Condition, ServerError};
use crate::postgres::service::{Database, QueryError};
use crate::postgres::slots::Slot;
use crate::postgres::wire::WireError;
use crate::progress::{Acknowledged, Ahead, Backwards, Progress, Verdict};
use crate::registry::{Ownership, Registry, Standing};
use crate::room::{Permit, Sender};
use crate::seat::{Occupant, Reason};
use crate::wal2json::{Malformed, Messages, Text};

/// Frames of a client that are dealt with in one go, before Postgres hears of the last acknowledgement among them.
const MAX_FRAMES_AT_ONCE: usize = 256;

/// Requests for an answer between two feedbacks that we send unasked: so many are only made by a server that shuts down. It waits until
/// all that it sent is confirmed, which a client may never do.
const MAX_REPLY_REQUESTS: usize = 3;

/// How long a slot may outlive the process that streamed it when somebody drops it.
const DROP_PATIENCE: Duration = Duration::from_millis(500);

/// How often to look whether it has gone.
const DROP_INTERVAL: Duration = Duration::from_millis(50);

/// Different warnings of the server that one session passes on to the log.
const MAX_NOTICES: usize = 64;

/// Errors of the server that pass: it stops, or it has no room for us now. That a slot has lost its WAL is found out afterwards.
const AWAY: [Condition; 4] = [Condition::Terminated, Condition::LimitReached, Condition::Passing, Condition::NotInState];

/// How a session ended.
#[derive(Debug)]
pub enum Ending {
    /// The client closed, or its connection broke.
    ClientLeft,
    /// The client sent a frame over the limit.
    FrameTooLarge,
    /// The service shuts down.
    Stopping,
    /// A newer connection has the stream now.
    Replaced,
    /// The slot was dropped, or its stream was replaced by another `/v1/init`.
    SlotGone,
    /// Postgres went away.
    PostgresAway(WireError),
    /// What came from Postgres made no sense.
    Fault(Fault),
}

/// What came from Postgres made no sense, or it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Postgres or wal2json cannot go on.
    #[error("Postgres cannot go on with this slot: {0}")]
    Server(#[source] ServerError),
    /// Positions went backwards.
    #[error(transparent)]
    Backwards(#[from] Backwards),
    /// It is not what wal2json writes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What comes from the client.
#[derive(Debug)]
pub enum ClientFrame {
    /// Text or bytes: an acknowledgement, it is to be hoped.
    Data(Bytes),
    /// The client closed, or its connection broke.
    Left,
    /// A frame over the limit.
    TooLarge,
}

impl From<WireError> for Ending {
    /// A server that cannot write a transaction will not be able to the next time either.
    fn from(error: WireError) -> Self {
        match error {
            WireError::Server(error) if !AWAY.contains(&error.condition()) => Self::Fault(Fault::Server(error)),
            error => Self::PostgresAway(error),
        }
    }
}

impl<E: Into<Fault>> From<E> for Ending {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<Reason> for Ending {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Replaced => Self::Replaced,
            Reason::SlotGone => Self::SlotGone,
            Reason::Stopping => Self::Stopping,
        }
    }
}

/// A session that Postgres has agreed to; nothing has been read yet.
pub struct Session {
    slot: SlotName,
    database: Database,
    registry: Arc<Registry>,
    ownership: Ownership,
    occupant: Occupant,
    /// Where the changes come from.
    source: Replication,
    progress: Progress,
    /// The acknowledged position that the registry has heard of.
    kept: Lsn,
    acknowledged_at: Option<Instant>,
    /// Whether transactions without changes go to the client.
    empty_transactions: bool,
    /// Messages of the last transaction that wait for room.
    ready: std::vec::IntoIter<String>,
    /// An answer to a faulty frame that waits for room. Until it has some, no further frame is read.
    reply: Option<StreamError>,
    notices: HashSet<String>,
    reply_requests: usize,
}

/// What a session is made of.
pub struct Parts {
    /// The stream.
    pub slot: SlotName,
    /// For the server's flush position.
    pub database: Database,
    /// For acknowledged positions.
    pub registry: Arc<Registry>,
    /// The right to write them.
    pub ownership: Ownership,
    /// Tells when to end, and the next one that we have.
    pub occupant: Occupant,
    /// Streams the slot from `position`.
    pub source: Replication,
    /// Where the client's acknowledgements ended.
    pub position: Lsn,
    /// What the registry has of that.
    pub kept: Lsn,
    /// Whether transactions without changes go to the client.
    pub empty_transactions: bool,
}

/// What there is to do once there is room.
enum Step<'a> {
    Send(Permit<'a>, String),
    Read(Permit<'a>, Frame),
}

impl Session {
    /// A session that is ready to run.
    pub fn new(parts: Parts) -> Self {
        Self {
            slot: parts.slot,
            database: parts.database,
            registry: parts.registry,
            ownership: parts.ownership,
            occupant: parts.occupant,
            source: parts.source,
            progress: Progress::starting_at(parts.position),
            kept: parts.kept,
            acknowledged_at: None,
            empty_transactions: parts.empty_transactions,
            ready: Vec::new().into_iter(),
            reply: None,
            notices: HashSet::new(),
            reply_requests: 0,
        }
    }

    /// The stream.
    pub fn slot(&self) -> &SlotName {
        &self.slot
    }

    /// Streams until something ends it, then lets go of the slot, so that it can be had by another.
    pub async fn run(mut self, mut client: impl Stream<Item = ClientFrame> + Unpin, out: Sender) -> Ending {
        let ending = match self.stream(&mut client, &out).await {
            Err(ending) => ending,
            Ok(never) => match never {},
        };
        let _ = timeout(IMPATIENT_TIMEOUT, self.last_words(&mut client)).await;
        self.leave(ending).await
    }

    /// What the client had said by the time that the session ended still counts.
    async fn last_words(&mut self, client: &mut (impl Stream<Item = ClientFrame> + Unpin)) {
        for _ in 0..MAX_FRAMES_AT_ONCE {
            // Unconstrained: tokio would pretend that nothing is there once this task has had its share of the time.
            let frame = unconstrained(client.next()).now_or_never();
            let Some(Some(ClientFrame::Data(text))) = frame else { break };
            if self.acknowledge(&text).await.is_err() {
                break;
            }
        }
        let _ = self.confirm_acknowledged().await;
    }

    async fn stream(&mut self, client: &mut (impl Stream<Item = ClientFrame> + Unpin), out: &Sender) -> Result<Infallible, Ending> {
        let mut feedback = interval(self.source.status_interval());
        feedback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // In this order: what ends the session, what Postgres must hear now and then, what the client said, and only then more work.
            tokio::select! {
                biased;
                reason = self.occupant.stopped() => return Err(reason.into()),
                _ = feedback.tick() => self.feedback(out).await?,
                frame = client.next(), if self.reply.is_none() => self.client_frames(frame, client).await?,
                step = next_step(out, &mut self.reply, &mut self.ready, &mut self.source) => match step? {
                    Step::Send(permit, text) => permit.send(text),
                    Step::Read(permit, frame) => self.frame(frame, permit).await?,
                },
            }
        }
    }

    /// Deals with all frames that are there, then tells Postgres of the last acknowledgement among them.
    async fn client_frames(
        &mut self,
        first: Option<ClientFrame>,
        client: &mut (impl Stream<Item = ClientFrame> + Unpin),
    ) -> Result<(), Ending> {
        let mut next = Some(first);
        for _ in 0..MAX_FRAMES_AT_ONCE {
            let Some(frame) = next else { break };
            match frame {
                Some(ClientFrame::Data(text)) => self.reply = self.acknowledge(&text).await.err(),
                Some(ClientFrame::TooLarge) => return Err(Ending::FrameTooLarge),
                Some(ClientFrame::Left) | None => return Err(Ending::ClientLeft),
            }
            next = if self.reply.is_none() { client.next().now_or_never() } else { None };
        }
        self.confirm_acknowledged().await
    }

    async fn acknowledge(&mut self, text: &[u8]) -> Result<(), StreamError> {
        let acknowledgement: Acknowledgement = contract::read(text)?;
        let position: Lsn = acknowledgement.lsn.parse().map_err(|error| Invalid::at("/lsn", error))?;
        match self.progress.acknowledge(position) {
            Acknowledged::Higher => self.acknowledged_at = Some(Instant::now()),
            Acknowledged::Nothing => {}
            Acknowledged::Unseen => {
                let flushed = timeout(IMPATIENT_TIMEOUT, self.database.flushed()).await;
                self.progress.claim(position, flushed.map_err(|_| QueryError::Timeout(IMPATIENT_TIMEOUT))??)?;
            }
        }
        Ok(())
    }

    async fn confirm_acknowledged(&mut self) -> Result<(), Ending> {
        self.keep();
        if self.progress.owes_confirmation() {
            self.source.confirm(self.progress.confirm_acknowledged()).await?;
        }
        Ok(())
    }

    /// Postgres hears of us, and what owes nothing to anybody is settled, unless somebody may be looking for an acknowledgement.
    async fn feedback(&mut self, out: &Sender) -> Result<(), Ending> {
        self.keep();
        if out.is_full() && self.is_unanswered().await {
            return Err(Ending::PostgresAway(WireError::Ended));
        }
        self.reply_requests = 0;
        let is_quiet = self.acknowledged_at.is_none_or(|at| at.elapsed() >= QUIET_AFTER_ACK);
        let position = if is_quiet { self.progress.confirm_settled() } else { self.progress.confirm_acknowledged() };
        Ok(self.source.confirm(position).await?)
    }

    /// While there is no room, nothing is read, and so a server that stops cannot say so. It takes no other connection either.
    async fn is_unanswered(&self) -> bool {
        !matches!(timeout(IMPATIENT_TIMEOUT, self.database.flushed()).await, Ok(Ok(_)))
    }

    /// Marks the client's word to be kept where Postgres does not forget it.
    fn keep(&mut self) {
        let acknowledged = self.progress.acknowledged();
        if acknowledged > self.kept {
            self.kept = acknowledged;
            self.registry.acknowledged(&self.ownership, acknowledged);
        }
    }

    async fn frame(&mut self, frame: Frame, permit: Permit<'_>) -> Result<(), Ending> {
        match frame {
            Frame::Data(bytes) => self.text(Text::parse(bytes)?, permit)?,
            Frame::Keepalive { wal_end, reply_requested } => {
                self.progress.keepalive(wal_end);
                if reply_requested {
                    self.reply_requested().await?;
                }
            }
            Frame::Notice(notice) => self.notice(&notice),
        }
        Ok(())
    }

    async fn reply_requested(&mut self) -> Result<(), Ending> {
        self.reply_requests += 1;
        if self.reply_requests >= MAX_REPLY_REQUESTS {
            return Err(Ending::PostgresAway(WireError::Ended));
        }
        Ok(self.source.confirm(self.progress.confirm_acknowledged()).await?)
    }

    fn text(&mut self, text: Text, permit: Permit<'_>) -> Result<(), Backwards> {
        if text.is_empty && !self.empty_transactions {
            return text.commit_end.map_or(Ok(()), |commit_end| self.progress.nothing_for_client(commit_end));
        }
        let verdict = text.commit_end.map_or(Ok(Verdict::Send), |commit_end| self.progress.transaction(commit_end))?;
        if verdict == Verdict::Send {
            match text.messages(MAX_MESSAGE_BYTES) {
                Messages::Whole(message) => permit.send(message),
                Messages::Parts(parts) => self.ready = parts.into_iter(),
            }
        }
        Ok(())
    }

    /// wal2json warns on each update that it leaves out for want of a replica identity; one line a table is enough.
    fn notice(&mut self, notice: &ServerError) {
        if self.notices.len() < MAX_NOTICES && self.notices.insert(notice.message.clone()) {
            tracing::warn!(slot = %self.slot, %notice, "Postgres warns");
        }
    }

    /// Takes leave of Postgres in good order, so that no acknowledgement is lost.
    async fn leave(self, ending: Ending) -> Ending {
        let Self { slot, database, registry, ownership, occupant, source, .. } = self;
        source.finish(CLOSE_TIMEOUT).await;
        let ending = match ending {
            Ending::PostgresAway(error) => {
                let reason = timeout(IMPATIENT_TIMEOUT, why_away(&slot, &database, &registry, &ownership)).await;
                reason.ok().flatten().unwrap_or(Ending::PostgresAway(error))
            }
            ending => ending,
        };
        // What is not kept now is kept later, and at the latest before the stream is taken again.
        let _ = timeout(IMPATIENT_TIMEOUT, registry.flush()).await;
        // From here on the slot may be had by another.
        drop(occupant);
        ending
    }
}

/// Whether the connection was cut because the stream is somebody else's now, or gone. None: neither, or nobody can tell.
async fn why_away(slot: &SlotName, database: &Database, registry: &Registry, ownership: &Ownership) -> Option<Ending> {
    // Who drops a slot ends its process first, and the slot a moment later.
    let patience = Instant::now() + DROP_PATIENCE;
    loop {
        match registry.standing(ownership).await.ok()? {
            Standing::FormerOwner => return Some(Ending::Replaced),
            Standing::Gone => return Some(Ending::SlotGone),
            Standing::Owner => {}
        }
        match database.slot(slot).await.ok()? {
            None | Some(Slot { is_lost: true, .. }) => return Some(Ending::SlotGone),
            Some(_) if Instant::now() >= patience => return None,
            Some(_) => sleep(DROP_INTERVAL).await,
        }
    }
}

/// Waits for room, then for something to fill it. The future may be dropped at any time; nothing is lost.
async fn next_step<'a>(
    out: &'a Sender,
    reply: &mut Option<StreamError>,
    ready: &mut std::vec::IntoIter<String>,
    source: &mut Replication,
) -> Result<Step<'a>, Ending> {
    let permit = out.reserve().await.map_err(|_| Ending::ClientLeft)?;
    if let Some(reply) = reply.take() {
        return Ok(Step::Send(permit, reply.to_json()));
    }
    match ready.next() {
        Some(text) => Ok(Step::Send(permit, text)),
        None => Ok(Step::Read(permit, source.next().await?)),
    }
}

impl From<Invalid> for StreamError {
    fn from(invalid: Invalid) -> Self {
        let error = format!("not an acknowledgement, expected {{\"lsn\":\"0/170FCB0\"}}: {invalid}");
        Self { error, code: String::from("invalid_frame") }
    }
}

impl From<Ahead> for StreamError {
    fn from(ahead: Ahead) -> Self {
        Self { error: ahead.to_string(), code: String::from("lsn_ahead") }
    }
}

impl From<QueryError> for StreamError {
    fn from(error: QueryError) -> Self {
        Self {
            error: format!("the acknowledgement cannot be checked now, send it again: {error}"),
            code: String::from("postgres_unavailable"),
        }
    }
}
