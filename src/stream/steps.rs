//! What a session does once there is room for it, one thing after the other.

use std::collections::VecDeque;
use std::future::pending;

use futures_util::FutureExt;

use super::ending::Ending;
use super::source::{Lost, Reopened, Source};
use super::{Inbox, Session};
use crate::format::Item;
use crate::message::StreamError;
use crate::postgres::replication::Frame;
use crate::room::{Message, Permit, Sender};

/// Things that are done in one go, as long as there is no wait for any.
const MAX_STEPS_AT_ONCE: usize = 32;

/// What there is to do once there is room.
pub(super) enum Step<'a> {
    Reply(Permit<'a>, StreamError),
    Notice(Permit<'a>, String),
    Deliver(Permit<'a>),
    Take(Permit<'a>, Result<Frame, Lost>),
    /// There is a wire again, or will be none.
    Opened(Result<Box<Reopened>, Lost>),
}

impl Session {
    /// Does one thing, and what can be done after it without waiting: to look at everything else costs as much as a record.
    pub(super) async fn steps(&mut self, first: Step<'_>, out: &Sender) -> Result<(), Ending> {
        let mut step = first;
        for _ in 1..MAX_STEPS_AT_ONCE {
            let had_claim = self.progress.claimed().is_some();
            self.step(step).await?;
            if had_claim && self.progress.claimed().is_none() || self.until_settled && self.is_settled() {
                return Ok(());
            }
            let may_read = self.may_read();
            let next = next_step(out, &mut self.inbox, &self.items, &mut self.source, may_read).now_or_never();
            let Some(next) = next else { return Ok(()) };
            step = next?;
        }
        self.step(step).await
    }

    async fn step(&mut self, step: Step<'_>) -> Result<(), Ending> {
        match step {
            Step::Reply(permit, reply) => permit.send(reply.to_json()),
            Step::Notice(permit, text) => permit.send(Message { is_notice: true, ..text.into() }),
            Step::Deliver(permit) => self.deliver(permit)?,
            Step::Take(permit, next) => self.take(next, permit).await?,
            Step::Opened(opened) => self.opened(opened).await?,
        }
        Ok(())
    }

    /// Whether frames may be read now.
    pub(super) fn may_read(&self) -> bool {
        self.is_window_open() && self.question.is_none()
    }
}

/// Waits for something to do. The future may be dropped at any time; nothing is lost.
pub(super) async fn next_step<'a>(
    out: &'a Sender,
    inbox: &mut Inbox,
    items: &VecDeque<Item>,
    source: &mut Source,
    may_read: bool,
) -> Result<Step<'a>, Ending> {
    if source.is_open() {
        return fill(out, inbox, items, Some(source).filter(|_| may_read)).await;
    }
    // A wire is opened whether or not there is room: how long Postgres may be away does not depend on the client.
    tokio::select! {
        biased;
        opened = source.opened() => Ok(Step::Opened(opened.map(Box::new))),
        step = fill(out, inbox, items, None) => step,
    }
}

/// Waits for room, then for something to fill it.
async fn fill<'a>(out: &'a Sender, inbox: &mut Inbox, items: &VecDeque<Item>, source: Option<&mut Source>) -> Result<Step<'a>, Ending> {
    let permit = out.reserve().await.map_err(|_| Ending::ClientLeft)?;
    if let Some(reply) = inbox.reply.take() {
        return Ok(Step::Reply(permit, reply));
    }
    if inbox.has_begun
        && let Some(notice) = inbox.notices.pop_front()
    {
        return Ok(Step::Notice(permit, notice));
    }
    if !items.is_empty() {
        return Ok(Step::Deliver(permit));
    }
    match source {
        Some(source) => Ok(Step::Take(permit, source.next().await)),
        None => pending().await,
    }
}
