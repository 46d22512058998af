//! The session's way in: what Postgres sends is read, in whichever gear, and put in its place in the queue.

use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use super::asking::{Question, Subject};
use super::ending::{Ending, Fault};
use super::gear::LowGear;
use super::source::{Next, NextError};
use crate::format::{Answer, Item, Missing, Read};
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
    pub(super) async fn take(&mut self, next: Result<Next, NextError>, permit: Permit<'_>) -> Result<(), Ending> {
        match next {
            Ok(Next::Frame(Frame::Data { text, position })) if text.len() <= self.longest() => self.read(text, position, 0)?,
            Ok(Next::Frame(Frame::Data { .. })) => self.shift_down()?,
            Err(NextError::Wire(error)) if error.is_too_long() => self.shift_down()?,
            Ok(Next::Frame(Frame::Keepalive { wal_end, reply_requested })) => self.keepalive(wal_end, reply_requested).await?,
            Ok(Next::Frame(Frame::Notice(notice))) => self.notice(&notice),
            Ok(Next::Opened) => self.source.confirm(self.progress.confirm_acknowledged()).await?,
            Err(NextError::Wire(error)) => return Err(error.into()),
            Err(NextError::Ended(ending)) => return Err(ending),
        }
        self.deliver(permit)?;
        if self.gear.is_over() && self.is_between_chunks() {
            self.shift_up();
        }
        Ok(())
    }

    async fn keepalive(&mut self, wal_end: Lsn, reply_requested: bool) -> Result<(), Ending> {
        // In the middle of a transaction it says nothing of how far we are.
        if !self.format.is_inside() {
            self.progress.keepalive(wal_end);
        }
        if reply_requested { self.reply_requested().await } else { Ok(()) }
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
        let xid = self.format.xid();
        self.inbox.question = Some(Question::new(&self.route, missing, xid, self.structure_at, subject, count));
    }

    /// Goes on where a question was asked.
    pub(super) fn answered(&mut self, answer: Result<Answer, QueryError>, permit: Permit<'_>) -> Result<(), Ending> {
        let answer = answer?;
        if matches!(answer, Answer::Structure(_)) {
            self.structure_at = Instant::now();
        }
        self.format.learn(answer);
        match self.inbox.question.take() {
            Some(Question { subject: Subject::Frame(text, position), count, .. }) => self.read(text, position, count)?,
            Some(Question { subject: Subject::WithoutIdentity(table), .. }) => self.tell_without_identity(&table),
            None => {}
        }
        self.deliver(permit)
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
            match item {
                Item::Nothing { commit_end } => self.progress.nothing_for_client(commit_end)?,
                Item::Part { commit_end, .. } if self.progress.is_claimed(commit_end) => {}
                Item::Part { text, .. } => {
                    self.gear.cut();
                    self.is_past_claim = true;
                    self.send(permit, text.into());
                    return Ok(());
                }
                Item::Last { text, commit_end } => {
                    self.gear.end();
                    if self.progress.transaction(commit_end)? == Verdict::Send {
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
        self.options.write_in_chunks && !self.format.is_inside() && self.items.is_empty() && self.inbox.question.is_none()
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
        self.heard_at = None;
        self.gear = LowGear::default();
        self.format.start_over();
        self.options.write_in_chunks = write_in_chunks;
        self.source.reopen(&self.route, self.progress.passed(), self.options.clone(), self.longest());
    }

    async fn reply_requested(&mut self) -> Result<(), Ending> {
        self.reply_requests += 1;
        if self.reply_requests >= MAX_REPLY_REQUESTS {
            return Err(Ending::PostgresAway(WireError::Ended.into()));
        }
        Ok(self.source.confirm(self.progress.confirm_acknowledged()).await?)
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
