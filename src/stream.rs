//! One session: a slot's changes to one client, and the client's acknowledgements back.
//!
//! frame → text → room → out; acknowledgement → progress → confirmation. One task, one `select!`; nothing is read from Postgres before
//! there is room for it, and nothing is confirmed that [`Progress`] does not say may be.

mod asking;
mod ending;
mod feedback;
mod gear;
mod probe;
mod reading;
mod source;
mod steps;

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use crate::config::{CLOSE_TIMEOUT, IMPATIENT_TIMEOUT, LAST_ACK_TIMEOUT, Limits, Patience, PostgresConfig, SHIFT_UP_AFTER};
use crate::contract::{self, Invalid};
use crate::format::{Format, Item};
use crate::lsn::Lsn;
use crate::message::{Acknowledgement, StreamError, StreamErrorCode};
use crate::name::SlotName;
use crate::postgres::service::{Database, QueryError};
use crate::progress::{Acknowledged, Ahead, Progress};
use crate::registry::{Ownership, Registry};
use crate::room::{Sender, room};
use crate::seat::{Call, Occupant, Word};
use crate::wal2json::options::PluginOptions;
use asking::Question;
use ending::why_away;
use gear::LowGear;
use probe::Probe;
use source::Source;
use steps::next_step;

pub use ending::{Away, Ending, Fault, Gone};
pub use source::Opened;

/// Frames of a client that are dealt with in one go, before Postgres hears of the last acknowledgement among them.
const MAX_FRAMES_AT_ONCE: usize = 256;

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

/// A session that Postgres has agreed to; nothing has been read yet.
pub struct Session {
    route: Arc<Route>,
    occupant: Occupant,
    /// Where the changes come from.
    source: Source,
    /// What is made of them.
    format: Format,
    options: PluginOptions,
    limits: Limits,
    max_unacked: Option<usize>,
    /// Counts, while transactions come in chunks.
    gear: LowGear,
    progress: Progress,
    /// The acknowledged position that the registry has heard of.
    kept: Lsn,
    acknowledged_at: Option<Instant>,
    /// When a transaction ended last that came in chunks; none before the first of them, which may take its time.
    heard_at: Option<Instant>,
    /// What was made of the last frame and waits for room.
    items: VecDeque<Item>,
    /// Where the last message outside of a transaction stood: it may come again when the wire is taken up anew.
    last_outside: Lsn,
    inbox: Inbox,
    /// What the catalogue is being asked. Until it has answered, nothing more is read.
    question: Option<Question>,
    /// Whether the server is still there, where that is in doubt.
    probe: Option<Probe>,
    /// When it was last asked whether tables were altered, and when that was last doubted.
    structure_at: Instant,
    doubted_at: Instant,
    warnings: HashSet<String>,
    reply_requests: usize,
    /// When Postgres is to hear of us.
    feedback_due: Pin<Box<Sleep>>,
    /// Whether a part of a transaction was sent, and not its last.
    is_midway: bool,
    /// Whether to end once the client's claim was passed.
    until_settled: bool,
    /// Whether something of a transaction was sent, which no claim covers then.
    is_past_claim: bool,
}

/// What comes before the next frame of Postgres.
#[derive(Default)]
struct Inbox {
    /// An answer to a faulty frame that waits for room. Until it has some, no further frame of the client is read.
    reply: Option<StreamError>,
    /// What is no part of the stream and waits for room, and for the first message.
    notices: VecDeque<String>,
    has_begun: bool,
}

/// The way to a slot, and the right to stream it.
pub struct Route {
    /// Where Postgres is.
    pub config: PostgresConfig,
    /// For the catalogue and the server's flush position.
    pub database: Database,
    /// For acknowledged positions.
    pub registry: Arc<Registry>,
    /// The stream.
    pub slot: SlotName,
    /// The right to write its position.
    pub ownership: Ownership,
    /// Which server the slot is on.
    pub system: String,
    /// How long to wait for it when it is away.
    pub patience: Patience,
}

/// What a session is made of.
pub struct Parts {
    /// The way to the slot.
    pub route: Route,
    /// Tells when to end, and the next one that we have.
    pub occupant: Occupant,
    /// Streams the slot from `position`.
    pub source: Opened,
    /// Where the client's acknowledgements ended.
    pub position: Lsn,
    /// What the registry has of that, or need not have.
    pub kept: Lsn,
    /// What the client asked for.
    pub format: Format,
    /// The options that the stream was started with.
    pub options: PluginOptions,
    /// How long things may be.
    pub limits: Limits,
    /// How many transactions the client may owe an acknowledgement for, before it gets more.
    pub max_unacked: Option<usize>,
}

impl Session {
    /// A session that is ready to run.
    pub fn new(parts: Parts) -> Self {
        parts.occupant.has_sent(parts.position);
        Self {
            route: Arc::new(parts.route),
            occupant: parts.occupant,
            source: Source::new(parts.source),
            format: parts.format,
            options: parts.options,
            limits: parts.limits,
            max_unacked: parts.max_unacked,
            gear: LowGear::default(),
            progress: Progress::starting_at(parts.position),
            kept: parts.kept,
            acknowledged_at: None,
            heard_at: None,
            items: VecDeque::new(),
            last_outside: Lsn::ZERO,
            inbox: Inbox::default(),
            question: None,
            probe: None,
            structure_at: Instant::now(),
            doubted_at: Instant::now(),
            warnings: HashSet::new(),
            reply_requests: 0,
            feedback_due: Box::pin(sleep(Duration::ZERO)),
            is_midway: false,
            until_settled: false,
            is_past_claim: false,
        }
    }

    /// The stream.
    pub fn slot(&self) -> &SlotName {
        &self.route.slot
    }

    /// Where it begins for the client: behind all that it has acknowledged.
    pub fn position(&self) -> Lsn {
        self.progress.claimed().unwrap_or(self.progress.passed())
    }

    /// Takes the client's word for all up to a position. What of that is still to come over the wire is not sent again.
    pub fn accept(&mut self, position: Lsn, flushed: Lsn) -> Result<(), Ahead> {
        match self.progress.acknowledge(position) {
            Acknowledged::Higher => self.acknowledged_at = Some(Instant::now()),
            Acknowledged::Nothing => {}
            Acknowledged::Unseen => self.progress.claim(position, flushed)?,
        }
        Ok(())
    }

    /// Runs without a client until what was accepted is settled: it has passed, and Postgres knows.
    pub async fn settle(mut self, deadline: Instant) -> Ending {
        self.until_settled = true;
        let mut client = pin!(stream::once(sleep_until(deadline)).map(|()| ClientFrame::Left));
        // Nothing is taken out: with the first message that is not covered, all is settled.
        let (out, _queue) = room();
        self.run(&mut client, out).await
    }

    /// Whether nothing is left of the client's word that the wire has to pass.
    fn is_settled(&self) -> bool {
        self.is_past_claim || self.progress.claimed().is_none()
    }

    /// Streams until something ends it, then lets go of the slot, so that it can be had by another.
    pub async fn run(mut self, mut client: impl Stream<Item = ClientFrame> + Unpin, out: Sender) -> Ending {
        let ending = match self.stream(&mut client, &out).await {
            Err(ending) => ending,
            Ok(never) => match never {},
        };
        self.occupant.is_leaving();
        if matches!(ending, Ending::Stopping) {
            let _ = timeout(LAST_ACK_TIMEOUT, self.last_acknowledgements(&mut client)).await;
        }
        let _ = timeout(IMPATIENT_TIMEOUT, self.last_words(&mut client)).await;
        self.leave(ending).await
    }

    /// Whoever has been sent something is given time to acknowledge it, so that it does not come again.
    async fn last_acknowledgements(&mut self, client: &mut (impl Stream<Item = ClientFrame> + Unpin)) {
        while self.progress.unacknowledged() > 0 {
            tokio::select! {
                frame = client.next() => match frame {
                    Some(ClientFrame::Data(text)) => {
                        let _ = self.acknowledge(&text).await;
                        self.confirm_acknowledged().await;
                    }
                    Some(ClientFrame::Left | ClientFrame::TooLarge) | None => return,
                },
                Some(word) = self.occupant.word() => self.hear(word).await,
            }
        }
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
        self.confirm_acknowledged().await;
    }

    async fn stream(&mut self, client: &mut (impl Stream<Item = ClientFrame> + Unpin), out: &Sender) -> Result<Infallible, Ending> {
        loop {
            if self.until_settled && self.is_settled() {
                return Err(Ending::Settled);
            }
            let may_read = self.may_read();
            let may_shift_up = self.is_between_chunks() && self.source.is_open() && may_read && !out.is_full();
            let had_claim = self.progress.claimed().is_some();
            // In this order: what ends the session, what Postgres must hear now and then, what the client said, and only then more work.
            tokio::select! {
                biased;
                call = self.occupant.called() => match call {
                    Call::Leave(reason) => return Err(reason.into()),
                    Call::Acknowledge(word) => self.hear(word).await,
                },
                () = &mut self.feedback_due => self.feedback(out).await,
                frame = client.next(), if self.inbox.reply.is_none() => self.client_frames(frame, client).await?,
                answer = asking::answer(&mut self.question) => self.answered(answer)?,
                verdict = probe::verdict(&mut self.probe) => self.judge(verdict),
                () = quiet(self.heard_at), if may_shift_up => self.shift_up(),
                step = next_step(out, &mut self.inbox, &self.items, &mut self.source, may_read) => self.steps(step?, out).await?,
            }
            if had_claim && self.progress.claimed().is_none() {
                // Who claimed may be looking for it.
                self.confirm_acknowledged().await;
            }
        }
    }

    /// Whether the client may get more before it acknowledges something.
    fn is_window_open(&self) -> bool {
        self.max_unacked.is_none_or(|most| self.progress.unacknowledged() < most)
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
                Some(ClientFrame::Data(text)) => self.inbox.reply = self.acknowledge(&text).await.err(),
                Some(ClientFrame::TooLarge) => return Err(Ending::FrameTooLarge),
                Some(ClientFrame::Left) | None => return Err(Ending::ClientLeft),
            }
            next = if self.inbox.reply.is_none() { client.next().now_or_never() } else { None };
        }
        self.confirm_acknowledged().await;
        Ok(())
    }

    async fn acknowledge(&mut self, text: &[u8]) -> Result<(), StreamError> {
        let acknowledgement: Acknowledgement = contract::read(text)?;
        let position: Lsn = acknowledgement.lsn.parse().map_err(|error| Invalid::at("/lsn", error))?;
        let mut flushed = Lsn::ZERO;
        if position > self.progress.passed() {
            let asking = timeout(IMPATIENT_TIMEOUT, self.route.database.flushed()).await;
            flushed = asking.map_err(|_| QueryError::Timeout(IMPATIENT_TIMEOUT))??;
        }
        Ok(self.accept(position, flushed)?)
    }

    /// The client's word that did not come over its connection.
    async fn hear(&mut self, word: Word) {
        // Where the server was not asked how far it is, what this session has not seen may be anything.
        let may_accept = word.flushed.is_some() || word.position <= self.progress.passed();
        // While this session settles another word, whoever asks is to ask again.
        if !self.until_settled && may_accept && self.accept(word.position, word.flushed.unwrap_or_default()).is_ok() {
            self.confirm_acknowledged().await;
            // Whoever said it may have gone.
            let _ = word.accepted.send(());
        }
    }

    /// Takes leave of Postgres in good order, so that no acknowledgement is lost.
    async fn leave(self, ending: Ending) -> Ending {
        let Self { route, occupant, source, .. } = self;
        let pid = source.pid();
        if !source.finish(CLOSE_TIMEOUT).await {
            // In the middle of a long text, it would keep the slot from whoever comes next.
            let _ = timeout(IMPATIENT_TIMEOUT, route.database.terminate_former(&route.slot, pid)).await;
        }
        let ending = match ending {
            Ending::PostgresAway(error) => {
                let reason = timeout(IMPATIENT_TIMEOUT, why_away(&route)).await;
                reason.ok().flatten().unwrap_or(Ending::PostgresAway(error))
            }
            ending => ending,
        };
        // What is not kept now is kept later, and at the latest before the stream is taken again.
        let _ = timeout(IMPATIENT_TIMEOUT, route.registry.flush()).await;
        // From here on the slot may be had by another.
        drop(occupant);
        ending
    }
}

/// Ends once nothing has ended for so long; never before something has.
async fn quiet(heard_at: Option<Instant>) {
    match heard_at {
        Some(heard_at) => sleep_until(heard_at + SHIFT_UP_AFTER).await,
        None => pending().await,
    }
}

impl From<Invalid> for StreamError {
    fn from(invalid: Invalid) -> Self {
        let error = format!("not an acknowledgement, expected {{\"lsn\":\"0/170FCB0\"}}: {invalid}");
        Self { error, code: StreamErrorCode::InvalidFrame }
    }
}

impl From<Ahead> for StreamError {
    fn from(ahead: Ahead) -> Self {
        Self { error: ahead.to_string(), code: StreamErrorCode::LsnAhead }
    }
}

impl From<QueryError> for StreamError {
    fn from(error: QueryError) -> Self {
        Self {
            error: format!("the acknowledgement cannot be checked now, send it again: {error}"),
            code: StreamErrorCode::PostgresUnavailable,
        }
    }
}
