//! A question to the catalogue, which has to be answered before the next frame is read. While it is asked, the session hears everybody else.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Route;
use crate::format::{Ahead, Answer, Missing};
use crate::lsn::Lsn;
use crate::name::TableName;
use crate::postgres::service::QueryError;

/// How soon the structure may be asked for again. While tables that are not for the client change all the time, so much later comes what is.
const STRUCTURE_INTERVAL: Duration = Duration::from_millis(20);

/// How soon to look again whether the catalogue has seen a transaction that the stream has. Most often it takes no time at all; a server that
/// waits for its standby makes it wait as well.
const FIRST_PATIENCE: Duration = Duration::from_millis(2);
const LONGEST_PATIENCE: Duration = Duration::from_millis(100);

/// A question, and why it is asked.
pub(super) struct Question {
    pub(super) subject: Subject,
    /// How many were asked for the same reason, with this one.
    pub(super) count: usize,
    pub(super) asking: Pin<Box<dyn Future<Output = Result<Answer, QueryError>> + Send>>,
}

/// What is asked.
pub(super) struct Asked {
    pub(super) route: Arc<Route>,
    pub(super) missing: Missing,
    /// Tables to ask for beside one that is missing.
    pub(super) ahead: Ahead,
    /// The transaction that the answer must have seen.
    pub(super) xid: Option<u32>,
    /// When the structure was asked for last.
    pub(super) last: Instant,
}

/// What waits for the answer.
pub(super) enum Subject {
    /// A frame to be read, and where it stands.
    Frame(Vec<u8>, Lsn),
    /// A table whose updates and deletes are left out.
    WithoutIdentity(TableName),
}

/// The answer; none while nothing is asked. The future may be dropped at any time.
pub(super) async fn answer(question: &mut Option<Question>) -> Result<Answer, QueryError> {
    match question {
        Some(question) => question.asking.as_mut().await,
        None => pending().await,
    }
}

impl Question {
    pub(super) fn new(asked: Asked, subject: Subject, count: usize) -> Self {
        Self { subject, count, asking: Box::pin(asked.answer()) }
    }
}

impl Asked {
    async fn answer(self) -> Result<Answer, QueryError> {
        let Self { route, missing, ahead, xid, last } = self;
        if missing == Missing::Structure {
            sleep_until(last + STRUCTURE_INTERVAL).await;
        }
        let (slot, database) = (&route.slot, &route.database);
        let mut patience = FIRST_PATIENCE;
        loop {
            let answer = match &missing {
                Missing::Relations(tables) => database.relations(slot, tables, &ahead, xid).await.map(|found| found.map(Answer::Relations)),
                Missing::Types(types) => database.encodings(types, xid).await.map(|found| found.map(Answer::Types)),
                Missing::Structure => database.structure(xid).await.map(|found| found.map(Answer::Structure)),
            };
            match answer {
                Ok(Some(answer)) => return Ok(answer),
                // Not seen yet.
                Ok(None) => {}
                Err(error) => return Err(error),
            }
            sleep(patience).await;
            patience = (patience * 2).min(LONGEST_PATIENCE);
        }
    }
}
