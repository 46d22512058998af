//! The session's way in: what Postgres sends is read, in whichever gear, and put in its place in the queue.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use super::asking::{Asked, Question, Subject};
use super::ending::{Away, Ending, Fault, Gone};
use super::gear::LowGear;
use super::source::{Lost, Reopened, Start};
use crate::format::{Ahead, Answer, Item, Missing, Read};
use crate::lsn::Lsn;
use crate::message::NoticeCode;
use crate::name::TableName;
use crate::postgres::replication::Frame;
use crate::postgres::server_error::ServerError;
use crate::postgres::service::QueryError;
use crate::postgres::wire::WireError;
use crate::progress::Verdict;
use crate::room::{Message, Permit};
use crate::wal2json::{Malformed, warning};

/// Requests for an answer between two feedbacks that we send unasked: so many are only made by a server that shuts down. It waits until
/// all that it sent is confirmed, which a client may never do.
const MAX_REPLY_REQUESTS: usize = 3;

/// Different warnings of the server that one session passes on.
const MAX_WARNINGS: usize = 1_024;

/// Questions to the catalogue that one frame may raise: whether tables were altered, which they are, the types of their columns.
const MAX_QUESTIONS: usize = 4;

/// How often what is known of tables is looked at again, if they change at all.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);

impl Session {
    /// Deals with what came from Postgres; the permit is for the first message that comes of it.
    pub(super) async fn take(&mut self, next: Result<Frame, Lost>, permit: Permit<'_>) -> Result<(), Ending> {
        match next {
            Ok(Frame::Data { text, position }) if text.len() <= self.longest() => self.read(text, position, 0)?,
            Ok(Frame::Data { .. }) => self.shift_down()?,
            Err(Lost::Wire(Away::Wire(error))) if error.is_too_long() => self.shift_down()?,
            Ok(Frame::Keepalive { wal_end, reply_requested }) => self.keepalive(wal_end, reply_requested).await,
            Ok(Frame::Notice(notice)) => self.notice(&notice),
            Err(lost) => self.lost(lost)?,
        }
        self.deliver(permit)?;
        if self.gear.is_over() && self.is_between_chunks() {
            self.shift_up();
        }
        Ok(())
    }

    /// There is a wire again, which has yet to hear of the client's word, or there will be none.
    pub(super) async fn opened(&mut self, opened: Result<Box<Reopened>, Lost>) -> Result<(), Ending> {
        match opened {
            Ok(reopened) => {
                let Reopened { opened, common } = *reopened;
                if opened.system.timeline != self.source.timeline() {
                    self.fall_back(common)?;
                }
                self.source.resume(opened);
                self.occupant.has_stalled(None);
                self.source.confirm(self.progress.confirm_acknowledged()).await;
                Ok(())
            }
            Err(lost) => self.lost(lost),
        }
    }

    /// The server's history is another one after that position. It can be gone on with by who has nothing from after it.
    fn fall_back(&mut self, common: Lsn) -> Result<(), Ending> {
        self.items.retain(|item| !matches!(item, Item::Nothing { commit_end } if *commit_end > common));
        // A message outside of transactions is known by where it begins.
        if self.held() > common || self.last_outside >= common {
            return Err(Gone::Ahead.into());
        }
        tracing::info!(slot = %self.route.slot, position = %common, "a promoted server goes on from here");
        self.progress.fall_back(common);
        self.format.forget();
        Ok(())
    }

    /// All up to there is the client's, or on its way to it.
    fn held(&self) -> Lsn {
        let under_way = self.items.iter().rev().find_map(Item::end).max(self.format.begun());
        under_way.unwrap_or_default().max(self.progress.held())
    }

    async fn keepalive(&mut self, wal_end: Lsn, reply_requested: bool) {
        // In the middle of a transaction it says nothing of how far we are.
        if !self.format.is_inside() {
            self.progress.keepalive(wal_end);
            self.source.has_reached(wal_end);
        }
        if reply_requested {
            self.reply_requested().await;
        }
    }

    /// Reads a frame, or asks the catalogue for what it takes.
    fn read(&mut self, text: Vec<u8>, position: Lsn, asked: usize) -> Result<(), Ending> {
        if asked == 0 && self.doubted_at.elapsed() >= DOUBT_INTERVAL {
            self.doubted_at = Instant::now();
            self.format.doubt();
        }
        match self.format.read(text, &mut self.items)? {
            Read::Done => {
                self.drop_repeated(position);
                if self.options.write_in_chunks && !self.format.is_inside() {
                    self.heard_at = Some(Instant::now());
                }
            }
            Read::Missing(..) if asked >= MAX_QUESTIONS => return Err(Malformed.into()),
            Read::Missing(missing, text) => self.ask(missing, Subject::Frame(text, position), asked + 1),
        }
        Ok(())
    }

    fn ask(&mut self, missing: Missing, subject: Subject, count: usize) {
        let ahead = if self.source.has_backlog() { self.format.ahead() } else { Ahead::default() };
        let asked = Asked { route: self.route.clone(), missing, ahead, xid: self.format.xid(), last: self.structure_at };
        self.question = Some(Question::new(asked, subject, count));
    }

    /// Goes on where a question was asked.
    pub(super) fn answered(&mut self, answer: Result<Answer, QueryError>) -> Result<(), Ending> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.lost(Lost::Wire(error.into())),
        };
        if matches!(answer, Answer::Structure(_)) {
            self.structure_at = Instant::now();
        }
        self.format.learn(answer);
        match self.question.take() {
            Some(Question { subject: Subject::Frame(text, position), count, .. }) => self.read(text, position, count),
            Some(Question { subject: Subject::WithoutIdentity(table), .. }) => {
                self.tell_without_identity(&table);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A message outside of a transaction has no position to acknowledge, and so none from which to go on after it.
    fn drop_repeated(&mut self, position: Lsn) {
        if matches!(self.items.front(), Some(Item::Outside(_))) {
            if position <= self.last_outside {
                self.items.pop_front();
            }
            self.last_outside = self.last_outside.max(position);
        }
    }

    /// Puts the next message that is for the client in its place.
    pub(super) fn deliver(&mut self, permit: Permit<'_>) -> Result<(), Ending> {
        while let Some(item) = self.items.pop_front() {
            self.source.has_advanced();
            match item {
                Item::Nothing { commit_end } => self.progress.nothing_for_client(commit_end)?,
                // What was begun before the client claimed to have it comes to its end: the next one would be taken for the rest of it.
                Item::Part { commit_end, .. } if !self.is_midway && self.progress.is_claimed(commit_end) => {}
                Item::Part { text, .. } => {
                    self.gear.cut();
                    self.is_midway = true;
                    self.is_past_claim = true;
                    self.send(permit, text.into());
                    return Ok(());
                }
                Item::Last { text, commit_end } => {
                    self.gear.end();
                    let was_midway = mem::take(&mut self.is_midway);
                    if self.progress.transaction(commit_end)? == Verdict::Send || was_midway {
                        self.is_past_claim = true;
                        self.occupant.has_sent(commit_end);
                        self.send(permit, Message { position: Some(commit_end), ..text.into() });
                        return Ok(());
                    }
                }
                Item::Outside(text) => {
                    self.send(permit, text.into());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, permit: Permit<'_>, message: Message) {
        permit.send(message);
        self.inbox.has_begun = true;
    }

    fn longest(&self) -> usize {
        self.limits.max_bytes(self.is_whole())
    }

    /// Whether transactions come whole.
    fn is_whole(&self) -> bool {
        self.options.is_whole()
    }

    /// Whether all that came in chunks has been sent.
    pub(super) fn is_between_chunks(&self) -> bool {
        self.options.write_in_chunks && !self.format.is_inside() && self.items.is_empty() && self.question.is_none()
    }

    fn shift_down(&mut self) -> Result<(), Fault> {
        if !self.is_whole() {
            return Err(Fault::RowTooLarge);
        }
        tracing::info!(slot = %self.route.slot, "a transaction is too long for one message: reading in chunks");
        self.reopen(true);
        Ok(())
    }

    pub(super) fn shift_up(&mut self) {
        tracing::info!(slot = %self.route.slot, "transactions are short again: reading whole ones");
        self.reopen(false);
    }

    /// Takes the wire up anew, behind the last transaction that was passed.
    fn reopen(&mut self, write_in_chunks: bool) {
        self.gear = LowGear::default();
        self.options.write_in_chunks = write_in_chunks;
        let start = self.start_over();
        self.source.reopen(&self.route, start);
    }

    /// Takes the wire up anew where it was lost, unless it is lost for a reason that will not pass.
    fn lost(&mut self, lost: Lost) -> Result<(), Ending> {
        let away = match lost {
            Lost::Wire(away) => match away.into() {
                Ending::PostgresAway(away) => away,
                ending => return Err(ending),
            },
            Lost::ForGood(ending) => return Err(ending),
        };
        self.occupant.has_stalled(Some(format!("Postgres is away: {away}")));
        let start = self.start_over();
        // A crash can undo what the catalogue has shown, and give the same numbers to other transactions.
        self.format.forget_admitted();
        self.source.recover(&self.route, start, away);
        Ok(())
    }

    /// What was read of a transaction that has not ended comes again, and is passed over if there was a message of it. What waits for room is read, and what waits for an
    /// answer is not.
    fn start_over(&mut self) -> Start {
        self.format.rewind();
        self.heard_at = None;
        self.probe = None;
        if let Some(Question { subject: Subject::WithoutIdentity(table), .. }) = self.question.take() {
            // The warning comes again, too.
            self.warnings.remove(&table.to_string());
        }
        let position = self.items.iter().rev().find_map(Item::end).unwrap_or(self.progress.passed());
        let settled = self.progress.settled();
        Start { position, settled, options: self.options.clone(), max_bytes: self.longest() }
    }

    async fn reply_requested(&mut self) {
        self.reply_requests += 1;
        if self.reply_requests >= MAX_REPLY_REQUESTS {
            self.source.break_off(WireError::Ended.into());
        }
        self.source.confirm(self.progress.confirm_acknowledged()).await;
    }

    /// wal2json warns of each update and delete that it leaves out; once a table is enough.
    fn notice(&mut self, notice: &ServerError) {
        let subject = warning::table_without_identity(&notice.message);
        let key = subject.as_ref().map_or_else(|| notice.message.clone(), TableName::to_string);
        if self.warnings.len() >= MAX_WARNINGS || !self.warnings.insert(key) {
            return;
        }
        match subject {
            None => tracing::warn!(slot = %self.route.slot, %notice, "Postgres warns"),
            // Format 1 does not tell the schema, without which nobody knows whether the table is for the client. Better too much than nothing.
            Some(table) if table.schema.is_empty() => self.warn_of(&table),
            Some(table) => match self.format.missing_for(&table) {
                Some(missing) => self.ask(missing, Subject::WithoutIdentity(table), 1),
                None => self.tell_without_identity(&table),
            },
        }
    }

    fn tell_without_identity(&mut self, table: &TableName) {
        if self.format.admits(table) {
            self.warn_of(table);
            self.inbox.notices.extend(self.format.notice(NoticeCode::NoReplicaIdentity, warning::advice(table), table));
        }
    }

    fn warn_of(&self, table: &TableName) {
        tracing::warn!(slot = %self.route.slot, "{}", warning::advice(table));
    }
}
